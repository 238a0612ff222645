"""The spool of a field app: in order, all or none, bounded, the same after it was opened again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path

import pytest

from citybrain.client import ClientError, Refused, Spool, SpoolFull
from citybrain.client.field_app import MAX_EVENT_BYTES, complete, encoded
from citybrain.client.http import Rejection
from citybrain.client.spool import JOURNAL_BYTES
from citybrain.ingest.strict_json import MAX_ITEM_BYTES


def test_events_wait_in_order_until_the_city_has_answered(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    spool.put([b"a", b"b", b"c"])
    spool.put([b"d"])
    taken = spool.take(3, 1000)
    assert [one.body for one in taken] == [b"a", b"b", b"c"]
    assert spool.take(3, 1000) == taken
    spool.done(taken, {1: Rejection(1, "invalid_field", "data.x", "is odd")})
    assert [one.body for one in spool.take(9, 1000)] == [b"d"]
    assert spool.refused() == [Refused(taken[1].number, b"b", "invalid_field", "data.x", "is odd")]
    spool.forget(spool.refused())
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
    spool = Spool(tmp_path / "spool.db", limit_bytes=100_000)
    spool.put([b"12345"])
    with pytest.raises(SpoolFull, match="takes 100000 bytes at most"):
        spool.put([b"1", b"x" * 100_000])
    assert spool.count() == 1
    spool.done(spool.take(1, 100), {})
    spool.put([b"1234567890"])
    spool.close()


def test_the_limit_holds_for_all_who_put_and_take_together(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    both = [Spool(path, limit_bytes=200_000) for _ in range(2)]

    def fill() -> None:
        for n in range(1000):
            both[n % 2].put([b"x" * 900])

    for _ in range(3):
        with pytest.raises(SpoolFull):
            fill()
        assert 150 < both[0].count() <= 200_000 // 900
        taken = both[0].take(1000, 1 << 20)
        both[0].done(taken, {})
        both[1].done(taken, {})  # it had posted the same
    for one in both:
        one.close()
    assert path.stat().st_size < 200_000 + JOURNAL_BYTES * 2


def test_what_was_refused_is_bounded_and_the_newest_of_it_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=160_000)
    for n in range(40):
        spool.put([b"%03d" % n + b"x" * 997, b"y"])
        spool.done(spool.take(2, 10_000), {0: Rejection(0, "future_time", "time", "is ahead")})
    assert [one.body[:3] for one in spool.refused()] == [b"%03d" % n for n in range(30, 40)]
    spool.forget(spool.refused()[:9])
    assert [one.body[:3] for one in spool.refused()] == [b"039"]
    spool.close()


def test_a_spool_is_made_by_one_where_no_file_can_have_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_fat_has_it(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    path, replace = tmp_path / "spool.db", Path.replace
    quicker: list[Future[None]] = []

    def keep_one() -> None:
        other = Spool(path)
        other.put([b"kept"])
        other.close()

    def while_another_makes_it(fresh: Path, target: Path) -> Path:
        if not quicker:
            quicker.append(threads.submit(keep_one))
            wait(quicker, 0.3)
        return replace(fresh, target)

    monkeypatch.setattr(os, "link", as_fat_has_it)
    monkeypatch.setattr(Path, "replace", while_another_makes_it)
    with ThreadPoolExecutor(1) as threads:
        spool = Spool(path)
        quicker[0].result(10)
    assert spool.count() == 1
    spool.close()


def test_a_spool_that_cannot_be_made_leaves_no_new_file_at_each_try(tmp_path: Path) -> None:
    (tmp_path / "spool.db.new").mkdir()  # nothing can be made there
    for _ in range(2):
        with pytest.raises(ClientError, match="cannot be used as a spool"):
            Spool(tmp_path / "spool.db")
    (tmp_path / "spool.db.new").rmdir()
    assert [one.name for one in tmp_path.iterdir()] == ["spool.db.lock"]
    Spool(tmp_path / "spool.db").close()
    assert {one.name for one in tmp_path.iterdir()} == {"spool.db", "spool.db-journal"}


def test_what_is_no_spool_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"not a database" * 100)
    for path in (tmp_path / "odd", tmp_path / "no" / "folder"):
        with pytest.raises(ClientError, match="cannot be used as a spool"):
            Spool(path)


def _full_spool(path: Path, count: int = 400) -> list[bytes]:
    bodies = [b'{"id": "%d", "data": "%s"}' % (n, b"x" * 150) for n in range(count)]
    spool = Spool(path)
    spool.put(bodies)
    spool.close()  # the write-ahead log is in the file now
    return bodies


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_a_spool_that_was_cut_off_is_said_to_be_and_is_left_as_it_is(tmp_path: Path, share: float) -> None:
    path = tmp_path / "spool.db"
    _full_spool(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    for _ in range(2):
        with pytest.raises(
            ClientError, match=r"spool\.db cannot be used as a spool: .*left as it is: put it aside to begin anew$"
        ):
            Spool(path)
        assert path.read_bytes() == whole[: int(len(whole) * share)]


def test_whatever_byte_of_a_spool_is_broken_it_is_said_or_every_event_is_there(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    bodies = _full_spool(path, 60)
    whole, dice, said = path.read_bytes(), random.Random(5), 0
    for _ in range(150):
        broken = bytearray(whole)
        at = dice.randrange(len(broken))
        broken[at : at + 16] = bytes(dice.randrange(256) for _ in broken[at : at + 16])
        path.write_bytes(broken)
        for name in ("spool.db-wal", "spool.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        try:
            spool = Spool(path)
        except ClientError:
            said += 1
            continue
        try:
            taken = spool.take(1000, 1 << 20)
            assert len(taken) == len(bodies)
            broken_ones = [one for one, body in zip(taken, bodies, strict=True) if one.body != body]
            assert len(broken_ones) <= 2  # what is wrong with these the city says
        except ClientError:
            said += 1
        finally:
            spool.close()
    assert said > 5


_FILL = """
import resource, sys
from pathlib import Path
from citybrain.client import ClientError, Spool
path = Path(sys.argv[1])
spool = Spool(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        spool.put([b"%06d" % kept + b"x" * 500])
        kept += 1
except ClientError as error:
    print(kept, error, flush=True)
assert spool.count() == kept
try:
    spool.put([b"again" * 2000])
except ClientError:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.put([b"last"])
import os; os._exit(0)  # without closing: as a crash would
"""


def test_a_disk_that_is_full_is_said_and_nothing_that_was_kept_is_lost(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FILL, str(tmp_path / "spool.db")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept, _, said = done.stdout.strip().partition(" ")
    assert "spool.db cannot be written: " in said
    spool = Spool(tmp_path / "spool.db")
    bodies = [one.body for one in spool.take(10_000, 1 << 30)]
    spool.close()
    assert [body[:6] for body in bodies[:-1]] == [b"%06d" % n for n in range(int(kept))]
    assert (bodies[-1], int(kept) > 20) == (b"last", True)


def test_a_journal_has_its_room_from_the_beginning_whatever_ends_the_program(tmp_path: Path) -> None:
    path, journal = tmp_path / "spool.db", tmp_path / "spool.db-journal"
    Spool(path).close()
    assert (path.stat().st_size < 50_000, journal.stat().st_size) == (True, JOURNAL_BYTES)
    _full_spool(path)
    killed = (
        "import os, sqlite3, sys; spool = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "[spool.execute(one) for one in ('pragma journal_mode = persist', 'pragma cache_size = 1', 'begin immediate')];"
        "spool.execute('delete from waiting'); spool.execute('insert into refused (body) values (randomblob(900000))');"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", killed, str(path)], check=True)
    assert journal.read_bytes()[:1] != b"\0"  # it holds what was there before
    spool = Spool(path)
    assert (spool.count(), spool.refused(), journal.stat().st_size) == (400, [], JOURNAL_BYTES)
    spool.close()
    journal.unlink()
    Spool(path).close()
    assert journal.stat().st_size == JOURNAL_BYTES


_EMPTY = """
import os, resource, sys
from pathlib import Path
from citybrain.client import ClientError, Spool
from citybrain.client.http import Rejection
path = Path(sys.argv[1])
spool = Spool(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        spool.put([b"%06d" % kept + b"x" * int(sys.argv[2])])
        kept += 1
except ClientError:
    pass
if sys.argv[3] == "again":
    spool.close()
    spool = Spool(path)
used, full = sum(one.stat().st_size for one in path.parent.iterdir()), path.stat().st_size
while batch := spool.take(500, 1 << 19):
    refused = {n: Rejection(n, "future_time", "time", "is ahead") for n in range(len(batch) * (sys.argv[3] == "refused"))}
    spool.done(batch, refused)
    kept -= len(batch)
    assert sum(one.stat().st_size for one in path.parent.iterdir()) <= used
assert kept == 0, kept
assert sys.argv[3] == "refused" or path.stat().st_size < full // 10
assert sys.argv[3] != "refused" or spool.refused()
"""


@pytest.mark.parametrize("how", ["", "again", "refused"])
@pytest.mark.parametrize("size", [2100, 60_000])
def test_a_disk_that_is_full_is_emptied_without_any_space_and_given_back(tmp_path: Path, size: int, how: str) -> None:
    command = [sys.executable, "-c", _EMPTY, str(tmp_path / "spool.db"), str(size), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_those_who_make_a_spool_at_once_share_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: Spool(tmp_path / "shared.db"), range(8)))
    for number, one in enumerate(made):
        one.put([b"%d" % number])
    assert {one.count() for one in made} == {8}
    for one in made:
        one.close()
    assert {one.name for one in tmp_path.iterdir()} == {"shared.db", "shared.db-journal"}


def test_an_event_gets_what_it_lacks_and_keeps_what_it_has() -> None:
    made = [complete({"type": "bin.level", "data": {}}, "/app") for _ in range(50)]
    assert len({one["id"] for one in made}) == 50
    assert [one["id"][:12] for one in made] == sorted(one["id"][:12] for one in made)
    assert made[0]["source"] == "/app"
    assert made[0]["time"].endswith("+00:00")
    own = {"id": "1", "source": "/own", "time": "2026-01-01T00:00:00Z", "type": "x", "data": {}, "specversion": "1.0", "odd": 1}
    assert complete(own, "/app") == own


def test_what_no_city_would_take_is_refused_at_once() -> None:
    assert MAX_EVENT_BYTES == MAX_ITEM_BYTES
    assert len(encoded({"x": "y" * (MAX_EVENT_BYTES - 9)})) == MAX_EVENT_BYTES
    with pytest.raises(ClientError, match="an event of 262145 bytes: a city takes 256 KiB at most"):
        encoded({"x": "y" * (MAX_EVENT_BYTES - 8)})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for odd in ("\ud800", b"bytes", float("nan"), deep):
        with pytest.raises(ClientError, match="an event is not JSON: "):
            encoded({"subject": odd})
    with pytest.raises(ClientError, match="needs a zone"):
        complete({"type": "x", "data": {}, "time": datetime(2026, 11, 29)}, "/app")  # noqa: DTZ001 - that is what is wrong with it
