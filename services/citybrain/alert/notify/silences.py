"""Which silence keeps an alert from being told. Called by flush. Pure: the time of now is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from citybrain.alert.notify.routes import matches
from citybrain.store.silences import Silence
from citybrain_schemas.alerts import Alert


def is_active(silence: Silence, now: datetime) -> bool:
    """Whether it holds now: from its beginning until, not at, its end."""
    return silence.ended_at is None and silence.begins <= now < silence.ends


def silence_of(alert: Alert, silences: Iterable[Silence], now: datetime) -> Silence | None:
    """The first active silence that matches."""
    return next((one for one in silences if is_active(one, now) and matches(one.matchers, alert)), None)


def touched(resolved: Iterable[Alert], silences: Iterable[Silence], now: datetime) -> list[Silence]:
    """Active silences "until resolved" that match one of the alerts that have just ended."""
    ended = list(resolved)
    candidates = (one for one in silences if one.until_resolved and is_active(one, now))
    return [one for one in candidates if any(matches(one.matchers, alert) for alert in ended)]
