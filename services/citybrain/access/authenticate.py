"""Find out who asks. Called by every HTTP route; asks the database at most twice a second for known keys.

All live keys are kept in memory for half a second, so a revocation is in force within a second in every process. A key that
is not among them is looked for in the database again before it is refused, so a new key works at once. While the database
is down a key known before goes on for a minute, so that callers get a 503 that says what is wrong and not a 401. The minute
begins when the database went away, whether anybody asked lately or not: `keep_fresh` looks every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from citybrain.access.principal import Principal, Role
from citybrain.access.secret import bearer_hash
from citybrain.errors import Unauthenticated, Unavailable
from citybrain.store.keys import KeyStore

FRESH_S = 0.5
QUERY_TIMEOUT_S = 2.0
OUTAGE_GRACE_S = 60.0
KEEP_FRESH_S = 5.0
_log = logging.getLogger(__name__)


class Access:
    """One a process."""

    def __init__(self, keys: KeyStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._monotonic = monotonic
        self._known: dict[bytes, Principal] = {}
        self._known_at = float("-inf")  # when the look that gave `_known` began
        self._looked_at = float("-inf")  # when the last look began, successful or not
        self._looking = asyncio.Lock()

    async def authenticate(self, authorization: str | None) -> Principal:
        """Who holds the key of this header. Raises Unauthenticated; Unavailable when the database is down too long."""
        key_hash = bearer_hash(authorization)
        now = self._monotonic()
        if self._looked_at < now - FRESH_S:
            await self._look(now - FRESH_S)
        principal = self._known.get(key_hash)
        if principal is None:
            await self._look(now)
            principal = self._known.get(key_hash)
        if self._is_too_old() or (principal is None and self._known_at < now):
            raise Unavailable("keys cannot be checked now: the database cannot be reached")
        if principal is None:
            raise Unauthenticated("this key is wrong, expired or revoked")
        return principal

    async def keep_fresh(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._look(self._monotonic() - FRESH_S)
            except Exception:  # noqa: BLE001 - the loop's outermost edge: logged, tried again
                _log.exception("keys_not_read")
            await asyncio.sleep(KEEP_FRESH_S)

    def why_not(self) -> str | None:
        """Why nobody can be let in; None when the keys are known."""
        if self._known_at == float("-inf"):
            return "keys have not been read yet"
        if self._is_too_old():
            return f"keys cannot be checked: the database has not answered for {self._monotonic() - self._known_at:.0f} s"
        return None

    def _is_too_old(self) -> bool:
        return self._known_at < self._monotonic() - OUTAGE_GRACE_S

    async def _look(self, since: float) -> None:
        """Have a look at the database that began at `since` or later; calls at the same time share one."""
        async with self._looking:
            if self._looked_at >= since:
                return
            begun = self._monotonic()
            try:
                async with asyncio.timeout(QUERY_TIMEOUT_S):
                    live = await self._keys.live()
            except (Unavailable, TimeoutError):
                self._looked_at = begun
                return
            self._known = {key.hash: Principal(key.key_id, key.name, Role(key.role), key.source_prefix) for key in live}
            self._known_at = self._looked_at = begun
