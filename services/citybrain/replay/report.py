"""What a run has done, and telling it while it runs. Called by replay's and simulate's run. Never decides anything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

SAMPLES = 5
LINE_EVERY_S = 5.0
DRAW_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """One of the first refusals, to be looked up in the file."""

    line: int
    code: str
    field: str
    detail: str

    def text(self) -> str:
        """One line for a person."""
        return f"line {self.line}: " + ": ".join(part for part in (self.code, self.field, self.detail) if part)


@dataclass
class Report:
    """Counts of one run, those before a resume included; `seconds` counts this process alone, as `sent` does.

    `repeated` is what the city recognised as posted before, `conflicts` what it had with other content and did not count; None
    when that cannot be read from its status.
    """

    read: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    repeated: int | None = None
    conflicts: int | None = None
    resumed_at: int = 0
    sent: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Events answered for in a second, by this process."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    def refuse(self, sample: Sample, *, skipped: bool = False) -> None:
        """Count one event that is not kept; the first few are kept to be shown."""
        (self.skipped if skipped else self.rejected)[sample.code] += 1
        if not skipped and len(self.samples) < SAMPLES:
            self.samples.append(sample)

    def text(self) -> str:
        """The report for a person, several lines, without a key or an event's content."""
        lines = [f"read {self.read:,} · accepted {self.accepted:,} · rejected {self.rejected.total():,}{_codes(self.rejected)}"]
        if self.skipped:
            lines[0] += f" · skipped {self.skipped.total():,}{_codes(self.skipped)}"
        known = (
            "not known (the city has not worked through it yet, or the key may not read its status)"
            if self.repeated is None
            else f"{self.repeated:,}"
        )
        if self.conflicts:
            known += f" · conflicts {self.conflicts:,} (posted before with other content: not counted)"
        lines.append(f"repeated {known} · {self.seconds:.1f} s · {self.rate:,.0f} events/s")
        if self.resumed_at:
            lines.append(f"went on behind {self.resumed_at:,} that were posted before")
        lines += [f"  {sample.text()}" for sample in self.samples]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            **asdict(self),
            "rejected": dict(self.rejected),
            "skipped": dict(self.skipped),
            "rate": round(self.rate, 1),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Report:
        """The counts of an interrupted run, to be gone on with."""
        samples = [Sample(**one) for one in kept["samples"]]
        return cls(kept["read"], kept["accepted"], Counter(kept["rejected"]), Counter(kept["skipped"]), samples)


def _codes(counted: Counter[str]) -> str:
    return f" ({', '.join(f'{code} {count:,}' for code, count in counted.most_common())})" if counted else ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run is: a share from 0 to 1, or None when that cannot be known, and a few words."""

    share: float | None
    words: str


@asynccontextmanager
async def shown(console: Console, standing: Callable[[], Standing]) -> AsyncIterator[None]:
    """Show progress while the body runs: a bar on a terminal, else a line every few seconds."""
    showing = asyncio.create_task(_bar(console, standing) if console.is_terminal else _lines(console, standing))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


async def _bar(console: Console, standing: Callable[[], Standing]) -> None:
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=1.0)
        while True:
            now = standing()
            progress.update(task, description=now.words, completed=now.share or 0.0, total=None if now.share is None else 1.0)
            progress.refresh()
            await asyncio.sleep(DRAW_EVERY_S)


async def _lines(console: Console, standing: Callable[[], Standing]) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        now = standing()
        share = "" if now.share is None else f"{now.share:.0%} · "
        console.print(f"{time.monotonic() - begun:.0f} s · {share}{now.words}", markup=False, highlight=False, soft_wrap=True)
