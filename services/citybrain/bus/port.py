"""What the bus promises. Roles know this port alone; `runner` chooses the adapter.

*Topics and partitions.* A topic has a fixed number of partitions. A record goes to the partition of its key, so records
of one key keep the order in which they were appended. Between keys there is no order.

*Offsets* are dense in a partition (0, 1, 2 …) and become visible in order: once a reader has seen offset n, no record
below n appears later. So a reader needs one number a partition, and a plain "greater than the last" is safe.

*Append* returns when all its records are durable: a crash of the process, the server or the machine after that loses
none. Either all records of one call are appended or, when it raises, none (Kafka: some may be; appending again is safe,
because readers count an identity once). Calls at the same time share one commit.

*Reading* never removes. A reader fetches from a position that it keeps itself, in the transaction of its own results;
after a crash it fetches again from there and gets the same records at the same offsets (redelivery). A fetch returns whole
batches, not records: columns of keys, types and values. A batch may begin after the position that was asked for, and may be
empty: what lies between is gone (retention was too short), or was never a record (Kafka's markers of transactions).

*Wake.* `wait` returns soon after records arrive; it may return without any (look again), and always returns by its timeout.

*Lag* is the number of records from a position to the end.

*Retention.* A record stays at least until `trim` is called with a time after its append; trim never passes a reader's
position.

*Members.* Readers of one role that share a topic join it, each under a name of its own; every partition is one member's at a
time, as far as members can know: one that hangs may believe for a while that it still has a partition that has moved on.
Positions in the reader's database (compare and swap) fence it; a membership only spreads the work.

*Errors.* `BusUnavailable` (retryable): the server cannot be reached. `BusFull` (retryable): too much is waiting to be
appended; come back later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from zlib import crc32

from citybrain.errors import Unavailable


class BusUnavailable(Unavailable):
    """The bus cannot be reached now."""


class BusFull(Unavailable):
    """Too many records are waiting to be appended."""


class Record(NamedTuple):
    """One record: key (orders and places it), type (a header that tells readers whether to decode), value."""

    key: bytes
    type: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition, as columns of equal length; record n has the offset `first_offset + n`."""

    partition: int
    first_offset: int
    keys: Sequence[bytes]
    types: Sequence[str]
    values: Sequence[bytes]

    @property
    def next_offset(self) -> int:
        return self.first_offset + len(self.values)


class Assignment(NamedTuple):
    """Which partitions are a member's now. `number` differs after every change: what was read before may be another's."""

    number: int
    partitions: frozenset[int]


class Membership(Protocol):
    """A reader's place among those that share a topic. Made by `Bus.join`."""

    def current(self) -> Assignment:
        """As of now; kept up to date in the background, and empty until the first was given."""
        ...

    def why_not(self) -> str | None:
        """Why it cannot become or stay a member, for what no waiting heals; None where it is one, or others are away."""
        ...

    async def leave(self) -> None:
        """Others may have its partitions at once."""
        ...


class Bus(Protocol):
    """See the module's text for what each call promises."""

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        """Append to the partitions of the keys; durable on return."""
        ...

    async def append_everywhere(self, topic: str, record: Record) -> None:
        """Append one record to every partition (heartbeats)."""
        ...

    async def fetch(self, topic: str, positions: Mapping[int, int], max_records: int) -> list[Batch]:
        """Records from the given offsets on, about `max_records` in all; an empty list at the end."""
        ...

    async def wait(self, topic: str, timeout_s: float, reader: str = "") -> None:
        """Until records may have arrived since this reader's last wait, at most `timeout_s`; readers of a process have names."""
        ...

    async def join(self, topic: str, role: str, member: str) -> Membership:
        """Share the topic's partitions with the other members of a role. `member` is kept over restarts of the same reader."""
        ...

    async def ends(self, topic: str) -> dict[int, int]:
        """The next offset of every partition; with a reader's positions this gives its lag."""
        ...

    async def trim(self, topic: str, before: datetime) -> int:
        """Forget records appended before, behind every reader's position; how many."""
        ...


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: stable over processes and versions."""
    return crc32(key) % partitions
