"""What citizens tell the city. Read by ingest and casework through EVENT_TYPES. Names follow Open311 where it has them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from citybrain_schemas.areas import Point
from citybrain_schemas.event_type import Domain, EventData, EventType, Person, Phone, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Code, Link, LongText


class CitizenReport(EventData):
    """A problem that somebody saw, where it is, and links to pictures of it."""

    category: Code
    description: LongText
    location: Point
    media: Annotated[tuple[Link, ...], Field(max_length=20)] = ()
    reporter: Person = None
    phone: Phone = None


DOMAIN = Domain(
    "citizens",
    types=(EventType("citizen.report", CitizenReport, always(Reading("citizen.reports", 1)), ("citizen.reports",)),),
    metrics=(count("citizen.reports", "Reports of citizens", "市民上报数"),),
)
