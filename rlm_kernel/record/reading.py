"""A trajectory read for people: its events and totals, from the record or from a notebook alone.

A record may come from anyone: events whose fields are not of the types that ``events`` promises
are left out and told, so that readers need no checks of their own.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .. import events as words
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
)
from . import ipynb, journal, show
from .packing import unpack
from .show import Loaded
from .summary import RUNNING

LARGEST = 1e15
"""No count, size, sum or time of a run is larger."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
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
    try:
        loaded = show.load(path)
        if not loaded.tree.nodes:
            raise RecordError(
                f"{path}: no node has started in this record: there is nothing to read"
            )
        if loaded.source.suffix == ".ipynb":
            return Reading(loaded, list(_of_notebook(loaded)), True)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{path}: the record is damaged: {error!r}") from error
    wanted = {node.id for node in loaded.tree.nodes}
    read = journal.read(loaded.source).events
    sound = [event for event in read if _is_sound(event)]
    problems = list(loaded.problems)
    if len(sound) < len(read):
        problems.append(f"{len(read) - len(sound)} events are not what they should be: left out")
    events = [event for event in sound if getattr(event, "node", None) in {None, *wanted}]
    return Reading(dataclasses.replace(loaded, problems=problems), events, False)


# -- types ----------------------------------------------------------------------------------------
@cache
def _fields(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls, vars(words))
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _is_sound(record: Any) -> bool:
    return all(
        _fits(getattr(record, name), hint) for name, hint in _fields(record.__class__).items()
    )


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or (hint is str and type(value) is str):  # most of them
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is list:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(key, str) for key in value)
    if hint in (int, float):
        number = isinstance(value, int | hint) and not isinstance(value, bool)
        return number and math.isfinite(value) and abs(value) < LARGEST
    return isinstance(value, hint) and (not dataclasses.is_dataclass(hint) or _is_sound(value))


# -- a notebook alone -----------------------------------------------------------------------------
def _of_notebook(loaded: Loaded) -> Iterator[Event]:
    """What it has, in the form of events."""
    notebook = ipynb.loads(loaded.source.read_bytes())
    about = unpack(dict(notebook["metadata"]["rlm"]), _fetcher(loaded.source))
    made = [
        RunStarted(about["run"], about["question"], about["settings"], about["versions"], 0.0),
        _started(about),
        *_cells(notebook, about),
    ]
    if about["status"] != RUNNING:
        ending = about["status"], about["answer"], about["confirmed"], about["reason"]
        made.append(NodeEnded(about["node"], *ending, 0.0))
    for event in made:
        if not _is_sound(event):
            raise RecordError(f"{loaded.source}: metadata.rlm is damaged: {event.kind}")
        yield event


def _fetcher(path: Path) -> Any:
    blobs = (path.parent.parent if path.parent.name == "calls" else path.parent) / "blobs"

    def fetch(name: Any, chars: Any) -> str:
        # The name comes from the file: nothing but a hash may become part of a path.
        if isinstance(name, str) and _SHA256.fullmatch(name) and (blobs / name).is_file():
            return (blobs / name).read_bytes().decode("utf-8", "surrogatepass")
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
