"""Routes, silences, inhibition and flushes of groups, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citybrain.alert.notify.groups import flush
from citybrain.alert.notify.inhibit import Inhibitors
from citybrain.alert.notify.members import Hold, Intent, Kind, Member, Outcome, judge
from citybrain.alert.notify.message import body_of, group_of
from citybrain.alert.notify.routes import DEFAULT_PLAN, Plan, groups_of, matches
from citybrain.alert.notify.silences import silence_of, touched
from citybrain.rulebook.model import RuleBook
from citybrain.store.silences import Silence
from citybrain_schemas.alerts import Alert, Handling, Place
from citybrain_schemas.webhooks import AlertWebhook
from notifying import LEFT, RIGHT, escalation, route, rule, write_path
from small_city import small_city

AREAS = small_city().areas
NOW = datetime(2026, 11, 23, 0, 15, tzinfo=UTC)
S = timedelta(seconds=1)
STREET = LEFT[:12]
PLAN = Plan(("duty",), S, S, 3600 * S, (escalation(900 * S, "chief"),))


def alert(number: int = 1, area: str = LEFT, **changed: Any) -> Alert:
    values: dict[str, Any] = {
        "id": str(UUID(int=number)),
        "rule": "lot_full",
        "severity": "warning",
        "state": "firing",
        "sequence": 9,
        "provisional": True,
        "area": Place(code=area, path=write_path(area)),
        "subject": f"lot-{number}",
        "labels": {"team": "traffic"},
        "title": {"en": "Full", "zh": "满"},
        "value": {"last": 0.97},
        "threshold": "last >= 0.95",
        "started_at": NOW,
        "fired_at": NOW,
        "summary": {"en": "full", "zh": "满"},
    }
    return Alert(**(values | changed))


# ---- routes


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"rule": "lot_full"}, True),
        ({"rule": "lot_empty"}, False),
        ({"subject": "lot-1", "severity": "warning", "team": "traffic"}, True),
        ({"subject": "lot-2"}, False),
        ({"severity": "critical"}, False),
        ({"area": LEFT}, True),
        ({"area": STREET}, True),
        ({"area": RIGHT}, False),
        ({"team": "water"}, False),
        ({"no_such_label": ""}, False),
    ],
)
def test_match_is_over_rule_subject_severity_area_and_labels(match: dict[str, str], expected: bool) -> None:
    assert matches(match, alert()) is expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([route(), route()], [0]),
        ([route(proceed=True), route(["chief"])], [0, 1]),
        ([route(match={"team": "water"}), route()], [1]),
        ([route(["a"], proceed=True), route(["b"], match={"team": "water"}), route(["c"]), route(["d"])], [0, 2]),
        ([route(match={"team": "water"}, proceed=True)], [-1]),
        ([], [-1]),
    ],
)
def test_first_match_wins_unless_it_continues(routes: list[Any], expected: list[int]) -> None:
    assert [one.route for one in groups_of(alert(), routes, AREAS, defaults=True)] == expected


def test_nothing_is_left_without_a_match_and_default_endpoints() -> None:
    assert groups_of(alert(), [], AREAS, defaults=False) == []
    assert groups_of(alert(), [], AREAS, defaults=True)[0].plan == DEFAULT_PLAN


@pytest.mark.parametrize(
    ("group_by", "labels"),
    [
        ((), {}),
        (("rule", "grid"), {"rule": "lot_full", "grid": LEFT}),
        (("street", "city"), {"street": STREET, "city": LEFT[:6]}),
        (("subject", "severity", "team"), {"subject": "lot-1", "severity": "warning", "team": "traffic"}),
        (("no_such_label",), {"no_such_label": ""}),
    ],
)
def test_group_by_names_levels_of_area_and_labels(group_by: tuple[str, ...], labels: dict[str, str]) -> None:
    (group,) = groups_of(alert(), [route(group_by=group_by)], AREAS, defaults=False)
    assert group.labels == labels


def test_group_of_an_alert_about_a_district_has_no_grid() -> None:
    (group,) = groups_of(alert(area=LEFT[:9]), [route(group_by=("grid", "district"))], AREAS, defaults=False)
    assert group.labels == {"grid": "", "district": LEFT[:9]}


def test_key_of_a_group_survives_a_reload_that_moves_its_route() -> None:
    (before,) = groups_of(alert(), [route()], AREAS, defaults=False)
    other = route(["water"], match={"team": "water"})
    (after,) = groups_of(alert(), [other, route(repeat_interval=S)], AREAS, defaults=False)
    (elsewhere,) = groups_of(alert(), [route(["chief"])], AREAS, defaults=False)
    assert before.key == after.key != elsewhere.key


def test_key_of_a_group_with_long_labels_stays_short() -> None:
    (group,) = groups_of(alert(labels={"team": "t" * 5000}), [route(group_by=("team",))], AREAS, defaults=False)
    assert len(group.key) < 200


def test_plan_is_read_back_as_it_was_kept() -> None:
    assert Plan.of_json({**PLAN.as_json()}) == replace(PLAN, group_wait=timedelta())


# ---- silences


def silence(**changed: Any) -> Silence:
    base = Silence(UUID(int=1), {"rule": "lot_full"}, NOW - S, NOW + S, False, "ann", "works", NOW)
    return base._replace(**changed)


@pytest.mark.parametrize(
    ("one", "holds"),
    [
        (silence(), True),
        (silence(begins=NOW), True),
        (silence(begins=NOW + S), False),
        (silence(ends=NOW), False),
        (silence(ended_at=NOW - S), False),
        (silence(matchers={"area": STREET, "team": "traffic"}), True),
        (silence(matchers={"area": RIGHT}), False),
        (silence(matchers={"rule": "lot_full", "team": "water"}), False),
    ],
)
def test_silence_holds_while_it_lasts_for_what_it_matches(one: Silence, holds: bool) -> None:
    assert (silence_of(alert(), [one], NOW) is one) is holds


def test_only_silences_until_resolved_are_touched_by_an_end() -> None:
    lasting, ending = silence(), silence(silence_id=UUID(int=2), until_resolved=True)
    other = silence(silence_id=UUID(int=3), until_resolved=True, matchers={"rule": "x"})
    assert touched([alert()], [lasting, ending, other], NOW) == [ending]


# ---- inhibition


@pytest.mark.parametrize(
    ("same", "inhibitor", "target", "inhibits"),
    [
        (["street"], alert(2, RIGHT, rule="burst"), alert(), True),
        (["grid"], alert(2, RIGHT, rule="burst"), alert(), False),
        (["grid"], alert(2, LEFT, rule="burst"), alert(), True),
        (["street"], alert(2, STREET, rule="burst"), alert(), True),
        (["grid"], alert(2, STREET, rule="burst"), alert(), False),
        (["street"], alert(2, LEFT[:9], rule="burst"), alert(), False),
        (["subject"], alert(2, rule="burst", subject="lot-1"), alert(), True),
        (["subject"], alert(2, rule="burst"), alert(), False),
        (["subject"], alert(2, rule="burst", subject=None), alert(subject=None), False),
        (["team"], alert(2, RIGHT, rule="burst"), alert(), True),
        (["street", "team"], alert(2, rule="burst", labels={"team": "water"}), alert(), False),
        ([], alert(2, RIGHT, rule="burst"), alert(), True),
        (["street"], alert(2, rule="other"), alert(), False),
        (["street"], alert(2, rule="burst"), alert(rule="other"), False),
    ],
)
def test_alert_inhibits_those_its_rule_names_in_the_same_place(
    same: list[str], inhibitor: Alert, target: Alert, inhibits: bool
) -> None:
    book = RuleBook(rules=(rule("burst", {"lot_full": same}), rule("lot_full"), rule("other")))
    assert (Inhibitors(book, [inhibitor], AREAS).of(target) is not None) is inhibits


@pytest.mark.parametrize(
    ("inhibitor", "target", "inhibits"),
    [
        (alert(2, rule="source_silent", source="/g"), alert(rule="meter_silent", source="/g"), True),
        (alert(2, rule="source_silent", source="/h"), alert(rule="meter_silent", source="/g"), False),
        (alert(2, STREET, rule="source_silent"), alert(rule="meter_silent", source="/g"), True),
        (alert(2, STREET, rule="source_silent"), alert(rule="unknown"), False),
    ],
)
def test_source_silent_inhibits_absence_alerts_of_its_source_or_street(inhibitor: Alert, target: Alert, inhibits: bool) -> None:
    book = RuleBook(rules=(rule("meter_silent"),))
    assert (Inhibitors(book, [inhibitor], AREAS).of(target) is not None) is inhibits


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_of_rules_that_inhibit_each_other_in_a_ring_the_first_alert_is_told(names: list[str]) -> None:
    ring = tuple(rule(name, {names[(n + 1) % len(names)]: ["street"]}) for n, name in enumerate(names))
    firing = [alert(n, rule=names[n % len(names)], fired_at=NOW + n * S) for n in range(3)]
    inhibitors = Inhibitors(RuleBook(rules=ring), firing, AREAS)
    told = [one for one in firing if inhibitors.of(one) is None]
    assert firing[0] in told
    assert len(told) < len(firing)


# ---- one alert of a group

SILENCED = Hold("silenced", {"silence": "x"})


@pytest.mark.parametrize(
    ("told", "kinds", "state", "hold", "expected"),
    [
        (False, ["firing"], "firing", None, ("F", ["sent"], "told")),
        (False, ["firing"], "firing", SILENCED, ("", ["silenced"], "held")),
        (False, ["firing"], "retracted", None, ("", ["superseded"], "gone")),
        (False, ["firing", "updated"], "firing", None, ("F", ["sent", "sent"], "told")),
        (False, ["updated"], "firing", None, ("F", ["sent"], "told")),
        (False, ["firing", "resolved"], "resolved", None, ("FR", ["sent", "sent"], "gone")),
        (False, ["firing", "resolved"], "retracted", None, ("", ["superseded", "superseded"], "gone")),
        (False, ["firing", "resolved"], "resolved", SILENCED, ("", ["silenced", "superseded"], "gone")),
        (False, ["firing", "resolved", "firing"], "firing", None, ("F", ["sent", "sent", "sent"], "told")),
        (True, ["updated"], "firing", None, ("U", ["sent"], "told")),
        (True, ["updated"], "firing", SILENCED, ("", ["silenced"], "told")),
        (True, ["resolved"], "resolved", None, ("R", ["sent"], "gone")),
        (True, ["resolved"], "resolved", SILENCED, ("R", ["sent"], "gone")),
        (True, ["resolved"], "retracted", None, ("R", ["sent"], "gone")),
        (True, ["resolved", "firing"], "firing", None, ("", ["superseded", "superseded"], "told")),
        (True, ["resolved", "firing", "resolved"], "resolved", None, ("R", ["superseded", "superseded", "sent"], "gone")),
        (True, ["updated", "resolved"], "resolved", None, ("R", ["superseded", "sent"], "gone")),
    ],
)
def test_alert_is_judged_by_what_was_told_and_its_intents(
    told: bool, kinds: list[Kind], state: str, hold: Hold | None, expected: tuple[str, list[Outcome], str]
) -> None:
    intents = tuple(Intent(n, kind, n) for n, kind in enumerate(kinds, 1))
    times = {"told_at": NOW, "first_told_at": NOW} if told else {}
    judged = judge(Member(UUID(int=1), told, intents, **times), alert(state=state), hold, NOW)
    said = ("F" if judged.firing else "") + ("U" if judged.updated else "") + ("R" if judged.resolved else "")
    after = "gone" if judged.after is None else "told" if judged.after.told else "held" if judged.after.held else "waits"
    assert (said, [judged.outcomes[n] for n in range(1, len(kinds) + 1)], after) == expected


def test_alert_that_was_held_and_ends_untold_is_never_told() -> None:
    held = Member(UUID(int=1), intents=(Intent(5, "resolved", 5),), held=None, waits_with=1)
    judged = judge(held, alert(state="resolved"), None, NOW)
    assert (judged.firing, judged.resolved, judged.after, judged.outcomes) == (None, None, None, {5: "superseded"})


def test_alert_that_was_held_is_told_when_nothing_holds_it() -> None:
    judged = judge(Member(UUID(int=1), waits_with=1), alert(), None, NOW)
    assert judged.outcomes == {1: "sent"}
    assert judged.firing is not None
    assert judged.firing.sequence == 9


_Kinds = st.lists(st.sampled_from(["firing", "updated", "resolved"]), max_size=6)


@given(
    told=st.booleans(),
    kinds=_Kinds,
    state=st.sampled_from(["firing", "recovering", "resolved", "retracted", None]),
    held=st.booleans(),
    was_held=st.booleans(),
    repeat=st.booleans(),
)
def test_every_intent_gets_one_outcome_and_a_told_firing_stays_until_its_end(
    told: bool, kinds: list[Kind], state: str | None, held: bool, was_held: bool, repeat: bool
) -> None:
    intents = tuple(Intent(n, kind, n) for n, kind in enumerate(kinds, 1))
    before = NOW if told else None
    member = Member(UUID(int=1), told, intents, None, 99 if was_held and not told else None, before, before)
    found = None if state is None else alert(state=state)
    judged = judge(member, found, SILENCED if held else None, NOW, repeat=repeat)
    assert set(range(1, len(kinds) + 1)) <= set(judged.outcomes)
    if found is not None and told:
        assert (judged.resolved is None) == (judged.after is not None)
    if judged.firing is not None:
        assert not told
        assert not held
        assert (judged.resolved is not None) == (judged.after is None)
    if judged.after is not None:
        assert judged.after.intents == ()


# ---- a flush of a group


def told_member(number: int, ago: timedelta, **changed: Any) -> Member:
    return replace(Member(UUID(int=number), True, (), None, None, NOW - ago, NOW - ago), **changed)


def test_flush_makes_one_webhook_of_each_kind_and_counts_the_group() -> None:
    members = [
        Member(UUID(int=1), intents=(Intent(1, "firing", 1),)),
        told_member(2, 60 * S, intents=(Intent(2, "resolved", 4),)),
        told_member(3, 60 * S, intents=(Intent(3, "updated", 5),)),
        told_member(4, 60 * S),
    ]
    alerts = {UUID(int=n): alert(n, state="resolved" if n == 2 else "firing") for n in (1, 2, 3)}
    done = flush(members, alerts, PLAN, lambda _: None, NOW)
    assert {one.type: [found.subject for found in one.alerts] for one in done.notices} == {
        "alert.firing": ["lot-1"],
        "alert.updated": ["lot-3"],
        "alert.resolved": ["lot-2"],
    }
    assert (done.firing, done.resolved, done.left) == (3, 1, [UUID(int=2)])
    assert done.next_at == NOW + 840 * S  # the escalation of 3 and 4


@pytest.mark.parametrize(
    ("ago", "handling", "hold", "expected"),
    [
        (3599 * S, "open", None, []),
        (3600 * S, "open", None, ["alert.updated"]),
        (3600 * S, "acknowledged", None, []),
        (3600 * S, "open", SILENCED, []),
    ],
)
def test_what_still_fires_is_repeated(ago: timedelta, handling: Any, hold: Hold | None, expected: list[str]) -> None:
    plan = replace(PLAN, escalate=())
    found = {UUID(int=1): alert(1, handling=Handling(state=handling))}
    done = flush([told_member(1, ago)], found, plan, lambda _: hold, NOW)
    assert [one.type for one in done.notices] == expected
    assert done.next_at is not None
    assert done.next_at > NOW


@pytest.mark.parametrize(
    ("ago", "handling", "escalated", "expected"),
    [
        (899 * S, "open", 0, []),
        (900 * S, "open", 0, ["alert.escalated"]),
        (900 * S, "acknowledged", 0, []),
        (900 * S, "open", 1, []),
    ],
)
def test_what_nobody_acknowledges_is_escalated(ago: timedelta, handling: Any, escalated: int, expected: list[str]) -> None:
    found = {UUID(int=1): alert(1, handling=Handling(state=handling))}
    done = flush([told_member(1, ago, escalated=escalated)], found, PLAN, lambda _: None, NOW)
    assert [one.type for one in done.notices] == expected
    assert [one.to for one in done.notices] == [("chief",)] * len(expected)
    assert done.next_at is not None
    assert done.next_at > NOW


def test_body_lists_fifty_and_says_how_many_more_there_are() -> None:
    alerts = [alert(n, severity="critical" if n == 60 else "info") for n in range(1, 61)]
    body = AlertWebhook.model_validate_json(
        body_of("alert.firing", alerts, group_of("k", {}, 60, 0), NOW, "https://city.example/")
    )
    assert (len(body.data.alerts), body.data.truncated) == (50, 10)
    assert body.data.alert == body.data.alerts[0]
    assert (body.data.alert.subject, body.data.alert.severity) == ("lot-60", "critical")
    assert body.data.alert.links is not None
    assert body.data.alert.links.self == f"https://city.example/v1/alerts/{UUID(int=60)}"
