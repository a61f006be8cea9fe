"""The runs in a notebook's folder, those of kernels that are gone among them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ...environments.owner_tag import is_gone
from ...errors import RecordError, UsageError
from ...events import RunStarted
from ...record import journal
from ...record.files import JOURNAL
from ...record.mending import mend
from ...record.notebooks.metadata import OWNER
from ...record.summary import RUNNING
from ...reports import listing
from ...reports.listing import KILLED, Row
from ...session.human_calls import HumanCalls

log = logging.getLogger("rlm_kernel")


class FolderRuns:
    """The runs below one folder, each read once it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[int, Row]] = {}
        self._mending = asyncio.Lock()

    async def mend(self) -> None:
        """Record the end of runs whose kernel is gone: those that a kernel of this machine began,
        whose process is there no more and whose record nobody writes. What cannot be mended is
        logged, and stays as it is."""
        async with self._mending:
            for run in await asyncio.to_thread(lambda: list(filter(_is_left, self._paths()))):
                try:
                    await mend(run)
                except RecordError as error:
                    log.warning("a run that was left cannot be ended: %s", error)

    async def rows(self, others: Iterable[Path] = ()) -> list[Row]:
        """Return the runs, and ``others`` that lie elsewhere, in the order of their beginning."""
        await self.mend()
        return await asyncio.to_thread(self._rows, list(others))

    async def questions(self, others: Iterable[Path] = ()) -> list[Row]:
        """Return the same without the records of cells by hand."""
        return [row for row in await self.rows(others) if row.question != HumanCalls.QUESTION]

    def _paths(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if (path / JOURNAL).is_file()]
        except OSError:
            return []  # nothing was asked here yet

    def _rows(self, others: list[Path]) -> list[Row]:
        found = [self._row(path) for path in dict.fromkeys([*self._paths(), *others])]
        return sorted(found, key=lambda row: (row.began or 0.0, row.path.name))

    def _row(self, path: Path) -> Row:
        try:
            written = (path / JOURNAL).stat().st_mtime_ns
        except OSError:
            written = -1
        known = self._known.get(path)
        row = known[1] if known is not None and known[0] == written else listing.read(path)
        self._known[path] = (written, row)
        if row.status == RUNNING and journal.is_written(path / JOURNAL) is False:
            row = replace(row, status=KILLED)
        return row


def chosen(rows: list[Row], named: str | None) -> Row:
    """Return the run of this number, counted from 1, or of this name; by default the newest one.
    Raises ``UsageError``."""
    if not rows:
        raise UsageError("no question was asked yet")
    if named is None:
        return rows[-1]
    if named.isdecimal() and 1 <= int(named) <= len(rows):
        return rows[int(named) - 1]
    by_name = [row for row in rows if row.path.name == named]
    if not by_name:
        raise UsageError(f"there is no run {named!r}: %rlm runs lists 1 to {len(rows)}")
    return by_name[0]


def _is_left(run: Path) -> bool:
    """Return whether the kernel that began this run did not live to record its end. Blocks."""
    path = run / JOURNAL
    try:
        if journal.ending(path, 1).sealed or journal.is_written(path) is not False:
            return False
        started = next(iter(journal.beginning(path, 1)), None)
    except RecordError as error:
        log.debug("%s", error)
        return False
    owner = started.settings.get(OWNER) if isinstance(started, RunStarted) else None
    return isinstance(owner, str) and is_gone(owner)
