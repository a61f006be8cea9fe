"""The folder of a run: where it is made, and what is left of it that nobody wrote to."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from ..endings import to_the_end
from ..errors import UsageError
from ..record import files
from ..record.files import JOURNAL, SUBFOLDERS
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.recorder import Recorder, new_run_folder
from ..replay.reopen import ended_before

WRITTEN = (ROOT_PAGE, *SUBFOLDERS, "files")
"""The names that a run puts into its folder beside its record."""


def run_folder(out: Path | None, base: Path | None) -> Path:
    """Return the folder that was asked for, or a new one below ``base``, by default the working
    folder. Raises ``UsageError`` where it cannot be made, or holds what a run writes. Blocks."""
    if out is None:
        return new_run_folder(base or _working_folder(), time.strftime("%Y%m%d-%H%M%S"))
    try:
        files.make_folder(out)
    except OSError as error:
        raise UsageError(
            f"out={str(out)!r}: the run's folder cannot be made: {error.strerror}; choose "
            "another one"
        ) from error
    if (out / JOURNAL).exists():
        raise UsageError(
            f"out={str(out)!r}: the folder holds a run already; choose another one or remove it"
        )
    there = [name for name in WRITTEN if (out / name).exists()]
    if there and not ended_before(out):  # or it is what is left of a run that is asked anew
        raise UsageError(
            f"out={str(out)!r}: the folder holds {there[0]!r}, which a run would write over; "
            "choose another folder"
        )
    return out.resolve()  # kernels have another working folder


async def begin_record(out: Path | None, base: Path | None) -> Recorder:
    """Begin the record of a run in ``run_folder``. Folders are made in a thread: a slow disk must
    not hold up the loop, which is that of all runs. Raises ``UsageError`` and ``RecordError``."""
    begun: list[Recorder] = []
    try:
        await to_the_end(asyncio.to_thread(lambda: begun.append(Recorder(run_folder(out, base)))))
    except BaseException:
        for recorder in begun:
            recorder.abandon()
        raise
    return begun[0]


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working folder is gone: go to one that is there (cd)") from None


def drop_empty(files: Path, in_use: str | None) -> None:
    """Remove the working folders that no cell wrote to; one may be ``in_use``."""
    if not files.is_dir():
        return
    for folder in [*files.iterdir(), files]:
        if folder.is_dir() and folder.name != in_use and not any(folder.iterdir()):
            folder.rmdir()
