"""What a loop tells of itself: when it works, when it does not, and whose fault that is."""

from __future__ import annotations

import pytest

from citybrain import loops, serving
from citybrain.errors import CitybrainError, Unavailable
from citybrain.loops import FAILING_S, STUCK_S, Pulse
from citybrain.serving import Readiness
from citybrain.telemetry import Metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the monotonic clock, for the test to move."""
    now = [1000.0]
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])
    return now


def pulse(metrics: Metrics | None = None) -> Pulse:
    return (metrics or Metrics()).loops.begin("rollup")


def test_a_loop_works_once_a_step_has_ended(clock: list[float]) -> None:
    one = pulse()
    assert one.why_not() == "rollup has not come round yet"
    one.done()
    assert one.why_not() is None


def test_a_loop_that_stumbles_works_and_one_that_goes_on_failing_does_not(clock: list[float]) -> None:
    one = pulse()
    one.done()
    for n in range(3):
        one.failed(CitybrainError("wrong statement"))
        clock[0] += FAILING_S / 3
        assert one.why_not() is None, n
    clock[0] += 1
    one.failed(CitybrainError("wrong statement"))
    assert one.why_not() == "rollup fails: wrong statement"
    one.done()
    assert one.why_not() is None


def test_a_neighbour_that_is_away_is_no_fault_of_the_loop(clock: list[float]) -> None:
    metrics = Metrics()
    one = pulse(metrics)
    one.done()
    for _ in range(100):
        clock[0] += 10
        one.failed(Unavailable("no database"))
    assert one.why_not() is None
    assert one.well_ago_s() == 1000
    assert metrics.registry.get_sample_value("citybrain_loop_failures_total", {"loop": "rollup"}) == 100


def test_a_loop_that_hangs_says_for_how_long(clock: list[float]) -> None:
    one = pulse()
    one.done()
    clock[0] += STUCK_S + 1
    assert one.why_not() == f"rollup has not come round for {STUCK_S + 1:.0f} s"


def test_of_two_loops_of_a_kind_one_that_fails_is_enough_and_one_that_is_missing_is_told(clock: list[float]) -> None:
    pulses = Metrics().loops
    good, bad = pulses.begin("aggregate"), pulses.begin("aggregate")
    good.done()
    assert pulses.why_not(["aggregate", "alert"]) == ["aggregate has not come round yet", "alert has not come round yet"]
    bad.done()
    assert pulses.why_not(["aggregate"]) == []
    for _ in range(3):
        bad.failed(ValueError())
        clock[0] += FAILING_S
        good.done()
    assert pulses.why_not(["aggregate"]) == ["aggregate fails: ValueError"]


async def test_a_step_is_told_of_and_its_result_and_its_error_pass(clock: list[float]) -> None:
    one = pulse()

    async def works() -> bool:
        return True

    async def breaks() -> bool:
        raise ValueError("broken")

    assert await one.around(works)()
    assert one.why_not() is None
    with pytest.raises(ValueError, match="broken"):
        await one.around(breaks)()


def test_heartbeats_have_to_have_reached_the_bus_lately(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    need = serving.beating(metrics.loops)
    assert need() == "no heartbeat is on the bus yet"
    one = metrics.loops.begin("heartbeat")
    assert need() == "no heartbeat is on the bus yet"
    one.done()
    clock[0] += 20
    one.failed(Unavailable("no bus"))
    assert need() is None
    clock[0] += 10
    assert need() == "no heartbeat has reached the bus for 30 s"


def test_all_that_is_missing_is_told_and_who_stops_is_not_ready() -> None:
    readiness = Readiness()
    assert readiness.why_not() is None
    missing: list[str] = ["one", "one", "two"]
    readiness.needs(*(lambda n=n: missing[n] or None for n in range(3)))  # type: ignore[misc]
    assert readiness.why_not() == "one; two"
    missing[:] = ["", "", ""]
    assert readiness.why_not() is None
    readiness.draining = True
    assert readiness.why_not() == "the city is stopping"
    assert readiness.is_draining()
