"""How processes of aggregate end by themselves: at the end of the topic with 0, at too much garbage with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from citybrain.bus.port import Record
from citybrain.bus.postgres import open_postgres_bus
from citybrain.store.pool import open_pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from cluster import DATABASE, Cluster, cluster, wait_for
from records import CITY, GRIDS, minutes_later, occupancy, records

pytestmark = [pytest.mark.long, pytest.mark.cluster, pytest.mark.timeout(120)]
COUNT = 3_000
FIGURES = "select sum(stored), sum(dead) from bus_position where role = 'aggregate'"

ROLLED_UP = """
select coalesce(sum(w.count), 0)::int as n from metric_window_1m w join series r on r.series_no = w.series
 where not w.leaf and r.metric = 'parking.occupied' and r.area = '{area}'
"""


def readings() -> list[Record]:
    return records(occupancy(f"{n}", minutes_later(n % 60), 1, subject=f"lot-{n % 40}") for n in range(COUNT))


def with_garbage(every: int) -> list[Record]:
    return [one._replace(value=b"\x00 garbage") if n % every == 0 else one for n, one in enumerate(readings())]


def append(city: Cluster, found: Sequence[Record]) -> None:
    """Behind ingest's back."""

    async def work() -> None:
        async with open_pool(city.server.dsn(DATABASE), max_size=3) as pool, open_postgres_bus(pool, Metrics(), 4) as bus:
            await bus.append(EVENTS_TOPIC, found)

    wait_for(work())


def figures(city: Cluster) -> tuple[int, int]:
    stored, dead = wait_for(city.execute(FIGURES))[0]
    return int(stored), int(dead)


def test_until_end_stores_what_the_topic_has_once_and_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path) as city:
        append(city, with_garbage(100))
        for _ in range(2):
            done = city.run("aggregate", "--until-end").ok()
            assert f"{COUNT} records" in done.out
            assert len(done.out.splitlines()) == 1
            assert figures(city) == (COUNT - 30, 30)
        assert wait_for(city.execute("select count(*) as n from dirty"))[0]["n"] == 0
        for area in (GRIDS[0], CITY):
            assert wait_for(city.execute(ROLLED_UP.format(area=area)))[0]["n"] == COUNT - 30


def test_until_end_refuses_a_topic_that_has_less_than_was_read(tmp_path: Path) -> None:
    with cluster(tmp_path) as city:
        append(city, readings())
        city.run("aggregate", "--until-end").ok()
        wait_for(city.execute("update bus_position set next_offset = next_offset + 1 where role = 'aggregate' and partition = 1"))
        refused = city.run("aggregate", "--until-end")
        assert refused.code == 1
        assert len(refused.complaint) == 1
        assert "partition 1 ends at" in refused.complaint[0]


def test_too_much_garbage_ends_the_role_with_the_reason_in_one_line(tmp_path: Path) -> None:
    with cluster(tmp_path) as city:
        append(city, with_garbage(3))
        drained = city.run("aggregate", "--until-end")
        assert drained.code == 1
        assert len(drained.complaint) == 1
        assert "cannot be decoded" in drained.complaint[0]
        role = city.start_without_waiting("aggregate")
        assert role.process is not None
        assert role.process.wait(60) == 1
        assert [line for line in role.log.splitlines() if line.startswith("citybrain: ") and "cannot be decoded" in line]
        assert sum(figures(city)) < COUNT
