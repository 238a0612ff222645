"""What a pass found out becomes rows: alerts, their logs, intents. Called by alert.passes, reload and commands.

A transition, its log entry and its intent are of one transaction. Ids of episodes are made here, once. Everything that people
read of an alert (area, texts, figures) is put together here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from citybrain.alert.episodes import Change
from citybrain.alert.lifecycle import Phase
from citybrain.alert.outcome import Outcome, Pass, Place, moment_of
from citybrain.city import City
from citybrain.rulebook.model import SEVERITIES, Absence, Threshold
from citybrain.rulebook.template import fill
from citybrain.store import alert_log, alerts
from citybrain.store.alert_log import Entry
from citybrain.store.alerts import AlertRow, Intent
from citybrain.store.pool import Connection
from citybrain_schemas.instants import format_time

LANGUAGES = ("en", "zh")
LATE_S = 60
FIRES = {Phase.FIRING, Phase.RECOVERING}


@dataclass(slots=True)
class Book:
    """What is to be written. `tells`: of an alert the kind of an intent and the place of its log entry among `entries`."""

    changed: dict[UUID, AlertRow] = field(default_factory=dict)
    opened: dict[UUID, AlertRow] = field(default_factory=dict)
    forgotten: list[UUID] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    tells: list[tuple[UUID, str, int]] = field(default_factory=list)

    def log(self, entry: Entry, *tells: str) -> None:
        """Append an entry, and tell people of it."""
        self.entries.append(entry)
        self.tells += [(entry.alert_id, kind, len(self.entries) - 1) for kind in tells]

    def find(self, alert_id: UUID) -> AlertRow | None:
        """An alert as it will be, if this book writes it."""
        return self.changed.get(alert_id) or self.opened.get(alert_id)

    async def write(self, connection: Connection, now: datetime) -> int:
        """Write everything in the caller's transaction; how many intents there are."""
        await alerts.write(connection, list(self.changed.values()), list(self.opened.values()), self.forgotten)
        numbers = await alert_log.append(connection, self.entries)
        await alerts.intend(connection, [Intent(alert_id, kind, numbers[n], now) for alert_id, kind, n in self.tells])
        return len(self.tells)


def name_new(a_pass: Pass, outcomes: Sequence[Outcome]) -> None:
    """Give episodes that open their ids: those of one pass are listed by tick, then by rule and scope."""
    opening = ((n, one, one.change) for n, one in enumerate(outcomes) if one.change is not None and one.row is None)
    for *_, n in sorted((change.started, one.rule.name, one.place.scope, n) for n, one, change in opening):
        outcomes[n].new_id = next(a_pass.ids)


def record(book: Book, a_pass: Pass, outcomes: Sequence[Outcome]) -> None:
    """Put outcomes into the book."""
    for one in outcomes:
        if one.change is None:
            _refresh(book, a_pass, one)
        elif one.change.state == "dropped":
            if one.change.key is not None:
                book.forgotten.append(one.change.key)
        else:
            _change(book, a_pass, one, one.change)


def _refresh(book: Book, a_pass: Pass, one: Outcome) -> None:
    """The figures of the window that fired came out otherwise: no transition, nothing to tell."""
    if one.row is None:
        return
    row = _with_figures(a_pass, one, one.row)
    if row != one.row:
        book.changed[row.alert_id] = replace(row, changed_at=a_pass.now)


def _change(book: Book, a_pass: Pass, one: Outcome, change: Change) -> None:
    before = one.row
    row = _moved(a_pass, one, change, before or _opened(a_pass, one, change))
    (book.changed if before is not None else book.opened)[row.alert_id] = row
    tells = list(change.tells)
    for line in change.log:
        told = (
            [kind for kind in tells if kind == ("resolved" if line.kind == "retracted" else line.kind)]
            if line.provisional
            else []
        )
        tells = [kind for kind in tells if kind not in told]
        detail = _detail(row, line.kind)
        book.log(Entry(row.alert_id, a_pass.now, line.kind, moment_of(line.tick), line.provisional, detail=detail), *told)
    for kind in tells:  # their entries are settled, or written before
        match = [n for n, entry in enumerate(book.entries) if entry.alert_id == row.alert_id and entry.kind == kind]
        if match:
            book.tells.append((row.alert_id, kind, match[-1]))
        else:
            tick = row.fired_at if kind == "firing" else row.ended_at
            book.log(Entry(row.alert_id, a_pass.now, kind, tick, True, detail=_detail(row, kind)), kind)


def _detail(row: AlertRow, kind: str) -> Mapping[str, object]:
    """What an entry says besides its tick: of the firing what fired it, of the end what was worst."""
    if kind in {"firing", "revised"}:
        return {"started_at": format_time(row.started_at), "value": row.value, "evidence": row.evidence}
    if kind == "resolved":
        return {"started_at": format_time(row.started_at), "peak": None if row.peak is None else float(row.peak)}
    return {}


def _opened(a_pass: Pass, one: Outcome, change: Change) -> AlertRow:
    """A new row; its id is made now and stays."""
    rule, place = one.rule, one.place
    started = moment_of(change.started)
    areas = a_pass.city.areas
    path = list(areas.path_at(place.area, started)) if areas.known(place.area) else [place.area]
    row = AlertRow(
        alert_id=one.new_id or next(a_pass.ids),
        rule=rule.name,
        scope=place.scope,
        rule_version=a_pass.version,
        severity=rule.severity,
        state=change.state,
        area=place.area,
        path=path,
        threshold=threshold_text(rule),
        started_at=started,
        since=started,
        opened_at=a_pass.now,
        changed_at=a_pass.now,
        subject=place.subject,
        source=place.source,
        labels=dict(rule.labels),
        title={"en": rule.title.en, "zh": rule.title.zh},
    )
    row.summary = summary_of(a_pass.city, rule, row)
    return row


def _moved(a_pass: Pass, one: Outcome, change: Change, row: AlertRow) -> AlertRow:
    """The row as the change says."""
    fired = None if change.fired is None else moment_of(change.fired)
    recovering = moment_of(change.since) if change.state == "recovering" else row.recovering_at
    row = replace(
        row,
        state=change.state,
        provisional=change.provisional,
        started_at=moment_of(change.started),
        since=moment_of(change.since),
        fired_at=fired,
        recovering_at=None if change.state == "firing" else recovering,
        ended_at=None if change.ended is None else moment_of(change.ended),
        peak=None if change.peak is None else Decimal(repr(change.peak)),
        changed_at=a_pass.now,
    )
    if "firing" in change.tells and fired is not None:
        late_s = int((moment_of(a_pass.final) - fired).total_seconds())
        row.late_by_s = late_s if late_s > LATE_S else None
    return _with_figures(a_pass, one, row)


def _with_figures(a_pass: Pass, one: Outcome, row: AlertRow) -> AlertRow:
    """The row with the columns and evidence of the window that fired, and the texts that name them."""
    if one.figures is None:
        return row
    row = replace(row, value=dict(one.figures))
    if one.place.area != row.area and a_pass.city.areas.known(one.place.area):
        row = replace(row, area=one.place.area, path=list(a_pass.city.areas.path_at(one.place.area, row.started_at)))
    if one.window is not None:
        begin, end = (format_time(at) for at in one.window)
        events, sources = [event for event, _ in one.events], [source for _, source in one.events]
        row.evidence = {"window": {"start": begin, "end": end}, "events": events, "sources": sources}
    row.summary = summary_of(a_pass.city, one.rule, row)
    return row


def threshold_text(rule: Threshold | Absence) -> str:
    """What has to hold, for people."""
    if isinstance(rule, Threshold):
        return rule.when.text
    return f"no {rule.of} for longer than {int(rule.longer_than.total_seconds())} s"


def summary_of(city: City, rule: Threshold | Absence, row: AlertRow) -> dict[str, object]:
    """The annotations in each language, filled; the title where there is none."""
    found: dict[str, object] = {}
    for language in LANGUAGES:
        text = rule.annotations.get(language)
        title = rule.title.en if language == "en" else rule.title.zh
        found[language] = title if text is None else fill(text, _words(city, row, language))
    return found


def _words(city: City, row: AlertRow, language: str) -> dict[str, object]:
    area = row.area
    if city.areas.known(row.area):
        name = city.areas.version_at(row.area, row.started_at).name
        area = name.en if language == "en" else name.zh
    return {**row.value, "subject": row.subject, "area": area, "source": row.source, "severity": row.severity}


def rises(before: str, after: str) -> bool:
    """Whether a severity is worse than another one."""
    return SEVERITIES.index(after) > SEVERITIES.index(before)


def place_of(row: AlertRow) -> Place:
    """What an alert is about."""
    return Place(row.scope, row.area, row.subject, row.source)
