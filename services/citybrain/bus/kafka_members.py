"""A place in a Kafka group, for the assignment alone: nothing is read through it. Made by `kafka.KafkaBus.join`.

The member is static: started again under the same name within the session timeout it gets its partitions back, and nobody else's
move. Partitions are shared out stickily. The positions that readers keep are committed to the group now and then, so that tools
for lag see them; they are never read back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from citybrain.bus.kafka_errors import DRIVER_ERRORS, line_of, may_pass
from citybrain.bus.kafka_read import start_consumer, stop_consumer
from citybrain.bus.kafka_settings import KafkaSettings, connection_arguments
from citybrain.bus.port import Assignment, BusUnavailable
from citybrain.errors import CitybrainError
from citybrain.loops import Pulse

_log = logging.getLogger(__name__)
LOOK_MS = 500
COMMIT_EVERY_S = 5
AGAIN_S = 1
_NEVER_MS = 2**31 - 1


class KafkaMembership:
    """See `citybrain.bus.port.Membership`. `positions` gives where this process's readers of the topic stand.

    `pulse` fails while Kafka refuses us. One that is away is no fault of ours.
    """

    def __init__(
        self,
        servers: str,
        settings: KafkaSettings,
        place: tuple[str, str, str],
        positions: Callable[[], Mapping[int, int]],
        pulse: Pulse,
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._topic, self._role, self._member = place
        self._positions = positions
        self._pulse = pulse
        self._current = Assignment(0, frozenset())
        self._task = asyncio.create_task(self._stay(), name=f"bus member {self._member}")

    def current(self) -> Assignment:
        if self._task.done() and not self._task.cancelled():
            self._task.result()  # raises: it ends by cancellation, or by an error that nobody foresaw
        return self._current

    def why_not(self) -> str | None:
        return self._pulse.why_not()

    def give(self, partitions: Iterable[int]) -> None:
        """What the group says; every change has a number of its own."""
        self._current = Assignment(self._current.number + 1, frozenset(partitions))

    async def leave(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self.give(())

    async def _stay(self) -> None:
        """Be a member until cancelled; again after every failure."""
        while True:
            try:
                await self._be_member()
            except DRIVER_ERRORS as error:
                reason = line_of(error)
                self._pulse.failed(BusUnavailable(reason) if may_pass(error) else CitybrainError(reason))
                _log.warning("bus_membership_lost", extra={"topic": self._topic, "role": self._role, "reason": reason})
            self.give(())
            await asyncio.sleep(AGAIN_S)

    async def _be_member(self) -> None:
        """Returns never. Raises what went wrong."""
        consumer = self._consumer()
        await start_consumer(consumer)
        try:
            listener = _Listener(self, consumer)
            consumer.subscribe([self._topic], listener=listener)
            committed, at = dict[int, int](), time.monotonic()
            while True:
                await consumer.getmany(timeout_ms=LOOK_MS, max_records=1)  # all is paused: this only raises the group's errors
                if listener.is_member:
                    self._pulse.done()
                if time.monotonic() - at > COMMIT_EVERY_S:
                    committed, at = await self._commit(consumer, committed), time.monotonic()
        except asyncio.CancelledError:
            consumer._coordinator._group_instance_id = None  # noqa: SLF001 - else stop() keeps the place of a static member
            raise
        finally:
            await stop_consumer(consumer)

    def _consumer(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        session_ms = self._settings.session_timeout_s * 1000
        assignor = type("Sticky", (StickyPartitionAssignor,), {})  # it keeps its memory in its class: one a member
        return AIOKafkaConsumer(
            group_id=f"citybrain.{self._role}.{self._topic}",
            group_instance_id=self._member,
            partition_assignment_strategy=(assignor,),
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 4),
            rebalance_timeout_ms=session_ms,
            max_poll_interval_ms=_NEVER_MS,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            **connection_arguments(self._servers, self._settings),
        )

    async def _commit(self, consumer: Any, committed: Mapping[int, int]) -> dict[int, int]:  # noqa: ANN401
        positions = {number: at for number, at in self._positions().items() if number in self._current.partitions}
        if positions and positions != committed:
            try:
                await consumer.commit({TopicPartition(self._topic, number): at for number, at in positions.items()})
            except DRIVER_ERRORS as error:
                _log.debug("bus_commit_failed", extra={"topic": self._topic, "reason": line_of(error)})
        return positions


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, membership: KafkaMembership, consumer: Any) -> None:  # noqa: ANN401
        self._membership = membership
        self._consumer = consumer
        self.is_member = False

    def on_partitions_revoked(self, revoked: object) -> None:
        self._membership.give(())

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self.is_member = True
        places = list(assigned)
        self._consumer.pause(*places)
        self._membership.give(place.partition for place in places)
