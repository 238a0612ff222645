"""What a domain declares: its event types, the payload of each, its metrics, and how one is read into the other.

Used by the modules in events/ and by whoever looks a type up. Holds no domain's words itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from citybrain_schemas.areas import Point
from citybrain_schemas.readings import ReadingsOf
from citybrain_schemas.values import Contact

Kind = Literal["gauge", "count", "sum"]
Across = Literal["sum", "mean", "ratio", "max"]

PERSONAL = Field(json_schema_extra={"personal": True})  # kept apart from the rest, masked for viewers
Plate = Annotated[Contact | None, PERSONAL]
Phone = Annotated[Contact | None, PERSONAL]
Person = Annotated[Contact | None, PERSONAL]


class EventData(BaseModel):
    """The payload of an event: closed and frozen. Every event may say where it happened."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: Point | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is kept for assets and areas. Counts and sums of an area add up; `across` says how gauges combine."""

    name: str
    unit: str
    kind: Kind
    across: Across
    en: str
    zh: str


def count(name: str, en: str, zh: str) -> Metric:
    """A metric that counts events."""
    return Metric(name, "1", "count", "sum", en, zh)


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event. A `sensor` type needs a subject, and makes an asset of it."""

    name: str
    data: type[EventData]
    read: ReadingsOf  # from the validated payload
    metrics: tuple[str, ...] = ()  # all that `read` may name
    sensor: bool = False
    personal: frozenset[str] = field(init=False)  # top-level fields of the payload that are about a person

    def __post_init__(self) -> None:
        marked = (name for name, one in self.data.model_fields.items() if one.json_schema_extra == {"personal": True})
        object.__setattr__(self, "personal", frozenset(marked))


class Domain(NamedTuple):
    """All that one module of events/ declares."""

    name: str
    types: tuple[EventType, ...]
    metrics: tuple[Metric, ...]
