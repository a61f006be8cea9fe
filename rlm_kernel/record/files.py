"""The files of a run's folder: written whole, for their owner only; read only where they are files.

A folder that comes from somebody else may hold links and pipes under the names of ours.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ..errors import RecordError

JOURNAL = "journal.jsonl"
"""The name of a run's record in its folder."""
SUBFOLDERS = ("blobs", "calls")
LARGEST_FILE = 1 << 29
"""Bytes of a notebook, or of a text beside a record, that are read."""


def make_folder(path: Path) -> None:
    """Make the folder, and those missing above it, for their owner only. Raises ``OSError``."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, data: bytes | Iterable[bytes], *, sync: bool = False) -> None:
    """Put ``data``, or all of its pieces, there whole or not at all, readable by its owner only;
    with ``sync`` on the disk too. Of its folder only a run's ``SUBFOLDERS`` are made.

    Raises ``RecordError``.
    """
    try:
        half = _half(path)
        with open(_opened_new(half), "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(half, path)
    except OSError as error:
        raise refused(path, error) from error


def take(source: Path, path: Path) -> None:
    """Put the file ``source``, which never changes, there too. Raises ``RecordError``."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with open_file(source) as file:
            try:  # a link will do; another file system wants a copy
                os.link(source, path, follow_symlinks=False)
            except OSError:
                half = _half(path)
                with open(_opened_new(half), "wb") as copy:
                    shutil.copyfileobj(file, copy)
                os.replace(half, path)
    except OSError as error:
        raise refused(path, error) from error


def _half(path: Path) -> Path:
    # One fixed name beside the file: what a killed writer leaves is overwritten by the next one.
    return path.with_name(f".{path.name}.part")


def _opened_new(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        if path.parent.name not in SUBFOLDERS:
            raise
        path.parent.mkdir(mode=0o700, exist_ok=True)  # the run's folder, if removed, stays so
        descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # a killed writer of an older version left it otherwise
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def refused(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"{path}: the record cannot be written: {error.strerror or error}; "
        "free some space or choose another folder with --out"
    )


def open_file(path: Path) -> BinaryIO:
    """Open a file to be read, and nothing that would keep us waiting. Raises ``OSError``."""
    return os.fdopen(opened(path, os.O_RDONLY), "rb")


def opened(path: Path, flags: int) -> int:
    """Return the descriptor of a file that is there, and of nothing that would keep us waiting.
    Raises ``OSError``."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and no file")
    return descriptor


def read(path: Path, most: int = LARGEST_FILE) -> bytes:
    """Return the bytes of a file, ``most`` at most. Raises ``OSError``."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
        return file.read(most)


def check_own(folder: Path) -> None:
    """Raise ``RecordError`` where something in a run's folder leads out of it. What its cells
    wrote is not looked at: they write in a new folder."""
    below = (path for name in SUBFOLDERS for path in (folder / name).glob("*"))
    for path in [*folder.iterdir(), *below]:
        if path.is_symlink():
            raise RecordError(
                f"{path}: it is a link, which may lead out of the run's folder: nothing is written "
                "there. Put what it leads to in its place, or remove it"
            )
