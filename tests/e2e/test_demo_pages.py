"""`up --demo` as `make demo` runs it: what the duty desks are told, and how soon; and again on the same folder."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from city import City, clean_environment, eventually

FIRST_S, ALL_S = 60, 180
OVER_S = 420  # a day takes about a minute there: what empties and fills again within one is not over yet
STAGED = "Meter is silent (demo): dma-03"


class Demo:
    """A demo that runs, and what it has printed."""

    def __init__(self, city: City, process: subprocess.Popen[bytes], out: Path) -> None:
        self.city, self.process, self.out, self.begun_s = city, process, out, time.monotonic()

    @property
    def text(self) -> str:
        return self.out.read_text("utf-8")

    def page(self, *words: str) -> str:
        """The first page with these words, or nothing."""
        return next((line for line in self.text.splitlines() if " → " in line and all(word in line for word in words)), "")

    def wait_for(self, limit_s: float, *words: str) -> float:
        """The seconds from the demo's start to a page, which has to come within the limit."""
        left_s = limit_s - (time.monotonic() - self.begun_s)
        assert eventually(lambda: self.process.poll() is not None or self.page(*words), left_s, 0.2), (words, self.text[-4000:])
        assert self.process.poll() is None, self.text[-4000:]
        return time.monotonic() - self.begun_s


@contextmanager
def demo(city: City, out: Path, lang: str) -> Iterator[Demo]:
    with out.open("wb") as file:
        process = subprocess.Popen(
            [city.command, "up", "--data", str(city.data), "--port", str(city.port), "--demo"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=clean_environment() | city.environment | {"LC_ALL": lang, "PYTHONUNBUFFERED": "1"},
            cwd=city.root,
            start_new_session=True,
        )
        city.process = process
        try:
            yield Demo(city, process, out)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            city.process = None


@pytest.mark.long
@pytest.mark.timeout(660)
def test_the_demo_pages_a_full_car_park_and_a_silent_meter_and_a_second_demo_goes_on(tmp_path: Path) -> None:
    city = City(tmp_path)
    try:
        with demo(city, tmp_path / "first.txt", "C.UTF-8") as first:
            seconds = {
                "full car park": first.wait_for(FIRST_S, "FIRING", "Car park full", "signature verified"),
                "silent meter": first.wait_for(ALL_S, "water-duty", "FIRING", STAGED),
                "speaks again": first.wait_for(ALL_S + 60, "RESOLVED", STAGED),
                "over": first.wait_for(OVER_S, "RESOLVED", "Car park full"),
            }
            print({name: round(found) for name, found in seconds.items()})  # noqa: T201 - how soon, for whoever reads the test's output
            assert "Staged: dma-03" in first.text
            assert "refused" not in "".join(
                line for line in first.text.splitlines() if " → " in line or "signature" in line.lower()
            )
            desks = {one["name"]: one["url"] for one in city.items("/v1/endpoints")}
        with demo(city, tmp_path / "second.txt", "zh_CN.UTF-8") as second:
            second.wait_for(FIRST_S, "停车场已满", "签名已验证")
            moved = {one["name"]: one["url"] for one in city.items("/v1/endpoints")}
        assert set(moved) == set(desks) >= {"traffic-duty", "water-duty", "duty-chief", "demo-desk"}
        assert all(moved[name] != desks[name] for name in desks)
    finally:
        city.remove()
