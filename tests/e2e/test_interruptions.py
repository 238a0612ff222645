"""Stops, kills, a dead database and a full disk under load: what was accepted is there afterwards, once."""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from places import GRIDS, minutes_ago, occupancy, stamp, write_profile

from city import Answer, City, eventually

SENDERS, EACH = 4, 20


@dataclass
class Sender(threading.Thread):
    """Posts batches of its own car park until told to stop. A post that got no 202 is posted again, as it is."""

    city: City
    number: int
    accepted: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        part: list[dict[str, Any]] = []
        while not self.stopping.is_set():
            part = part or [
                occupancy(number % 90, subject=f"lot-{self.number}", area=GRIDS[self.number]) for number in range(EACH)
            ]
            try:
                answer = self.city.post(part)
            except (OSError, http.client.HTTPException):
                self.stopping.wait(0.05)
                continue
            if answer.status == 202:
                self.accepted += part
                part = []
            else:
                self.refused.append(answer)
                self.stopping.wait(0.05)


@contextmanager
def load(city: City) -> Iterator[list[Sender]]:
    """Senders that are at work for the time of the block."""
    senders = [Sender(city, number) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(60)


def accepted(senders: list[Sender]) -> list[dict[str, Any]]:
    return [event for sender in senders for event in list(sender.accepted)]


def goes_on(senders: list[Sender], limit_s: float = 60) -> bool:
    """Whether every sender gets something accepted from here on."""
    before = [len(sender.accepted) for sender in senders]
    return eventually(lambda: all(len(sender.accepted) > old for sender, old in zip(senders, before, strict=True)), limit_s)


def everything_is_there_once(city: City, senders: list[Sender]) -> None:
    """Every accepted event is stored once and counted once; one that got no answer may be there, too, but once."""
    city.settled()
    stored = Counter(event["id"] for event in city.items("/v1/events", limit=1000))
    sent = {event["id"] for event in accepted(senders)}
    assert sent <= stored.keys()
    assert len(stored) - len(sent) <= SENDERS * EACH
    assert set(stored.values()) == {1}
    span = (stamp(minutes_ago(60)), stamp(datetime.now(UTC)))
    counted = sum(
        point["count"] for number in range(SENDERS) for point in city.points("parking.occupied", GRIDS[number], span, "1m")
    )
    assert counted == len(stored) == city.settled()["stored"]
    city.on_data("state", "verify").ok()


@pytest.mark.long
@pytest.mark.timeout(120)
def test_after_sigterm_under_load_the_exit_is_0_within_10_s_and_every_accepted_event_is_there_once(own_city: City) -> None:
    with load(own_city) as senders:
        assert goes_on(senders)
        code, seconds = own_city.stop()
        assert code == 0
        assert seconds < 10
        own_city.start()
        assert goes_on(senders)
    everything_is_there_once(own_city, senders)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("database", [False, True], ids=["PostgreSQL left over", "PostgreSQL killed too"])
def test_after_kill_9_under_load_every_accepted_event_is_there_once(own_city: City, database: bool) -> None:
    with load(own_city) as senders:
        assert goes_on(senders)
        own_city.kill(database=database)
        own_city.start()
        assert goes_on(senders)
    everything_is_there_once(own_city, senders)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_while_the_database_is_dead_posts_get_503_with_retry_after_and_afterwards_it_goes_on_by_itself(own_city: City) -> None:
    with load(own_city) as senders:
        for _ in range(2):
            assert goes_on(senders)
            for sender in senders:
                sender.refused.clear()
            own_city.kill_database()
            assert eventually(lambda: [answer for sender in senders for answer in sender.refused])
            assert goes_on(senders)
            for sender in senders:
                _are_503_with_retry_after(sender.refused)
    assert own_city.process is not None
    assert own_city.process.poll() is None
    everything_is_there_once(own_city, senders)


def _are_503_with_retry_after(answers: list[Answer]) -> None:
    for answer in list(answers):
        assert answer.status == 503, answer.body
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[None]:
    """A file system of its own at a folder. Needs root: as somebody else there is no small disk to be had."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)], check=True, timeout=10)  # noqa: S607
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)  # noqa: S607


def _fill(path: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(bytes(65_536)):
            pass


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_on_a_full_disk_posts_get_503_with_retry_after_and_once_there_is_space_it_goes_on_by_itself(tmp_path: Path) -> None:
    profile = write_profile(tmp_path / "city")
    disk = tmp_path / "data"
    disk.mkdir()
    with small_disk(disk, 512), City(tmp_path, profile) as city:
        with load(city) as senders:
            assert goes_on(senders)
            _fill(disk / "filler")
            refused: Callable[[], bool] = lambda: all(sender.refused for sender in senders)  # noqa: E731
            assert eventually(refused, 60)
            _fill(disk / "filler")
            for sender in senders:
                _are_503_with_retry_after(sender.refused)
            (disk / "filler").unlink()
            assert goes_on(senders)
        everything_is_there_once(city, senders)
