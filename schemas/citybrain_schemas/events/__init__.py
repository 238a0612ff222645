"""Every event type that the city knows. A new domain is one module here and its name in DOMAINS; no role changes."""

from __future__ import annotations

from citybrain_schemas.event_type import EventData, EventType
from citybrain_schemas.events import citizens, enforcement, facilities, parking, sanitation, utility

DOMAINS = (
    parking.DOMAIN,
    utility.DOMAIN,
    enforcement.DOMAIN,
    sanitation.DOMAIN,
    facilities.DOMAIN,
    citizens.DOMAIN,
)
EVENT_TYPES: dict[str, EventType] = {one.name: one for domain in DOMAINS for one in domain.types}

__all__ = ["DOMAINS", "EVENT_TYPES", "EventData", "EventType"]
