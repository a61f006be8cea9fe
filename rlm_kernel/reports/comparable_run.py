"""The course of a run: what was asked, written, run and replied in each of its nodes.

Read from a record, or from a notebook that was sent alone, in the one form in which two runs can
be laid side by side (``compare``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from ..errors import RecordError
from ..events import CallEnded, Event, Replied, RunStarted
from ..record import journal, loading, trajectory
from ..record.equality import digest_as_kept
from ..record.markdown import printable
from ..record.notebooks import pages
from ..record.notebooks.notebook import as_kept
from ..record.summary import Node, Tree
from ..record.trajectory import RecordedCall, RecordedCell, RecordedContext, RecordedNode

Identity: TypeAlias = tuple[int, str, int, int]
"""Of a call in its node: the cell, its key, which of the equal ones, which prompt."""


@dataclass(frozen=True)
class ComparableRun:
    """A run to be compared. ``path`` is as it was named, ``source`` the file that was read.

    ``nodes`` are those whose cells are known: of a notebook without its record its own node only.
    ``replies`` has the LM's text by node and turn, ``prompts`` a call's prompt by node and
    identity; both are empty without a record. ``record`` tells whether there was one.
    """

    path: Path
    source: Path
    tree: Tree
    record: bool
    settings: dict[str, Any]
    versions: dict[str, str]
    nodes: dict[str, RecordedNode]
    replies: dict[tuple[str, int], str]
    prompts: dict[tuple[str, Identity], str]
    problems: tuple[str, ...]

    @property
    def root(self) -> Node:
        return self.tree.nodes[0]


def load(path: Path) -> ComparableRun:
    """From a run folder, a journal or a notebook; the record is preferred where it is there.

    What is damaged is told in ``problems``. Raises ``RecordError`` where there is no node to be
    compared.
    """
    return _load(path)


def _load(path: Path) -> ComparableRun:
    loaded = loading.load(path)
    recorded = trajectory.load(path)
    if not loaded.tree.nodes:
        raise RecordError(f"{path}: there is no run to compare: {loaded.problems[0]}")
    record = loaded.sealed is not None
    events = journal.read(loaded.source).events if record else []
    return ComparableRun(
        path=path,
        source=loaded.source,
        tree=loaded.tree,
        record=record,
        settings=recorded.settings,
        versions=_versions(events) if record else _versions_of_notebook(loaded.source),
        nodes={name: _as_kept(node) for name, node in recorded.nodes.items()},
        replies={(e.node, e.turn): e.text for e in events if isinstance(e, Replied)},
        prompts={
            (e.node, (e.cell, e.key, e.occurrence, e.index)): e.prompt
            for e in events
            if isinstance(e, CallEnded)
        },
        problems=tuple(recorded.problems),
    )


def identity(call: RecordedCall) -> Identity:
    return call.cell, call.key, call.occurrence, call.index


def content(context: RecordedContext) -> dict[str, Any]:
    """What a context is, whatever it is called and wherever it came from."""
    return {key: context.spec.get(key) for key in ("kind", "sha256", "size")}


def _versions(events: Iterable[Event]) -> dict[str, str]:
    started = (event for event in events if isinstance(event, RunStarted))
    return next((event.versions for event in started), {})


def _versions_of_notebook(path: Path) -> dict[str, str]:
    _, about = pages.load(path)
    versions: dict[str, str] = about["versions"]
    return versions


def _as_kept(node: RecordedNode) -> RecordedNode:
    """With its cells as a notebook keeps them, so that a record and a notebook of it are equal."""
    steps = [
        _cell_as_kept(step) if isinstance(step, RecordedCell) else step for step in node.happened
    ]
    return dataclasses.replace(node, happened=steps)


def _cell_as_kept(cell: RecordedCell) -> RecordedCell:
    outputs = [as_kept(output) for output in cell.outputs or []]
    shown = cell.shown
    if outputs:
        shown = digest_as_kept(outputs, concurrent=cell.concurrent)
    return dataclasses.replace(cell, source=printable(cell.source), outputs=outputs, shown=shown)


@dataclass(frozen=True, eq=False)
class PutOut:
    """What a cell put out, to be compared: as notebooks keep it. Where tools such as nbstripout
    took it away, what it was is still known by the record's digest."""

    digest: str
    shown: str | None

    @classmethod
    def of(cls, cell: RecordedCell) -> Self:
        return cls(cell.digest, cell.shown)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PutOut):
            return NotImplemented
        if self.shown is not None and other.shown is not None:
            return self.shown == other.shown
        return self.digest == other.digest

    __hash__ = None  # type: ignore[assignment]
