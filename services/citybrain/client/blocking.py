"""The same for programs without asyncio: a thread of its own sends while the program goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from citybrain.client.field_app import FieldApp, field_app
from citybrain.client.spool import Refused

_Answer = TypeVar("_Answer")


class BlockingFieldApp:
    """A context manager. Raises ClientError when it cannot be opened."""

    def __init__(self, to: str, key: str, spool: Path, *, source: str, limit_bytes: int = 1 << 30) -> None:
        self._opening = field_app(to, key, spool, source=source, limit_bytes=limit_bytes)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="citybrain-client", daemon=True)
        self._stack = AsyncExitStack()
        self._app: FieldApp | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._app = self._wait(self._stack.enter_async_context(self._opening))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._wait(self._stack.aclose())
        finally:
            self._stop()

    @property
    def trouble(self) -> str:
        """Why events wait, empty when all goes well."""
        return self._opened.trouble

    def post(self, type: str, data: Mapping[str, Any], *, subject: str | None = None, **attributes: Any) -> str:  # noqa: A002, ANN401 - CloudEvents' names
        """Keep one event; on disk when this returns. Its id."""
        return self._wait(self._opened.post(type, data, subject=subject, **attributes))

    def put(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Keep events, all or none; their ids."""
        return self._wait(self._opened.put(events))

    def flush(self, limit_s: float = 60.0) -> None:
        """Wait until nothing waits. Raises CityUnreachable."""
        self._wait(self._opened.flush(limit_s))

    def refused(self) -> list[Refused]:
        """What the city refused and why, the first first; only the newest of very much."""
        return self._wait(self._opened.refused())

    def forget(self, looked_at: Sequence[Refused]) -> None:
        """Drop these of what was refused."""
        self._wait(self._opened.forget(looked_at))

    @property
    def _opened(self) -> FieldApp:
        if self._app is None:
            raise RuntimeError("use it as a context manager: with BlockingFieldApp(…) as app")
        return self._app

    def _wait(self, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
