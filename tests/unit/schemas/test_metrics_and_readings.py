"""What each event says about which metric, and that the declared metrics are those of the contract."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain_schemas.envelope import check_data
from citybrain_schemas.event_type import EventData
from citybrain_schemas.events import DOMAINS, EVENT_TYPES
from citybrain_schemas.metrics import METRICS
from citybrain_schemas.readings import Reading, micros, quotient_micros

SENSORS = {
    "parking.occupancy", "parking.session.started", "parking.session.ended", "utility.reading", "bin.level",
    "facility.status", "device.heartbeat", "device.battery",
}  # fmt: skip
CONTRACT = {
    "parking.occupied": ("spaces", "gauge", "sum"),
    "parking.occupied_ratio": ("1", "gauge", "ratio"),
    "parking.sessions": ("1", "count", "sum"),
    "parking.dwell": ("s", "gauge", "mean"),
    "parking.violations": ("1", "count", "sum"),
    "water.flow": ("m³/h", "gauge", "sum"),
    "water.pressure": ("kPa", "gauge", "mean"),
    "heat.temperature": ("°C", "gauge", "mean"),
    "power.voltage": ("V", "gauge", "mean"),
    "power.power": ("kW", "gauge", "sum"),
    "water.register": ("m³", "gauge", "mean"),
    "water.consumption": ("m³", "sum", "sum"),
    "gas.consumption": ("m³", "sum", "sum"),
    "power.consumption": ("kWh", "sum", "sum"),
    "heat.consumption": ("GJ", "sum", "sum"),
    "power.outages": ("1", "count", "sum"),
    "power.outage_customers": ("customers", "sum", "sum"),
    "gas.leaks": ("1", "count", "sum"),
    "case.reported": ("1", "count", "sum"),
    "case.filed": ("1", "count", "sum"),
    "case.closed": ("1", "count", "sum"),
    "case.returned": ("1", "count", "sum"),
    "bin.level": ("%", "gauge", "max"),
    "sanitation.collections": ("1", "count", "sum"),
    "device.battery": ("%", "gauge", "mean"),
    "device.heartbeats": ("1", "count", "sum"),
    "citizen.reports": ("1", "count", "sum"),
}


def read(name: str, **data: object) -> tuple[Reading, ...]:
    model = check_data(EVENT_TYPES[name], data)
    assert isinstance(model, EventData), model
    return EVENT_TYPES[name].read(model)


def test_metrics_are_those_of_the_contract() -> None:
    assert {name: (one.unit, one.kind, one.across) for name, one in METRICS.items() if name in CONTRACT} == CONTRACT


def test_every_medium_has_every_quantity() -> None:
    quantities = ("flow", "pressure", "level", "power", "voltage", "temperature", "register", "consumption")
    for medium in ("water", "power", "gas", "heat"):
        for of in (*quantities, "outages", "outage_customers", "leaks"):
            assert f"{medium}.{of}" in METRICS


def test_no_metric_and_no_type_is_declared_twice() -> None:
    assert len(METRICS) == sum(len(domain.metrics) for domain in DOMAINS)
    assert len(EVENT_TYPES) == sum(len(domain.types) for domain in DOMAINS)


def test_metrics_that_types_name_are_those_declared_and_all_are_fed() -> None:
    assert {metric for kind in EVENT_TYPES.values() for metric in kind.metrics} == set(METRICS)


def test_sensor_types_are_those_of_the_contract() -> None:
    assert {name for name, kind in EVENT_TYPES.items() if kind.sensor} == SENSORS


def test_occupancy_says_how_many_and_what_share() -> None:
    occupied, ratio = read("parking.occupancy", occupied=182, capacity=220)
    assert occupied == Reading("parking.occupied", 182)
    assert ratio == Reading("parking.occupied_ratio", None, None, 182, 220)
    assert quotient_micros(182, 220) == 827273


def test_more_cars_than_places_is_kept() -> None:
    assert read("parking.occupancy", occupied=230, capacity=220)[1] == Reading("parking.occupied_ratio", None, None, 230, 220)
    assert quotient_micros(230, 220) == 1_045_455


def test_lot_without_capacity_has_no_share() -> None:
    assert read("parking.occupancy", occupied=3, capacity=0) == (Reading("parking.occupied", 3),)


def test_session_is_counted_at_its_start_and_paired_by_its_id() -> None:
    counted, start = read("parking.session.started", session_id="s-1")
    (end,) = read("parking.session.ended", session_id="s-1")
    assert counted == Reading("parking.sessions", 1)
    assert (start.metric, start.chain, start.role, start.value) == ("parking.dwell", "s-1", "started", 0)
    assert (end.metric, end.chain, end.role) == ("parking.dwell", "s-1", "ended")


def test_register_feeds_the_register_and_the_chain_of_consumption() -> None:
    found = read("utility.reading", medium="heat", quantity="register", value=Decimal("12.5"), unit="kWh")
    assert found == (
        Reading("heat.register", Decimal("12.5"), "kWh"),
        Reading("heat.consumption", Decimal("12.5"), "kWh", chain="", role="register"),
    )


def test_posted_consumption_is_direct() -> None:
    found = read("utility.reading", medium="gas", quantity="consumption", value=2, unit="m³")
    assert found == (Reading("gas.consumption", 2, "m³", role="direct"),)


@pytest.mark.parametrize("quantity", ["flow", "pressure", "level", "power", "voltage", "temperature"])
def test_other_quantities_feed_their_gauge_in_the_posted_unit(quantity: str) -> None:
    found = read("utility.reading", medium="water", quantity=quantity, value=2, unit="some unit")
    assert found == (Reading(f"water.{quantity}", 2, "some unit"),)


def test_outage_counts_itself_and_its_customers_and_its_end_counts_nothing() -> None:
    started = read("utility.outage.started", medium="power", customers=340)
    assert started == (Reading("power.outages", 1), Reading("power.outage_customers", 340))
    assert read("utility.outage.ended", medium="power", customers=340) == ()


@pytest.mark.parametrize(
    ("name", "data", "reading"),
    [
        ("parking.violation", {"violation": "x"}, Reading("parking.violations", 1)),
        ("utility.leak.reported", {"medium": "gas", "severity": "x"}, Reading("gas.leaks", 1)),
        ("case.reported", {"category": "x"}, Reading("case.reported", 1)),
        ("case.filed", {"category": "x"}, Reading("case.filed", 1)),
        ("case.returned", {}, Reading("case.returned", 1)),
        ("case.closed", {}, Reading("case.closed", 1)),
        ("bin.level", {"level_percent": Decimal("87.5")}, Reading("bin.level", Decimal("87.5"))),
        ("collection.done", {}, Reading("sanitation.collections", 1)),
        ("device.heartbeat", {}, Reading("device.heartbeats", 1)),
        ("device.battery", {"percent": 64}, Reading("device.battery", 64)),
    ],
)
def test_other_types_say_one_thing(name: str, data: dict[str, Any], reading: Reading) -> None:
    assert read(name, **data) == (reading,)


@pytest.mark.parametrize(
    ("value", "millionths"),
    [(1, 1_000_000), (Decimal("0.0000005"), 0), (Decimal("0.0000015"), 2), (Decimal("-0.0000015"), -2), (Decimal("1E-400"), 0)],
)
def test_millionths_are_rounded_half_even(value: int | Decimal, millionths: int) -> None:
    assert micros(value) == millionths


def test_largest_values_in_the_smallest_units_still_have_millionths() -> None:
    assert micros(Decimal(10**15) - Decimal("0.0000005")) == 10**21


_EXACT = st.one_of(st.integers(0, 10**9), st.decimals(0, 10**9, places=6))


@given(_EXACT, _EXACT.filter(bool))
def test_a_quotient_rounds_as_the_exact_fraction_does(numerator: int | Decimal, weight: int | Decimal) -> None:
    assert quotient_micros(numerator, weight) == round(Fraction(numerator) / Fraction(weight) * 1_000_000)
