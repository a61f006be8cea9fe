"""The reader of events that writes the record and its view.

The record gets every event at once. A notebook is written at most once a second, in a thread, so
that the loop goes on; a node's end is written without delay.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, assert_never

from jupyter_core.paths import jupyter_data_dir

from ..errors import RecordError, one_line
from ..events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)
from . import files, journal
from .files import JOURNAL
from .notebooks import ipynb
from .notebooks.metadata import NotebookContext, page, record
from .notebooks.notebook import build
from .shelf import Shelf
from .summary import Fold

T = TypeVar("T")
RUNS = "rlm-runs"  # the folder of runs in a working folder
INTERVAL_S = 1.0
FULL = (errno.ENOSPC, errno.EDQUOT)
LONGEST_PROMPT = 2000  # characters of a prompt that are kept in memory for the view


def new_run_folder(base: Path, name: str) -> Path:
    """Make a new folder ``rlm-runs/<name>`` under ``base``, kept out of git, with a number where
    the name is taken. Where ``base`` cannot be written it is in Jupyter's data folder.

    Raises ``RecordError`` where that cannot be written either.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"
    try:
        return _make_folder(base / RUNS, stem)
    except (OSError, RecordError):
        elsewhere = Path(jupyter_data_dir()) / RUNS
    try:
        return _make_folder(elsewhere, stem)
    except OSError as error:
        raise RecordError(
            f"no folder for the run can be made, neither in {base} nor in {elsewhere}: "
            f"{error.strerror}; name one with --out, or let JUPYTER_DATA_DIR name one where "
            "Jupyter is started"
        ) from error


def _make_folder(runs: Path, stem: str) -> Path:
    files.make_folder(runs)
    ignore = runs / ".gitignore"
    if not ignore.exists():
        files.write(ignore, b"*\n")
    number, folder = 1, runs / stem
    while True:
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1
            folder = runs / f"{stem}-{number}"


@dataclass
class _Page:
    """One notebook. ``events`` are let go when its node has ended and it was written."""

    path: Path
    root: bool
    events: Shelf = field(default_factory=Shelf)
    dirty: bool = True
    ended: bool = False
    not_before: float = 0.0


class Recorder:
    """Call it with each event, on the loop; ``close`` it when there are no more.

    A disk that refuses raises ``RecordError``: at once where the record is concerned, in
    ``attended`` too where it is full. A notebook is only a view: that it cannot be written is
    raised at ``close``, and the run need not end for it. Events of a child that come after its end
    (a thread that outlived its cell) are in the record only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        interval_s: float = INTERVAL_S,
        written: journal.Journal | None = None,
    ) -> None:
        self.folder = folder
        self._interval_s = interval_s
        self._journal = written or journal.Journal.create(folder / JOURNAL)
        self._fold = Fold()
        self._run: RunStarted | None = None
        self._pages: dict[str, _Page] = {}
        self._wake = asyncio.Event()
        self._unsynced = False
        self._closing = False
        self._writer: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._lost: RecordError | None = None  # why an event is not in the record
        self._unwritten: RecordError | None = None
        """Why a notebook could not be written."""

    @classmethod
    def reopen(cls, folder: Path) -> tuple[Recorder, list[Event]]:
        """Return the recorder of a run that was killed, to go on with, and what it has recorded.

        Raises what ``Journal.reopen`` raises. ``abandon`` it, or go on and ``close`` it.
        """
        written, events = journal.Journal.reopen(folder / JOURNAL)
        recorder = cls(folder, written=written)
        for event in events:
            recorder._take(event)
        return recorder, events

    def abandon(self) -> None:
        """Let go of a record that nothing was added to, as it is."""
        self._journal.close()

    def __call__(self, event: Event) -> None:
        if self._writer is not None and self._writer.done():
            self._writer.result()  # raises what stopped it
        try:
            self._journal.write(event)
        except RecordError as error:
            self._lost = self._lost or error
            raise
        self._take(event)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_as_needed())
            self._writer.add_done_callback(lambda _: self._stopped.set())

    async def attended(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of ``work``, which is cancelled where it can be recorded no more
        meanwhile: it may be long until its next event. Raises ``RecordError`` then."""
        working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, stopped):
                task.cancel()
            await asyncio.gather(working, stopped, return_exceptions=True)
        if working.cancelled() and self._writer is not None:
            self._writer.result()  # raises what stopped it
        return working.result()

    def _take(self, event: Event) -> None:
        self._fold.add(event)
        match event:
            case RunStarted():
                self._run = event
            case RunEnded():
                self._hurry(*self._pages)
            case NodeStarted():
                self._open(event)
                self._show(event.node, event)
            case ContextSet() | Prompted() | Replied() | CellRan() | CallEnded():
                self._show(event.node, event)
            case CellDecided() | KernelRestarted() | NodeEnded():
                self._show(event.node, event)
            case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)

    @property
    def root_events(self) -> list[Event]:
        """The events of the root, with long prompts cut."""
        return [event for shown in self._pages.values() if shown.root for event in shown.events]

    @property
    def trajectory(self) -> Path:
        """The notebook of the root."""
        return self.folder / page("", root=True)

    async def close(self) -> None:
        """Write everything, seal the record and note its seal in each notebook.

        Raises ``RecordError`` where the record cannot be sealed, and after it is where an event is
        not in it or a notebook cannot be written.
        """
        try:
            self._closing = True
            self._wake.set()
            if self._writer is not None:
                await self._writer
            seal = await asyncio.to_thread(self._journal.seal)
            self._unwritten = None
            for name, written in self._pages.items():
                if written.events:
                    await self._write(name, written, seal)
                else:
                    await self._put(_add_seal, written, seal)
        finally:
            self._journal.close()
        if (missing := self._lost or self._unwritten) is not None:
            raise missing

    def _show(self, name: str, event: Event) -> None:
        shown = self._pages.get(name)
        if shown is None or (shown.ended and not shown.root):
            return
        shown.events.append(_slim(event))
        shown.ended = isinstance(event, NodeEnded)
        if isinstance(event, Replied):
            self._unsynced = True
            self._wake.set()
        if isinstance(event, (NodeStarted, NodeEnded)):
            self._hurry(name, *self._above(name))
        elif not shown.dirty:
            shown.dirty = True
            self._wake.set()

    def _open(self, event: NodeStarted) -> None:
        root = event.parent is None
        self._pages[event.node] = _Page(self.folder / page(event.node, root=root), root)

    def _above(self, name: str) -> list[str]:
        """Return the nodes above: their notebooks link to this one and count it."""
        above: list[str] = []
        parent = self._fold.parent(name)
        while parent is not None and parent not in above:
            above.append(parent)
            parent = self._fold.parent(parent)
        return above

    def _hurry(self, first: str | None = None, *others: str) -> None:
        """Have the first written at once, the others when their time has come."""
        for name in (first, *others):
            if name in self._pages and name is not None:
                self._pages[name].dirty = True
        if first in self._pages and first is not None:
            self._pages[first].not_before = 0.0
        self._wake.set()

    async def _write_as_needed(self) -> None:
        """Write notebooks and sync the record, until ``close``. It is the one task that does."""
        while True:
            closing = self._closing
            self._wake.clear()
            if self._unsynced:
                self._unsynced = False
                await asyncio.to_thread(self._journal.sync)
            for name, due in list(self._pages.items()):
                if due.dirty and (closing or due.not_before <= time.monotonic()):
                    await self._write(name, due)
            if closing:
                return
            await self._wait()

    async def _wait(self) -> None:
        times = [waiting.not_before for waiting in self._pages.values() if waiting.dirty]
        seconds = max(0.0, min(times) - time.monotonic()) if times else None
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return  # a notebook's time has come

    async def _write(self, name: str, due: _Page, seal: str | None = None) -> None:
        if not due.events:
            due.dirty = False
            return
        ended, nodes = due.ended, self._fold.tree().below(name)
        place = NotebookContext(run=self._run, nodes=nodes, folder=True, seal=seal)
        due.dirty = False
        began = time.monotonic()
        whole = ended or seal is not None
        put = await self._put(_write_page, due.path, due.events[:], place, whole)
        # A notebook that takes long to write is written less often: a tenth of a core at most.
        now = time.monotonic()
        due.not_before = now + max(self._interval_s, 10 * (now - began))
        if put and ended and not due.root and not due.dirty:
            due.events.clear()

    async def _put(self, write: Callable[..., None], *given: Any) -> bool:
        """Write a notebook in a thread; whether it could be. Why not is told at the end.

        Raises ``RecordError`` where the disk is full: it takes no more of the record either.
        """
        try:
            await asyncio.to_thread(write, *given)
        except RecordError as error:
            cause = error.__cause__
            if not self._closing and isinstance(cause, OSError) and cause.errno in FULL:
                raise
            self._unwritten = self._unwritten or error
            return False
        return True


def _slim(event: Event) -> Event:
    """Return the event without what the view does not show: a prompt may be 10 MB long."""
    if isinstance(event, CallEnded) and len(event.prompt) > LONGEST_PROMPT:
        return dataclasses.replace(event, prompt=event.prompt[:LONGEST_PROMPT])
    if isinstance(event, Prompted) and event.turn <= 1:
        return dataclasses.replace(event, messages=[])
    return event


def _write_page(path: Path, events: Shelf, place: NotebookContext, check: bool) -> None:
    try:
        made = build(list(events), place)
        if check:
            ipynb.check(made, path)
        data = ipynb.dumps(made)
    except RecordError:
        raise
    except Exception as error:
        raise RecordError(f"{path}: the notebook cannot be made: {one_line(error)}") from error
    files.write(path, data)


def _add_seal(written: _Page, seal: str) -> None:
    try:
        made = ipynb.loads(files.read(written.path))
        made["metadata"]["rlm"]["record"] = record(written.root, seal)
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"{written.path}: the notebook was changed meanwhile: {error}") from error
    files.write(written.path, ipynb.dumps(made))
