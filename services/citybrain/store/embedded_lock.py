"""Hold the lock of a data folder, so that one city or one command at a time runs its PostgreSQL. Called by embedded.

The lock is the kernel's (flock on DIR/lock): it ends with the process that holds it, however that ends. The file's text
only says who holds it and decides nothing; the file is never removed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from citybrain.errors import CitybrainError


class Holder(StrEnum):
    """For whose time the folder is held."""

    CITY = "city"
    COMMAND = "command"


class FolderUnusable(CitybrainError):
    """The data folder cannot be used; the text names the path."""


class FolderInUse(CitybrainError):
    """Another process of citybrain runs this folder."""

    def __init__(self, folder: Path, holder: Holder, process_id: str) -> None:
        self.holder = holder
        what = "another citybrain up" if holder is Holder.CITY else "a citybrain command"
        super().__init__(f"{folder} is in use by {what} (process {process_id or 'unknown'})")


def make_folder(folder: Path) -> Path:
    """Make a folder that only its owner may enter (one that is there stays as it is) and give its real path.

    Raises FolderUnusable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FolderUnusable(f"{folder} is not a folder") from error
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be made: {error.strerror}") from error
    return folder.resolve()


@contextmanager
def folder_lock(folder: Path, holder: Holder) -> Iterator[None]:
    """Hold an existing folder. Raises FolderInUse at once when another does, FolderUnusable when it is not writable."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(f"{folder} is not writable: {error.strerror}") from error
    try:
        _take(folder, descriptor, holder)
        yield
    finally:
        os.close(descriptor)


def _take(folder: Path, descriptor: int, holder: Holder) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder} {os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        raise _in_use(folder, descriptor) from error
    except OSError as error:
        raise FolderUnusable(f"{folder} cannot be locked: {error.strerror}") from error


def _in_use(folder: Path, descriptor: int) -> FolderInUse:
    name, _, process_id = os.pread(descriptor, 64, 0).decode(errors="replace").strip().partition(" ")
    return FolderInUse(folder, Holder.CITY if name == Holder.CITY else Holder.COMMAND, process_id)
