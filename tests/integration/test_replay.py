"""Replay against a city of real sockets: what it posts, reports, retries, and how it goes on after an interruption."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console
from stub_city import KEY, StubCity, eventually, stub_city

from citybrain.client.errors import CityUnreachable, ClientError, PostRefused
from citybrain.client.http import Patience
from citybrain.replay.errors import ReplayError
from citybrain.replay.report import Report
from citybrain.replay.run import ReplayOptions, replay

DATA = Path(__file__).parent.parent / "data"
MAPS = Path(__file__).parents[2] / "deploy" / "city" / "maps"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def event(number: int, **changes: object) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "/test", "type": "parking.occupancy", "subject": "lot-1",
        "time": (BEGIN + timedelta(seconds=number)).isoformat(), "data": {"occupied": number, "capacity": 100_000},
    } | changes  # fmt: skip


def written(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in events), "utf-8")
    return path


async def run(city: StubCity, file: Path, **changes: object) -> Report:
    options: dict[str, Any] = {"to": city.url, "key": KEY, "map_folders": (MAPS,), **changes}
    return await replay(ReplayOptions(file, **options), console=Console(file=io.StringIO()))


def only_file(folder: Path) -> str:
    return " ".join(path.name for path in folder.iterdir())


async def test_a_file_is_posted_once_and_in_order_roughly(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(1234)])
    async with stub_city() as city:
        report = await run(city, file, batch=100)
    assert (report.read, report.accepted, report.rejected.total(), report.repeated) == (1234, 1234, 0, 0)
    assert city.posts == 13
    assert sorted(one["data"]["occupied"] for one in city.kept) == list(range(1234))
    assert "accepted 1,234" in report.text()
    assert only_file(tmp_path) == file.name


async def test_a_second_run_is_all_repeated(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(50)])
    async with stub_city() as city:
        await run(city, file)
        again = await run(city, file)
    assert (again.accepted, again.repeated) == (50, 50)


async def test_lines_go_out_byte_for_byte_when_nothing_shifts_them(tmp_path: Path) -> None:
    odd = '{"specversion":"1.0","id":"x","source":"/s","data":{"value":1.2300000000000000000001}, "type":"t"}'
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + odd.encode() + b"\r\n\n  \n")
    bodies = []

    async def listen(request: web.Request) -> None:
        bodies.append(await request.read())

    async with stub_city() as city:
        city.trouble = listen
        report = await run(city, file)
    assert bodies == [odd.encode() + b"\n"]
    assert report.read == 1


async def test_rejections_are_reported_by_code_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    good, bad = json.dumps(event(1)), json.dumps(event(2, data={"occupied": -3, "capacity": 9}))
    file.write_text(f"{good}\n\n{bad}\nnot json\n", "utf-8")
    async with stub_city() as city:
        report = await run(city, file)
    assert report.rejected == {"invalid_field": 1, "not_json": 1}
    assert [(one.line, one.code, one.field) for one in report.samples] == [
        (3, "invalid_field", "data.occupied"),
        (4, "not_json", ""),
    ]
    assert "line 3: invalid_field: data.occupied: below zero" in report.text()


async def test_refused_for_now_is_tried_again_after_the_time_the_city_asks_for(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(10)])
    refusals = [503, 429]

    async def busy(_: web.Request) -> web.Response | None:
        return web.Response(status=refusals.pop(), headers={"Retry-After": "1"}) if refusals else None

    async with stub_city() as city:
        city.trouble = busy
        begun = time.monotonic()
        report = await run(city, file)
    assert time.monotonic() - begun >= 2
    assert (report.accepted, city.posts, len(city.kept)) == (10, 3, 10)


async def test_a_connection_that_breaks_after_the_city_kept_the_events_counts_nothing_twice(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(40)])
    broken = []

    async with stub_city() as city:

        async def keep_and_break(request: web.Request) -> web.Response | None:
            if len(broken) < 3 and request.transport:
                broken.append(1)
                for line in (await request.read()).splitlines():
                    city._judge(line)
                request.transport.close()
                return web.Response()
            return None

        city.trouble = keep_and_break
        report = await run(city, file, batch=10)
        assert report.accepted == 40
        assert len(city.ids) == 40
        assert report.repeated == 30


async def test_a_wrong_key_is_refused_at_once_without_being_shown(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(1)])
    async with stub_city() as city:
        with pytest.raises(PostRefused, match="401") as refused:
            await run(city, file, key="wrong-key-wrong-key-wrong")
    assert "wrong-key" not in str(refused.value)
    assert "wrong-key" not in repr(ReplayOptions(file, key="wrong-key-wrong-key-wrong"))


async def test_a_city_that_is_not_there_is_given_up_after_bounded_tries(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(1)])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        to = f"http://127.0.0.1:{taken.getsockname()[1]}"
        options = ReplayOptions(file, to, KEY, patience=Patience(at_first_s=1.0))
        with pytest.raises(CityUnreachable, match=r"gave up after \d+ tries") as given_up:
            await replay(options, console=Console(file=io.StringIO()))
    assert to in str(given_up.value)
    assert "\n" not in str(given_up.value)


@pytest.mark.parametrize("to", ["nowhere", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:notaport"])
async def test_an_address_that_is_none_is_refused(tmp_path: Path, to: str) -> None:
    file = written(tmp_path / "events.ndjson", [event(1)])
    with pytest.raises(ClientError, match="not the address of a city"):
        await replay(ReplayOptions(file, to, KEY), console=Console(file=io.StringIO()))


async def test_a_missing_file_is_named() -> None:
    with pytest.raises(ReplayError, match=r"none\.ndjson"):
        await replay(ReplayOptions(Path("none.ndjson"), "http://127.0.0.1:1", KEY), console=Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[{}]", "a JSON array"), (gzip.compress(b"{}\n" * 9)[:-6], "cannot read"), (b"x" * 17 * 2**20, "more than 16 MiB")],
)
async def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(content)
    async with stub_city() as city:
        with pytest.raises(ReplayError, match=said) as failed:
            await run(city, file)
    assert str(file) in str(failed.value)


async def test_csv_without_a_map_says_so(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n", "utf-8")
    async with stub_city() as city:
        with pytest.raises(ReplayError, match="--map"):
            await run(city, file)
        with pytest.raises(ReplayError, match="no map named 'parking'; known: heat_meter"):
            await run(city, file, map_name="parking")
        with pytest.raises(ReplayError, match="has no column 'Capacity'"):
            await run(city, file, map_name="parking_birmingham")


async def test_the_birmingham_file_gives_as_many_identities_as_it_has_distinct_rows() -> None:
    async with stub_city() as city:
        report = await run(city, DATA / "parking_birmingham" / "parking.csv.gz", map_name="parking_birmingham", batch=2000)
        assert (report.read, report.accepted) == (35_717, 35_717 - 12)
        assert report.rejected == {"invalid_field": 12}
        assert report.repeated == 216
    assert len(city.ids) == 35_717 - 12 - 216


async def test_a_shifted_file_begins_now_and_its_clock_runs_as_fast_as_told(tmp_path: Path) -> None:
    events = [event(n, time=(BEGIN + timedelta(minutes=n)).isoformat()) for n in range(4)]
    file = written(tmp_path / "events.ndjson", events)
    arrived: list[datetime] = []

    async def note(_: web.Request) -> None:
        arrived.append(datetime.now(UTC))

    async with stub_city() as city:
        city.trouble = note
        begun = datetime.now(UTC)
        await run(city, file, shift="now", speed=120)
    times = [datetime.fromisoformat(one["time"]) for one in city.kept]
    assert timedelta() <= times[0] - begun < timedelta(seconds=1)
    assert [round((at - times[0]).total_seconds(), 3) for at in times] == [0, 0.5, 1.0, 1.5]
    assert all(timedelta() <= seen - at < timedelta(seconds=0.5) for seen, at in zip(arrived, times, strict=True))
    assert all(one["id"].startswith(f"e{n}~") for n, one in enumerate(city.kept))
    assert city.kept[2]["data"] == events[2]["data"]


async def test_a_shift_by_a_length_moves_times_and_marks_ids(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(3)])
    async with stub_city() as city:
        await run(city, file, shift=timedelta(days=-2))
    assert [one["id"] for one in city.kept] == ["e0~-172800s", "e1~-172800s", "e2~-172800s"]
    assert datetime.fromisoformat(city.kept[1]["time"]) == BEGIN + timedelta(days=-2, seconds=1)


async def test_a_cancelled_run_goes_on_where_it_stopped_with_the_same_times(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(300)])
    async with stub_city() as city:
        going = asyncio.create_task(run(city, file, shift="now", speed=100, batch=20))
        await eventually(lambda: len(city.kept) > 60)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        assert (tmp_path / "events.ndjson.citybrain-progress").is_file()
        before = len(city.kept)
        report = await run(city, file, shift="now", speed=100, batch=20)
        assert 0 < report.resumed_at <= before
        assert (report.read, report.accepted, len(city.ids)) == (300, 300, 300)
    first = datetime.fromisoformat(min(city.kept, key=lambda one: str(one["time"]))["time"])
    for one in city.kept:
        assert datetime.fromisoformat(one["time"]) == first + timedelta(seconds=one["data"]["occupied"] / 100)
    assert only_file(tmp_path) == file.name


async def test_a_changed_file_is_begun_anew(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(300)])
    async with stub_city() as city:
        going = asyncio.create_task(run(city, file, speed=100, batch=10))
        await eventually(lambda: len(city.kept) > 60)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        written(file, [event(n) for n in range(200)])
        report = await run(city, file, batch=10)
    assert (report.resumed_at, report.accepted) == (0, 200)


async def test_a_killed_run_goes_on_and_every_event_is_there_once(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [event(n) for n in range(3000)])
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from rich.console import Console
        from citybrain.replay.run import ReplayOptions, replay
        options = ReplayOptions(Path(sys.argv[1]), sys.argv[2], sys.argv[3], batch=20, speed=1000)
        asyncio.run(replay(options, console=Console()))
    """)
    async with stub_city() as city:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(file), city.url, KEY)
        try:
            await eventually(lambda: len(city.kept) > 1500, 20)
        finally:
            process.kill()
            await process.wait()
        report = await run(city, file, batch=20, speed=1000)
    assert report.resumed_at > 0
    assert report.accepted == 3000
    assert len(city.ids) == 3000
    assert len(city.kept) < 3000 + 1500


async def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    file = written(tmp_path / "events.ndjson", [])
    async with stub_city() as city:
        assert (await run(city, file)).read == 0
