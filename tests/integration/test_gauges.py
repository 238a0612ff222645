"""The gauges of the whole pipeline tell what the tables hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from citybrain.access import Access
from citybrain.api.gauges import measure
from citybrain.api.parts import ApiParts
from citybrain.api.status import read_status
from citybrain.bus.kafka import open_kafka_bus
from citybrain.bus.kafka_settings import KafkaSettings
from citybrain.bus.port import BusUnavailable
from citybrain.errors import SettingsError, Unavailable
from citybrain.ingest.heartbeat import heartbeat
from citybrain.store.keys import KeyStore
from citybrain.store.pool import Pool
from citybrain.telemetry import Metrics
from citybrain_schemas.topics import EVENTS_TOPIC
from pipeline import pipeline
from records import T0, minutes_later, occupancy, records, small_city


async def test_gauges_tell_lag_stages_dead_letters_endpoints_and_disk(database: str, tmp_path: Path) -> None:
    async with pipeline(database, small_city()) as behind:
        metrics = Metrics()
        parts = ApiParts(
            behind.pool,
            behind.bus,
            small_city,
            Access(KeyStore(behind.pool)),
            "0",
            "embedded",
            metrics=metrics,
        )

        def told(name: str, **labels: str) -> float | None:
            return metrics.registry.get_sample_value(f"citybrain_{name}", labels)

        await behind.post(records([occupancy("a", T0, 1, 4), occupancy("b", minutes_later(5), 2, 4)]))
        await measure(parts, tmp_path)
        assert told("role_lag", role="aggregate") == 2
        assert told("stage_through_seconds", stage="stored") is None  # nothing has passed yet: no figure, rather than 1970
        await behind.bus.append_everywhere(EVENTS_TOPIC, heartbeat(datetime.now(UTC), "test"))
        await behind.drain()
        await behind.pool.execute(
            "insert into dead_letter (role, topic, partition, record_offset, key, type, value, reason)"
            " values ('aggregate', 't', 0, 1, '', '', '', 'garbage')"
        )
        for name, disabled, open_for in (("a", None, None), ("b", None, 60), ("c", None, -60), ("d", datetime.now(UTC), 60)):
            await endpoint(behind.pool, name, disabled, open_for)
        await measure(parts, None)
        assert [told("endpoints", state=state) for state in ("works", "left_alone", "disabled")] == [1, 2, 1]
        assert told("role_lag", role="aggregate") == 0
        assert told("stage_through_seconds", stage="stored") is not None
        assert told("dead_letters") == 1
        assert (told("database_bytes") or 0) > 1_000_000
        assert (told("disk_free_bytes", place="data") or 0) > 0


async def test_while_the_bus_is_away_all_else_is_measured(database: str) -> None:
    async with pipeline(database, small_city()) as city, open_kafka_bus("127.0.0.1:1", KafkaSettings(), Metrics()) as away:
        metrics = Metrics()
        parts = ApiParts(city.pool, away, small_city, Access(KeyStore(city.pool)), "0", "cluster", metrics=metrics)
        with pytest.raises(BusUnavailable):
            await measure(parts, None)
        told = metrics.registry.get_sample_value
        assert told("citybrain_role_lag", {"role": "deliver"}) == 0
        assert told("citybrain_dead_letters") == 0


async def test_a_topic_that_is_not_as_it_has_to_be_is_told_as_what_may_change(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(topic: str) -> NoReturn:
        raise SettingsError(f"topic {topic} has cleanup.policy=compact")

    async with pipeline(database, small_city()) as city:
        monkeypatch.setattr(city.bus, "ends", refused)
        with pytest.raises(Unavailable, match="policy=compact"):
            await read_status(ApiParts(city.pool, city.bus, small_city, Access(KeyStore(city.pool)), "0", "cluster"))


async def endpoint(pool: Pool, name: str, disabled_at: datetime | None, open_for_s: int | None) -> None:
    """A receiver whose breaker is open for so long, or tries anew since, or was never open."""
    await pool.execute(
        "with made as (insert into endpoint (endpoint_id, name, url, format, made_by, disabled_at)"
        " values (gen_random_uuid(), $1, 'https://example.org', 'citybrain', 'test', $2) returning endpoint_id)"
        " insert into endpoint_health (endpoint_id, window_from, open_until)"
        " select endpoint_id, now(), now() + $3 * interval '1 s' from made",
        name, disabled_at, open_for_s,
    )  # fmt: skip
