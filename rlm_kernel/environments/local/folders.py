"""A kernel's private folder: for this user only, short enough for sockets, gone with its host."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

from ...endings import to_the_end
from ...errors import KernelStartError
from .watchdog import Watchdog, spawned

MAX_PARENT = 70
"""Bytes of the folder that the private ones are in. A socket's path ends at 107, on macOS at 103,
and some 25 come behind."""
NAME = re.compile(r"rlm-[0-9a-f]{8}")
NEW_S = 60.0
"""So young, a folder may be one that its host is about to lock."""


@asynccontextmanager
async def private_folder(
    watched: Callable[[Path], Watchdog] = spawned,
) -> AsyncIterator[tuple[Path, Watchdog]]:
    """Give what ``kept_folder`` gives, without standing still."""
    kept = ExitStack()
    try:
        yield await to_the_end(asyncio.to_thread(kept.enter_context, kept_folder(watched)))
    finally:
        await to_the_end(asyncio.to_thread(kept.close))


@contextmanager
def kept_folder(
    watched: Callable[[Path], Watchdog] = spawned,
) -> Iterator[tuple[Path, Watchdog]]:
    """Give a folder and the watchdog that deletes it, which ``watched`` starts. Blocks. Raises
    ``KernelStartError``."""
    parent = parent_folder()
    _sweep_once(parent)
    try:
        watchdog = watched(new_name(parent))  # before anything is there that could be left
    except OSError as error:
        raise KernelStartError(f"no process can be started: {error}") from error
    try:
        with _made(watchdog.folder):
            yield watchdog.folder, watchdog
    finally:
        watchdog.close()


def new_name(parent: str | Path) -> Path:
    """Return the path of a private folder that is not there yet."""
    return Path(parent, f"rlm-{secrets.token_hex(4)}")


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make the folder, and lock it for as long as its host lives."""
    try:
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise KernelStartError(
            f"no folder for a kernel can be made in {folder.parent} ({error.strerror}): TMPDIR "
            "may name another"
        ) from error
    try:
        with contextlib.suppress(OSError):  # a file system without locks: it is never swept
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def parent_folder() -> str:
    """Return the folder for temporary files, or another one where sockets could not be in it.

    Raises ``KernelStartError`` where there is none.
    """
    with contextlib.suppress(FileNotFoundError):
        if _holds_sockets(usual := tempfile.gettempdir()):
            return usual
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp"):
        if _holds_sockets(folder):
            return folder
    raise KernelStartError(
        f"no folder can hold the sockets of a kernel: let TMPDIR name one of at most {MAX_PARENT} "
        "plain characters, on a disk that is not full, in which you may write"
    )


def _holds_sockets(folder: str) -> bool:
    short = len(os.fsencode(folder)) <= MAX_PARENT and folder.isprintable()
    return short and os.path.isabs(folder) and os.access(folder, os.W_OK | os.X_OK)


@cache
def _sweep_once(parent: str) -> None:
    """Remove the folders of hosts that were killed with their watchdogs: keys are in them."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    try:
        info = entry.stat(follow_symlinks=False)
        if info.st_uid != os.getuid() or time.time() - info.st_mtime < NEW_S:
            return False
        lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
