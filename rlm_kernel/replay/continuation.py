"""Runs that go on from a record: resumed after a crash, forked at a cell, rerun on another input.

Each is a ``Continuation``, which ``session.Session.go_on`` carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..errors import RecordError, UsageError
from ..events import ROOT, CellDecided, ContextSet, Event, NodeStarted, Replied, RunStarted
from ..inputs import contexts
from ..inputs.contexts import Source
from ..inputs.forms import Form, form_in
from ..inputs.tools import Tools
from ..record.files import JOURNAL, check_own
from ..record.journal import RunHasEnded
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.notebooks.tools import called, modules
from ..record.recorder import Recorder
from ..record.recording import Recording
from ..rlm.cell_runner import OpenRunner
from ..rlm.facts import Exchange
from ..settings.option import Group
from ..settings.resolved import (
    LIMIT_NAMES,
    OPTIONS,
    Layer,
    Wrote,
    decided_by_record,
    recorded_place,
)
from .leaving import fork_at, on_another_input
from .memory import RunMemory, remembered


@dataclass(frozen=True)
class Continuation:
    """A record that a run goes on from, and the question that it is about.

    ``origin`` is what the new record says of the old one; a resumed run, which has none, goes on in
    the old one. ``events`` are those of the record. ``source`` is the context, or ``variable`` the
    name of the one that holds it.
    """

    events: list[Event]
    earlier: RunMemory
    started: RunStarted
    source: Source | None
    variable: str | None = None
    origin: Mapping[str, Any] | None = None
    recorder: Recorder | None = field(default=None, repr=False)
    open_runner: OpenRunner | None = field(default=None, repr=False)
    """Opens what its root's cells run in, where that is no new kernel."""

    @classmethod
    def of(
        cls,
        folder: Path,
        events: list[Event],
        *,
        source: Source | None = None,
        recorder: Recorder | None = None,
    ) -> Self:
        """Return what these events of a run in ``folder`` are to be gone on from, on its own
        context or on another ``source``. Raises ``UsageError`` and ``RecordError``."""
        started, node = _beginning(folder, events)
        variable = None
        if source is None:
            source, variable = _context(folder, node)
        return cls(
            events=events,
            earlier=remembered(folder, events),
            started=started,
            source=source,
            variable=variable,
            recorder=recorder,
        )

    @property
    def question(self) -> str:
        return self.started.question

    @property
    def seed(self) -> int:
        """Return the seed that is drawn from again; records of version 1 had none."""
        return int(self.started.settings.get("seed", 0))

    @property
    def form(self) -> Form | None:
        """Return the form that the answer must have. Raises ``RecordError`` for what is none."""
        return form_in(self.started.settings)

    @property
    def prelude(self) -> list[Event]:
        return self.earlier.of(ROOT).prelude

    @property
    def conversation(self) -> list[Exchange]:
        """Return what was asked in its kernel before."""
        return [Exchange(**told) for told in self.started.settings.get("conversation", [])]

    @property
    def spoken(self) -> Layer:
        """The LMs of the record and how they are spoken to, for ``in_force``: weaker than
        options."""
        return Layer("the record", decided_by_record(Group.LM, self.started.settings), Wrote.RECORD)

    @property
    def place(self) -> Layer:
        """Return where cells run and what a run may use, for ``in_force``: weaker than all that the
        user has set. A record may be a stranger's: its limits are those of a run that is resumed
        only, but for the depth, on which cells depend."""
        was = self.started.settings
        sandbox, limits = was.get("sandbox", {}), was.get("limits", {})
        values = decided_by_record(Group.PLACE, was) | decided_by_record(Group.CONSENT, was)
        values |= recorded_place(was.get("environment", "local"), sandbox)
        kept = [n for n in LIMIT_NAMES if self.origin is None or OPTIONS[n].from_record]
        values |= {n: limits[LIMIT_NAMES[n]] for n in kept if LIMIT_NAMES[n] in limits}
        return Layer("the record", values, Wrote.RECORD)

    def tools(self, own: Tools) -> Tools:
        """Return the run's tools, with those of the user's that were called back. Raises
        ``RecordError`` for a value that cannot be found again. Blocks."""
        was = self.started.settings
        data: dict[str, Source] = {}
        for name, spec in was.get("data", {}).items():
            source, reason = contexts.find(spec, self.earlier.folder)
            if source is None:
                raise RecordError(f"{name}, which was handed in, cannot be found again: {reason}")
            data[name] = source
        return own.recorded(called(was), modules(was), data)

    def keep(self, recorder: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return ``recorder`` without what a resumed run does again and is recorded already."""
        if self.recorder is None:
            return recorder
        known = {event_id(event) for event in self.events if not _unanswered(event)}

        def once(event: Event) -> None:
            if event_id(event) not in known:
                recorder(event)

        return once


def event_id(event: Event) -> tuple[Any, ...]:
    """Return what is the same of an event when it happens again."""
    names = ("node", "turn", "cell", "key", "occurrence", "index", "compacted")
    own = event.time if isinstance(event, ContextSet | CellDecided) else None
    return event.kind, own, *(getattr(event, name, None) for name in names)


def _unanswered(event: Event) -> bool:
    """Return whether it tells of a request for a reply that failed: another one comes in its
    turn."""
    return isinstance(event, Replied) and not (event.text or event.thoughts or event.finish)


def resume(folder: Path) -> Continuation:
    """Go on with the run in this folder, which was killed. Blocks.

    Files that its cells wrote are set aside: the cells write them again. Raises ``UsageError`` for
    a run that ended, ``RecordError`` for one that still goes on or is damaged.
    """
    folder = folder.parent if folder.name in (JOURNAL, ROOT_PAGE) else folder
    if not (folder / JOURNAL).exists():
        raise UsageError(f"{folder}: there is no run here: {JOURNAL} is missing")
    check_own(folder)
    recorder, events = _reopened(folder)
    try:
        run = Continuation.of(folder, events, recorder=recorder)
    except BaseException:
        recorder.abandon()
        raise
    _set_aside(folder / "files")
    return run


def _reopened(folder: Path) -> tuple[Recorder, list[Event]]:
    try:
        return Recorder.reopen(folder)
    except RunHasEnded as error:
        how = "" if error.ended is None else f" ({error.ended.status})"
        raise UsageError(
            f"{folder}: the run ended{how}: there is nothing to resume. `rlm fork` goes on from "
            "any cell of it, and after its last one"
        ) from error


def _set_aside(files: Path) -> None:
    if files.exists():
        number = 1
        while (aside := files.with_name(f"files-{number}")).exists():
            number += 1
        files.rename(aside)
        aside.chmod(0o700)


def fork(
    path: Path, at: int | None, *, edit: str | None = None, note: str | None = None
) -> Continuation:
    """Go on from the run at ``path`` at its cell ``at``, or at its end; see ``leaving.fork_at``.
    Blocks."""
    recording = _opened(path)
    run = Continuation.of(recording.folder, recording.events)
    cells = [cell.cell for cell in run.earlier.of(ROOT).own_cells]
    end = run.earlier.of(ROOT).last_cell + 1
    cell = end if at is None else at
    if cell not in cells and (cell != end or edit is not None):
        after = f", and {end} goes on {'after the last one' if cells else 'from the beginning'}"
        raise UsageError(
            f"cell {cell}: the run has no such cell; {_range(cells)}{after * (edit is None)}"
        )
    fork_at(run.earlier, cell, edit=edit, note=note)
    edited = {} if edit is None else {"edited": True}
    return replace(run, origin={"kind": "fork", **_origin(recording), "cell": cell, **edited})


def _range(cells: list[int]) -> str:
    if not cells:
        return "it has none"
    return (
        f"its cells are {cells[0]} to {cells[-1]}" if cells[1:] else f"its only cell is {cells[0]}"
    )


def rerun(path: Path, source: Source | None, *, recall: bool = False) -> Continuation:
    """Run the cells of the run at ``path`` on another input, or again on its own. With ``recall``
    calls that its record answers are not asked anew. Blocks."""
    recording = _opened(path)
    run = Continuation.of(recording.folder, recording.events, source=source)
    if not run.earlier.of(ROOT).own_cells:
        raise UsageError(f"{recording.folder}: the run has no cells that could be run again")
    on_another_input(run.earlier, recall=recall)
    return replace(run, origin={"kind": "rerun", **_origin(recording)})


def read_run(path: Path) -> tuple[list[Event], RunStarted, NodeStarted]:
    """Return the events of a run, and how it and its root began. Raises ``UsageError`` and
    ``RecordError`` where that is no ground to go on from. Blocks."""
    recording = _opened(path)
    return recording.events, *_beginning(recording.folder, recording.events)


def _opened(path: Path) -> Recording:
    """Return the whole run at ``path``. What is damaged is no ground to go on from."""
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder")
    folder = path if path.is_dir() else path.parent
    if folder.name == "calls" and not (folder / JOURNAL).exists():
        raise UsageError(
            f"{path}: this is a child's notebook; give the run's folder, {folder.parent}"
        )
    if not (folder / JOURNAL).exists():
        raise UsageError(
            f"{path}: there is no {JOURNAL} beside it, and a notebook alone does not say what the "
            "LM was told: ask for the run's folder"
        )
    recording = Recording.open(folder.resolve() / JOURNAL)
    if recording.damage is not None:
        raise RecordError(f"{recording.source}: {recording.damage}")
    return recording


def _beginning(folder: Path, events: list[Event]) -> tuple[RunStarted, NodeStarted]:
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    node = next((event for event in events if isinstance(event, NodeStarted)), None)
    if started is None or node is None:
        raise UsageError(f"{folder}: the run was stopped before it began: ask its question again")
    if node.context is None:
        raise UsageError(f"{folder}: this is the record of a human's own cells; no LM wrote in it")
    return started, node


def _context(folder: Path, node: NodeStarted) -> tuple[Source | None, str | None]:
    """Return the context's bytes; where there are none, the name of the variable that held it."""
    assert node.context is not None
    spec = node.context.spec
    if spec.get("sha256") is None:
        if spec.get("variable") is None:
            raise RecordError("the record does not say what the context of the run was")
        return None, str(spec["variable"])
    source, reason = contexts.find(spec, folder)
    if source is None:
        raise RecordError(f"the context of the run cannot be found again: {reason}")
    return source, None


def _origin(recording: Recording) -> dict[str, Any]:
    return {"run": recording.tree.run, "seal": recording.seal}
