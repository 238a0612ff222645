"""Cases and patrols: each stage of a case (案件) is an event; the case is the fold of them. Read by ingest and casework.

The case is named by the event's subject, or by `case_id`. Fields that only some departments know are optional: what a
missing one means is said beside it.
"""

from __future__ import annotations

from typing import Literal

from citybrain_schemas.event_type import Domain, EventData, EventType, Person, Phone, count
from citybrain_schemas.readings import Reading, always
from citybrain_schemas.values import Code, Flag, LongText, Name


class CaseStep(EventData):
    """What every event of a case may carry."""

    case_id: Name | None = None
    category: Code | None = None
    comment: LongText | None = None


class CaseReported(CaseStep):
    """信息收集: somebody reports a problem of a category of codes.yaml."""

    category: Code
    condition: Code | None = None
    department: Code | None = None
    description: LongText | None = None
    reporter: Person = None
    phone: Phone = None


class CaseVerified(CaseStep):
    """核实 before filing, 核查 before closing. Without a phase: the one that the case's stage asks for."""

    phase: Literal["filing", "closing"] | None = None
    passed: Flag = True


class CaseFiled(CaseStep):
    """案卷建立, under a filing condition (立案条件). Without one: the category's only or first."""

    category: Code
    condition: Code | None = None


class CaseDispatched(CaseStep):
    """任务派遣. Without a department: the one that had it, or that codes.yaml names."""

    department: Code | None = None


class CaseReturned(CaseStep):
    """返工 to the department, or 回退 to the dispatcher."""

    to: Literal["dispatcher", "department"] = "department"


class CaseAppealed(CaseStep):
    """An appeal against a timeout; `granted` once it is decided."""

    granted: Flag | None = None


class CaseUpdated(CaseStep):
    """A correction of the file; touches no clock."""

    description: LongText | None = None


class PatrolStarted(EventData):
    """An inspector (监督员) begins a round."""

    patrol_id: Name | None = None


class PatrolEnded(EventData):
    """The round is over."""

    patrol_id: Name | None = None


def _counted(stage: str, data: type[CaseStep]) -> EventType:
    name = f"case.{stage}"
    return EventType(name, data, always(Reading(name, 1)), (name,))


def _plain(stage: str, data: type[CaseStep] = CaseStep) -> EventType:
    return EventType(f"case.{stage}", data, always())


DOMAIN = Domain(
    "enforcement",
    types=(
        _counted("reported", CaseReported),
        _plain("accepted"),
        _plain("declined"),
        _plain("verified", CaseVerified),
        _counted("filed", CaseFiled),
        _plain("dispatched", CaseDispatched),
        _counted("returned", CaseReturned),
        _plain("handled"),
        _plain("fed_back"),
        _counted("closed", CaseStep),
        _plain("paused"),
        _plain("resumed"),
        _plain("extended"),
        _plain("voided"),
        _plain("appealed", CaseAppealed),
        _plain("updated", CaseUpdated),
        _plain("commented"),
        EventType("patrol.started", PatrolStarted, always()),
        EventType("patrol.ended", PatrolEnded, always()),
    ),
    metrics=(
        count("case.reported", "Cases reported", "上报数"),
        count("case.filed", "Cases filed", "立案数"),
        count("case.returned", "Cases returned", "返工与回退数"),
        count("case.closed", "Cases closed", "结案数"),
    ),
)
