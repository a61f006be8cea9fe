"""What was asked, written, run and replied in each node of a run, in the one form in which two
runs can be laid side by side (``compare``), whether read from a record or from a notebook alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from ..errors import RecordError
from ..events import CallEnded, Replied
from ..record.equality import digest_as_kept
from ..record.markdown import printable
from ..record.nodes import RecordedCall, RecordedCell, RecordedContext, RecordedNode
from ..record.notebooks.cells import as_kept
from ..record.recording import Recording
from ..record.summary import Node, Tree
from ..record.trajectory import replayable

Identity: TypeAlias = tuple[int, str, int, int]
"""A call in its node: the cell, its key, which of the equal ones, which prompt."""


@dataclass(frozen=True)
class ComparableRun:
    """A run to be compared. ``path`` is as it was named.

    ``nodes`` are those whose cells are known: of a notebook without its record its own node only.
    ``replies`` has the LM's text by node and turn, ``prompts`` a call's prompt by node and
    identity; both are empty without a record.
    """

    path: Path
    recording: Recording
    nodes: dict[str, RecordedNode]
    replies: dict[tuple[str, int], str]
    prompts: dict[tuple[str, Identity], str]
    problems: tuple[str, ...]

    @property
    def source(self) -> Path:
        return self.recording.source

    @property
    def record(self) -> bool:
        """Return whether there was a record."""
        return not self.recording.alone

    @property
    def tree(self) -> Tree:
        return self.recording.tree

    @property
    def root(self) -> Node:
        return self.recording.root

    @property
    def settings(self) -> dict[str, Any]:
        started = self.recording.started
        return {} if started is None else started.settings

    @property
    def versions(self) -> dict[str, str]:
        started = self.recording.started
        return {} if started is None else started.versions


def load(path: Path) -> ComparableRun:
    """Open a run to be compared. What is damaged is told in ``problems``.

    Raises as ``Recording.open`` and ``replayable`` do, and ``RecordError`` where there is no node
    to be compared. Blocks.
    """
    recording = Recording.open(path)
    recorded = replayable(recording)
    if not recording.tree.nodes:
        raise RecordError(f"{path}: there is no run to compare: {recording.problems[0]}")
    told = [] if recording.alone else recording.events
    return ComparableRun(
        path=path,
        recording=recording,
        nodes={name: _as_kept(node) for name, node in recorded.nodes.items()},
        replies={(e.node, e.turn): e.text for e in told if isinstance(e, Replied)},
        prompts={
            (e.node, (e.cell, e.key, e.occurrence, e.index)): e.prompt
            for e in told
            if isinstance(e, CallEnded)
        },
        problems=tuple(recorded.problems),
    )


def identity(call: RecordedCall) -> Identity:
    return call.cell, call.key, call.occurrence, call.index


def content(context: RecordedContext) -> dict[str, Any]:
    """Return what a context is, whatever it is called and wherever it came from."""
    return {key: context.spec.get(key) for key in ("kind", "sha256", "size")}


def _as_kept(node: RecordedNode) -> RecordedNode:
    """Return the node with its cells as a notebook keeps them, so that a record and a notebook of
    it are equal."""
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
    """The outputs of a cell, to be compared: as notebooks keep it. Where tools such as nbstripout
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
