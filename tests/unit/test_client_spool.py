"""The spool of a field app: in order, all or none, bounded, the same after it was opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from citybrain.client import ClientError, Refused, Spool, SpoolFull
from citybrain.client.field_app import complete
from citybrain.client.http import Rejection


def test_events_wait_in_order_until_the_city_has_answered(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.put([b"a", b"b", b"c"])
    spool.put([b"d"])
    taken = spool.take(3, 1000)
    assert [one.body for one in taken] == [b"a", b"b", b"c"]
    assert spool.take(3, 1000) == taken
    spool.done(taken, {1: Rejection(1, "invalid_field", "data.x", "is odd")})
    assert [one.body for one in spool.take(9, 1000)] == [b"d"]
    assert spool.refused() == [Refused(b"b", "invalid_field", "data.x", "is odd")]
    spool.forget_refused()
    assert (spool.refused(), spool.count()) == ([], 1)
    spool.close()
    again = Spool(tmp_path / "spool.db")
    assert [one.body for one in again.take(9, 1000)] == [b"d"]
    again.close()


def test_a_batch_is_bounded_in_bytes_and_is_never_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.put([b"x" * 100, b"y" * 10, b"z" * 100])
    assert [len(one.body) for one in spool.take(9, 50)] == [100]
    assert [len(one.body) for one in spool.take(9, 112)] == [100, 10]
    spool.close()


def test_too_much_is_refused_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=10)
    spool.put([b"12345"])
    with pytest.raises(SpoolFull, match="holds 5 bytes"):
        spool.put([b"1", b"12345"])
    assert spool.count() == 1
    spool.done(spool.take(1, 100), {})
    spool.put([b"1234567890"])
    spool.close()


def test_what_is_no_spool_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"not a database" * 100)
    for path in (tmp_path / "odd", tmp_path / "no" / "folder"):
        with pytest.raises(ClientError, match="cannot be used as a spool"):
            Spool(path)


def test_an_event_gets_what_it_lacks_and_keeps_what_it_has() -> None:
    made = [complete({"type": "bin.level", "data": {}}, "/app") for _ in range(50)]
    assert len({one["id"] for one in made}) == 50
    assert [one["id"][:12] for one in made] == sorted(one["id"][:12] for one in made)
    assert made[0]["source"] == "/app"
    assert made[0]["time"].endswith("+00:00")
    own = {"id": "1", "source": "/own", "time": "2026-01-01T00:00:00Z", "type": "x", "data": {}, "specversion": "1.0", "odd": 1}
    assert complete(own, "/app") == own
