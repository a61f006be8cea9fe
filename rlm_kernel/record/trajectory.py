"""A recorded run read back for replay: from the record, or from a notebook that was sent alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import (
    CallEnded,
    CellRan,
    ContextInfo,
    ContextSet,
    Event,
    NodeEnded,
    NodeStarted,
    Output,
    RunStarted,
)
from . import journal, loading
from .equality import VERSION, digest, digest_as_kept, node_seed, sha256
from .notebooks import pages
from .notebooks.metadata import page
from .notebooks.sources import same
from .packing import unpack
from .versions import versions


@dataclass(frozen=True)
class RecordedCell:
    """A cell as it ran. ``outputs`` is None where only their digest was kept, which goes by the
    rules of ``version``; ``inputs`` and ``concurrent`` are as in ``CellRan``. ``shown`` is
    ``digest_as_kept`` of the outputs that its notebook has, where it has others than the record."""

    cell: int
    turn: int
    source: str
    author: str
    status: str
    answer: str | None
    digest: str
    outputs: list[Output] | None
    inputs: list[str | None] = field(default_factory=list)
    concurrent: bool = False
    version: int = VERSION
    shown: str | None = None
    seconds: float = 0.0
    """How long it ran; 0 where that was not kept."""

    def put_out(self, outputs: list[Output], *, concurrent: bool = False) -> bool:
        """Whether these are its outputs, but for what may differ (``digests.RULES``)."""
        if concurrent and not self.concurrent and self.outputs is not None:
            return digest(outputs, concurrent=True) == digest(self.outputs, concurrent=True)
        return digest(outputs, version=self.version, concurrent=self.concurrent) == self.digest


@dataclass(frozen=True)
class RecordedContext:
    """The kernel was given this ``context``."""

    spec: dict[str, Any]


@dataclass(frozen=True)
class RecordedCall:
    """One prompt's slot in the record, with the time it was under way (None if not kept)."""

    cell: int
    key: str
    occurrence: int
    index: int
    count: int
    op: str
    slot: dict[str, Any]
    child: str | None
    span: tuple[float, float] | None


@dataclass
class RecordedNode:
    """What replay needs of one node. ``happened`` is what was done in its kernel beside giving it
    the ``context`` of the question."""

    node: str
    parent: str | None
    context: RecordedContext | None
    happened: list[RecordedCell | RecordedContext] = field(default_factory=list)
    calls: list[RecordedCall] = field(default_factory=list)
    answer: str | None = None

    @property
    def cells(self) -> list[RecordedCell]:
        return [step for step in self.happened if isinstance(step, RecordedCell)]

    @property
    def steps(self) -> list[RecordedCell | RecordedContext]:
        """All that was done in the kernel: the prelude, the question's context, its turns."""
        turns = (
            place
            for place, step in enumerate(self.happened)
            if isinstance(step, RecordedCell) and step.turn > 0
        )
        first = next(turns, len(self.happened))
        own = [self.context] if self.context is not None else []
        return [*self.happened[:first], *own, *self.happened[first:]]


_TAKEN = (CellRan, ContextSet, CallEnded, NodeEnded)


@dataclass
class RecordedRun:
    """A run. ``problems`` says where its files were changed after they were written. ``notes``
    says what was changed in notebooks and takes nothing from a replay: they are a view, which
    formatters lay out anew, other tools strip, and Run All writes with other outputs."""

    folder: Path
    settings: dict[str, Any]
    nodes: dict[str, RecordedNode]
    problems: list[str]
    notes: list[str] = field(default_factory=list)

    def seed(self, node: str) -> int | None:
        """What the node's cells drew from after its context was given; records of the first
        version have none."""
        seed = self.settings.get("seed")
        return node_seed(seed, node) if isinstance(seed, int) else None


def load(path: Path) -> RecordedRun:
    """From a run's folder, its record or one of its notebooks; the record is preferred.

    Raises ``RecordError`` for what is none of them.
    """
    loaded = loading.load(path)
    if loaded.source.suffix == ".ipynb":
        return alone(loaded.source)
    read = journal.read(loaded.source)
    read.check_fit(loaded.source)
    recorded = _from_events(loaded.source.parent, read.events, list(loaded.problems))
    if loaded.sealed is False and not loaded.problems:
        recorded.problems.append("the record was not finished: the run goes on or was killed")
    wanted = {node.id for node in loaded.tree.nodes}
    recorded.nodes = {name: node for name, node in recorded.nodes.items() if name in wanted}
    _look_at_notebooks(recorded)
    return recorded


def _from_events(folder: Path, events: Iterable[Event], problems: list[str]) -> RecordedRun:
    recorded = RecordedRun(folder, {}, {}, problems)
    for event in events:
        if isinstance(event, RunStarted):
            recorded.settings = event.settings
            recorded.notes += _other_versions(event.versions)
        elif isinstance(event, NodeStarted):
            context = _context_of(event.context)
            recorded.nodes[event.node] = RecordedNode(event.node, event.parent, context)
        elif isinstance(event, _TAKEN) and event.node in recorded.nodes:
            _take(recorded.nodes[event.node], event)
    return recorded


def _context_of(info: ContextInfo | None) -> RecordedContext | None:
    return None if info is None else RecordedContext(info.spec)


def _take(node: RecordedNode, event: CellRan | ContextSet | CallEnded | NodeEnded) -> None:
    if isinstance(event, CellRan):
        node.happened.append(
            RecordedCell(
                event.cell,
                event.turn,
                event.source,
                event.author,
                event.status,
                event.answer,
                digest(event.outputs, concurrent=event.concurrent),
                event.outputs,
                event.inputs,
                event.concurrent,
                seconds=event.seconds,
            )
        )
    elif isinstance(event, ContextSet):
        node.happened.append(RecordedContext(event.context.spec))
    elif isinstance(event, CallEnded):
        slot = {"value": event.reply} if event.error is None else {"error": event.error}
        span = event.started, event.started + event.seconds
        node.calls.append(
            RecordedCall(
                event.cell,
                event.key,
                event.occurrence,
                event.index,
                event.count,
                event.op,
                slot,
                event.child,
                span,
            )
        )
    elif event.confirmed:
        node.answer = event.answer


def alone(path: Path) -> RecordedRun:
    """The one node of a notebook, whatever lies beside it; its children's answers are among its
    calls. Raises ``RecordError`` for what is no trajectory."""
    notebook, packed = pages.load(path)
    folder = path.parent.parent if path.parent.name == "calls" else path.parent
    blobs = folder / "blobs"

    def fetch(name: Any, chars: Any) -> str:
        try:
            return journal.blob(blobs, name, chars)
        except (OSError, ValueError) as error:
            raise RecordError(
                f"{path}: it refers to blobs/{name}, which is not beside it: send the run's "
                "folder instead of the notebook alone"
            ) from error

    about: dict[str, Any] = unpack(packed, fetch)
    try:
        context = about["context"] and RecordedContext(about["context"]["spec"])
        node = RecordedNode(about["node"], about["parent"], context)
        node.answer = about["answer"] if about["confirmed"] else None
        version = about["schema"]
        contexts = about.get("contexts", [])
        node.happened = list(_happened(notebook, about["cells"], contexts, version))
        node.calls = [_call_of(row) for row in about["calls"]]
        settings = about["settings"]
    except (KeyError, TypeError, AttributeError) as error:  # of the cells' outputs
        raise RecordError(f"{path}: the notebook is damaged: {error!r}") from error
    problems, notes = _changes_alone(about["cells"], node.cells)
    notes += _other_versions(about.get("versions", {}))
    return RecordedRun(folder, settings, {node.node: node}, problems, notes)


def _other_versions(was: dict[str, str]) -> list[str]:
    """What the run was made with and is not here, in a sentence: outputs may differ by it."""
    now = versions()
    differing = [
        f"{name} {version}, here {now.get(name, 'none')}"
        for name, version in was.items()
        if version != now.get(name)
    ]
    return [f"it was recorded with {'; '.join(differing)}"] if differing else []


def _changes_alone(
    rows: list[dict[str, Any]], cells: list[RecordedCell]
) -> tuple[list[str], list[str]]:
    there = {cell.cell: cell for cell in cells}
    problems, notes = [], []
    for row in rows:
        cell = there.get(row["cell"])
        if cell is None:
            problems.append(f"cell {row['cell']} is not in the notebook any more")
        elif row["source"] != sha256(cell.source):
            problems.append(f"cell {cell.cell} was changed: its source is not the one that ran")
        elif cell.shown is not None:
            notes.append(f"cell {cell.cell}: its outputs are not those of the record")
        elif cell.outputs is None:
            notes.append(f"cell {cell.cell}: its outputs were taken out of the notebook")
    return problems, notes


def _happened(
    notebook: Any, rows: list[dict[str, Any]], contexts: list[dict[str, Any]], version: int
) -> Iterable[RecordedCell | RecordedContext]:
    def set_before(cell: int | None) -> Iterable[RecordedContext]:
        return [RecordedContext(c["context"]["spec"]) for c in contexts if c["before"] == cell]

    for cell in _cells_of(notebook, rows, version):
        yield from set_before(cell.cell)
        yield cell
    yield from set_before(None)


def _cells_of(notebook: Any, rows: list[dict[str, Any]], version: int) -> Iterable[RecordedCell]:
    by_number = {row["cell"]: row for row in rows}
    for cell in notebook["cells"]:
        number = cell["metadata"].get("rlm", {}).get("cell")
        if cell["cell_type"] == "code" and number in by_number:
            row = by_number[number]
            concurrent = bool(row.get("concurrent"))
            seen = digest(cell["outputs"], version=version, concurrent=concurrent)
            own = row["outputs"] == seen
            yield RecordedCell(
                number,
                row["turn"],
                cell["source"],
                row["author"],
                row["status"],
                row["answer"],
                row["outputs"],
                list(cell["outputs"]) if own else None,
                row.get("inputs", []),
                concurrent,
                version,
                None
                if own or not cell["outputs"]
                else digest_as_kept(cell["outputs"], concurrent=concurrent),
                row.get("seconds", 0.0),
            )


def _call_of(row: dict[str, Any]) -> RecordedCall:
    slot = {"error": row["error"]} if "error" in row else {"value": row["reply"]}
    return RecordedCall(
        row["cell"],
        row["key"],
        row["occurrence"],
        row["index"],
        row["count"],
        row["op"],
        slot,
        row["child"],
        None,
    )


def _look_at_notebooks(recorded: RecordedRun) -> None:
    """Where a notebook beside the record says something else than the record.

    Other code, replies or answers are a problem. Other outputs are not one yet: Run All writes
    its own over them. A replay looks whether it can explain them (``RecordedCell.shown``).
    """
    for node in recorded.nodes.values():
        path = recorded.folder / page(node.node, root=node.parent is None)
        if not path.exists():
            recorded.notes.append(f"{path.name} is not beside the record")
            continue
        try:
            found = alone(path)
            seen = found.nodes[node.node]
        except (RecordError, KeyError) as error:
            recorded.notes.append(f"{path.name} has lost what makes it a trajectory: {error}")
        else:
            if found.settings.get("tool_modules") != recorded.settings.get("tool_modules"):
                problem = f"{path.name}: the source of the tools is not the one in the record"
                recorded.problems.append(problem)
            recorded.problems += [f"{path.name}: {text}" for text in _differences(node, seen)]
            recorded.notes += [f"{path.name}: {text}" for text in _take_shown(node, seen)]


def _differences(node: RecordedNode, seen: RecordedNode) -> Iterable[str]:
    for ours, theirs in zip(node.calls, seen.calls, strict=False):
        if ours.slot != theirs.slot:
            yield (
                f"the recorded reply to {ours.op} in cell {ours.cell}, prompt {ours.index + 1} of "
                f"{ours.count}, is not the one in the record"
            )
    there = {cell.cell: cell for cell in seen.cells}
    for mine in node.cells:
        if mine.cell not in there:
            yield f"cell {mine.cell} of the record is not in it any more"
        elif not same(mine.source, there[mine.cell].source):
            yield f"cell {mine.cell}: its source is not the one in the record"
        elif mine.outputs is not None and not there[mine.cell].put_out(mine.outputs):
            yield f"cell {mine.cell}: the digest of its outputs is not the one in the record"
    if node.answer != seen.answer:
        yield "the answer is not the one in the record"


def _take_shown(node: RecordedNode, seen: RecordedNode) -> Iterable[str]:
    """Keep with each recorded cell the outputs that its notebook has where they are others."""
    there = {cell.cell: cell for cell in seen.cells}
    for place, mine in enumerate(node.happened):
        shown = there.get(mine.cell) if isinstance(mine, RecordedCell) else None
        if not isinstance(mine, RecordedCell) or shown is None:
            continue
        if shown.source != mine.source and same(shown.source, mine.source):
            yield f"cell {mine.cell}: its code is laid out anew"
        if shown.shown is not None:
            node.happened[place] = replace(mine, shown=shown.shown)
            yield f"cell {mine.cell}: its outputs are not those of the record"
        elif shown.outputs is None:
            yield f"cell {mine.cell}: its outputs were taken out of it"
