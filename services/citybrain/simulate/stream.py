"""A simulated city as one stream of posts, in the order of sending. Called by run. Pure: the same plan, the same bytes.

Every asset speaks at a steady interval, each at its own moment of it; the interval follows from the rate. What the crew's apps
say while they are offline is sent when they are back, all at once; a few posts are sent a second time, unchanged, a little later.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from citybrain.replay.rows import utc_text
from citybrain.simulate.actors import Actor, Bin, Citizens, Lot, Meter
from citybrain.simulate.faults import OFFLINE, Fault, plan_faults

EVENTS_OF_A_SET = 4.06  # lot 1, meter 2, bin 1, citizens and collections a little
WANTED_INTERVAL_S = 60.0
REPEATED_SHARE, REPEATED_WITHIN_S = 0.03, 60.0
CITIZENS_CHANCE = 0.08
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Place:
    """A unit grid and a point inside it."""

    code: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides a simulated city wholly. `rate` is events a second; `begin` is aware; `zone` gives the rhythm."""

    places: tuple[Place, ...]
    rate: float
    begin: datetime
    length: timedelta
    seed: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, order=True)
class Post:
    """One event as it is sent at `at`; `late` and `repeat` say why that is not when it happened."""

    at: datetime
    number: int
    event: bytes = field(compare=False)
    late: bool = field(default=False, compare=False)
    repeat: bool = field(default=False, compare=False)


class SimulatedCity:
    """The actors, the faults and the posts of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = Random(plan.seed)  # noqa: S311 - believable, not secret
        self._actors = _populate(plan, self._dice)
        self.faults = plan_faults(_possible(self._actors), plan.begin, plan.length, self._dice)
        self._by_subject: dict[str, list[Fault]] = defaultdict(list)
        self._by_area: dict[str, list[Fault]] = defaultdict(list)
        for fault in self.faults:
            (self._by_subject[fault.subject] if fault.subject else self._by_area[fault.area]).append(fault)
        self._bursts = [fault for fault in self.faults if fault.kind == "burst_main"]
        self._number = 0

    def posts(self) -> Iterator[Post]:
        """Every post, in the order of sending. To be iterated once."""
        delayed: list[Post] = []
        end = self._plan.begin + self._plan.length
        for at, actor in self._turns():
            while delayed and delayed[0].at <= at:
                yield heapq.heappop(delayed)
            for post in self._said(actor, at):
                if post.late:
                    heapq.heappush(delayed, post)
                else:
                    yield post
                if self._dice.random() < REPEATED_SHARE:
                    again = post.at + timedelta(seconds=self._dice.uniform(0.5, REPEATED_WITHIN_S))
                    heapq.heappush(delayed, Post(min(again, end), post.number, post.event, post.late, repeat=True))
        while delayed:
            yield heapq.heappop(delayed)

    def _turns(self) -> Iterator[tuple[datetime, Actor]]:
        """Who speaks when: everybody once an interval, always in the same order."""
        plan = self._plan
        sets = sum(isinstance(actor, Lot) for actor in self._actors)
        interval_s = sets * EVENTS_OF_A_SET / plan.rate
        turns = int(plan.length.total_seconds() / interval_s * len(self._actors))
        for turn in range(turns):
            yield plan.begin + timedelta(seconds=turn * interval_s / len(self._actors)), self._actors[turn % len(self._actors)]

    def _said(self, actor: Actor, at: datetime) -> Iterator[Post]:
        local = at.astimezone(self._plan.zone)
        sent, late = at, False
        if actor.app == "crew":
            back = max((fault.end for fault in self._by_area[actor.area] if fault.holds(at)), default=at)
            sent, late = back, back > at
        for kind, data in actor.speak(local, self._fault_of(actor, at), self._dice):
            self._number += 1
            event = {
                "specversion": "1.0",
                "id": f"{self._plan.begin:%Y%m%dT%H%M%S}-{self._number}",
                "source": f"/simulate/{self._plan.seed}/{actor.app}/{actor.area}",
                "type": kind,
                "time": utc_text(at),
                **({"subject": actor.subject} if actor.subject else {}),
                "area": actor.area,
                "data": data,
            }
            yield Post(sent, self._number, _encoder.encode(event), late)

    def _fault_of(self, actor: Actor, at: datetime) -> str:
        possible = (
            self._by_subject.get(actor.subject, ()) if actor.subject else [one for one in self._bursts if one.area == actor.area]
        )
        return next((fault.kind for fault in possible if fault.holds(at)), "")


def _populate(plan: Plan, dice: Random) -> list[Actor]:
    """Per grid as many sets of lot, meter and bin as let each speak about once a minute, and its citizens."""
    sets = max(1, round(plan.rate * WANTED_INTERVAL_S / EVENTS_OF_A_SET / len(plan.places)))
    actors: list[Actor] = []
    for place in plan.places:
        actors.append(Citizens(place.code, place.lon, place.lat, min(CITIZENS_CHANCE * sets, 1.0)))
        for n in range(1, sets + 1):
            tail = f"{place.code}-{n:02d}"
            lot = Lot(f"sim-lot-{tail}", place.code, dice.randrange(40, 400, 10), dice.choice(("office", "shops", "homes")))
            meter = Meter(f"sim-meter-{tail}", place.code, dice.uniform(8.0, 40.0))
            actors += [lot, meter, Bin(f"sim-bin-{tail}", place.code, dice.uniform(5.0, 80.0), dice.uniform(4.0, 12.0))]
    dice.shuffle(actors)
    return actors


def _possible(actors: Sequence[Actor]) -> dict[str, list[tuple[str, str]]]:
    """Who can have which fault."""
    kinds = {"burst_main": Meter, "full_lot": Lot, "silent_meter": Meter, "stuck_sensor": Bin, OFFLINE: Citizens}
    return {kind: [(actor.subject, actor.area) for actor in actors if isinstance(actor, who)] for kind, who in kinds.items()}
