"""A trajectory read for people: its events and totals, from the record or from a notebook alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import (
    CallEnded,
    CellRan,
    ContextInfo,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Replied,
    RunStarted,
    Usage,
    to_dict,
)
from . import journal, loading
from .forms import event_of
from .loading import Loaded
from .notebooks import pages
from .packing import unpack
from .summary import RUNNING

_TURN = re.compile(r"###### Turn (\d{1,9})(?:\n\n|\Z)")


@dataclass(frozen=True)
class Reading:
    """``events`` are those of the nodes in ``loaded.tree``, in their order.

    ``alone`` is true for a notebook with no record beside it: it has no prompts and no times (all
    are 0), and nothing of the cells of children.
    """

    loaded: Loaded
    events: list[Event]
    alone: bool

    @property
    def root(self) -> str:
        return self.loaded.tree.nodes[0].id

    @property
    def folder(self) -> Path:
        """Where blobs and contexts are looked for."""
        parent = self.loaded.source.parent
        return parent.parent if parent.name == "calls" else parent


def load(path: Path) -> Reading:
    """From a run's folder, its record or one of its notebooks; the record is preferred.

    Raises ``RecordError`` for what is none of them and for a record of no node.
    """
    loaded = loading.load(path)
    alone = loaded.source.suffix == ".ipynb"
    read = [] if alone else _fit(loaded.source)
    if not loaded.tree.nodes:
        raise RecordError(f"{path}: no node has started in this record: there is nothing to read")
    if alone:
        return Reading(loaded, list(_of_notebook(loaded)), True)
    wanted = {node.id for node in loaded.tree.nodes}
    events = [event for event in read if getattr(event, "node", None) in {None, *wanted}]
    return Reading(loaded, events, False)


def _fit(path: Path) -> list[Event]:
    record = journal.read(path)
    record.check_fit(path)
    return record.events


# -- a notebook alone -----------------------------------------------------------------------------
def _of_notebook(loaded: Loaded) -> Iterator[Event]:
    """What it has, in the form of events."""
    notebook, packed = pages.load(loaded.source)
    about = unpack(packed, _fetcher(loaded.source))
    made = [
        RunStarted(about["run"], about["question"], about["settings"], about["versions"], 0.0),
        _started(about),
        *_cells(notebook, about),
    ]
    if about["status"] != RUNNING:
        ending = about["status"], about["answer"], about["confirmed"], about["reason"]
        made.append(NodeEnded(about["node"], *ending, 0.0))
    for event in made:
        try:
            yield event_of(to_dict(event))
        except RecordError as error:
            raise RecordError(f"{loaded.source}: the notebook is damaged: {error}") from error


def _fetcher(path: Path) -> Any:
    blobs = (path.parent.parent if path.parent.name == "calls" else path.parent) / "blobs"

    def fetch(name: Any, chars: Any) -> str:
        try:
            return journal.blob(blobs, name, chars)
        except (OSError, ValueError):
            return f"[a text of {chars} characters that is not beside the notebook]"

    return fetch


def _started(about: dict[str, Any]) -> NodeStarted:
    context = about["context"] and ContextInfo(**about["context"])
    node = about["node"], about["parent"], about["depth"]
    return NodeStarted(*node, None, about["question"], about["model"], context, 0.0)


def _cells(notebook: dict[str, Any], about: dict[str, Any]) -> Iterable[Event]:
    node, rows = about["node"], {row["cell"]: row for row in about["cells"]}
    calls: dict[int, list[CallEnded]] = {}
    for row in about["calls"]:
        calls.setdefault(row["cell"], []).append(_call(node, row))
    restarts = {row["cell"]: row for row in about["restarts"]}
    for cell in notebook["cells"]:
        number = cell["metadata"].get("rlm", {}).get("cell")
        if cell["cell_type"] == "markdown" and (turn := _TURN.match(cell["source"])):
            text = cell["source"][turn.end() :]
            yield Replied(node, int(turn[1]), text, about["model"], None, Usage(), 0.0, 0.0)
        elif cell["cell_type"] == "code" and number in rows:
            yield from calls.pop(number, [])
            yield _ran(node, cell, rows[number])
            if number in restarts:
                lost = restarts[number]
                yield KernelRestarted(node, number, lost["reason"], lost["lost"], 0.0)
    for waiting in calls.values():  # their cell still runs
        yield from waiting


def _ran(node: str, cell: dict[str, Any], row: dict[str, Any]) -> CellRan:
    return CellRan(
        node, row["cell"], row["turn"], cell["source"], row["author"], row["status"],
        list(cell["outputs"]), [], row["answer"], cell.get("execution_count"), row["seconds"], 0.0,
    )  # fmt: skip


def _call(node: str, row: dict[str, Any]) -> CallEnded:
    error = row.get("error")
    return CallEnded(
        node, row["cell"], row["call"], row["op"], row["index"], row["count"], row["key"],
        row["occurrence"], "", row["asked"], None, row.get("reply"), error, Usage(), row["child"],
        0.0, 0.0,
    )  # fmt: skip
