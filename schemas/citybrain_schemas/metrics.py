"""Every metric that the city keeps, by name. Declared beside the events that feed them; here they are only gathered."""

from __future__ import annotations

from citybrain_schemas.event_type import Metric
from citybrain_schemas.events import DOMAINS

METRICS: dict[str, Metric] = {one.name: one for domain in DOMAINS for one in domain.metrics}

__all__ = ["METRICS", "Metric"]
