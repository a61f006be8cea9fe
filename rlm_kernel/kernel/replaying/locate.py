"""Finding the trajectory that a replay cell in a notebook means.

A kernel never sees its notebook, nor that one's metadata. So the cell names the run and the node,
and they are looked for where the notebook is likely to be: in the working folder, which front ends
make that of the notebook; at the path that JupyterLab tells its kernels; at one that the program
that started the kernel was given. Nothing that is found is executed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...errors import RecordError, UsageError
from ...events import ROOT, RunStarted
from ...inputs import contexts
from ...record import journal, trajectory
from ...record.equality import canonical
from ...record.files import JOURNAL
from ...record.nodes import RecordedContext, RecordedNode
from ...record.notebooks import ipynb, pages
from ...record.trajectory import RecordedRun
from .. import launcher_process

MAX_NOTEBOOKS = 200
"""How many notebooks of a folder are looked at, in the order of their names."""
MAX_BYTES = 64 << 20
"""The largest notebook that is looked at."""
WRITE_PATH = "say where it is: %rlm replay PATH"


@dataclass(frozen=True)
class Wanted:
    """A trajectory as a replay cell names it. All None: the cell of the first versions, which names
    nothing."""

    path: str | None = None
    run: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class Located:
    """A node of a record, with all nodes below it. ``source`` is the file that was read."""

    recorded: RecordedRun
    node: str
    source: Path


def find(wanted: Wanted, cwd: Path) -> Located | None:
    """Return the trajectory; None where nothing is named and the notebook seems to be no
    trajectory.

    Raises ``RecordError`` where it is not found or cannot be read, and ``UsageError`` where
    several fit. Blocks.
    """
    hints = [path for path in _hints(cwd) if path.is_file()]
    if wanted.path is not None:
        return _at(cwd / Path(wanted.path).expanduser(), wanted.node)
    if wanted.run is None:
        return _unnamed(hints, cwd)
    folders = list(dict.fromkeys([cwd, *(path.parent for path in hints)]))
    named = wanted.run, wanted.node or ROOT
    return (
        next((found for folder in folders if (found := _beside(folder, *named))), None)
        or next((_alone(path) for path in hints if _about(path, *named)), None)
        or next((found for folder in folders if (found := _in(folder, *named))), None)
        or _missing(*named, folders)
    )


# where the notebook may be
def _hints(cwd: Path) -> Iterator[Path]:
    """Yield paths of notebooks that we were told of, whether they are there or not."""
    if told := os.environ.get("JPY_SESSION_NAME"):  # JupyterLab's; some versions give no folder
        yield cwd / told
        yield cwd / Path(told).name
    yield from launcher_process.notebooks()


# what lies there
def _beside(folder: Path, run: str, node: str) -> Located | None:
    """Look in the record of this folder, or of the one above for a child's notebook."""
    for record in (folder / JOURNAL, folder.parent / JOURNAL):
        if _run_of(record) == run:
            recorded = trajectory.load(record)
            if node in recorded.nodes:
                return _below(recorded, node, record)
    return None


def _run_of(record: Path) -> str | None:
    try:
        events = journal.beginning(record, 1)
    except RecordError:
        return None
    return next((event.run for event in events if isinstance(event, RunStarted)), None)


def _below(recorded: RecordedRun, node: str, source: Path) -> Located:
    nodes = {n: of for n, of in recorded.nodes.items() if f"{n}.".startswith(f"{node}.")}
    return Located(replace(recorded, nodes=nodes), node, source)


def _in(folder: Path, run: str, node: str) -> Located | None:
    """Return a notebook of the folder that is of this node, whatever its name."""
    fitting = {path: about for path in _notebooks(folder) if (about := _about(path, run, node))}
    if len({canonical({**about, "record": None}) for about in fitting.values()}) > 1:
        names = ", ".join(path.name for path in fitting)
        raise UsageError(f"{names}: all are of run {run}, node {node}, and differ: {WRITE_PATH}")
    return next((_alone(path) for path in fitting), None)


def _notebooks(folder: Path) -> Iterable[Path]:
    return sorted(filter(Path.is_file, islice(folder.glob("*.ipynb"), MAX_NOTEBOOKS)))


def _about(path: Path, run: str | None = None, node: str | None = None) -> dict[str, Any] | None:
    """Return ``metadata.rlm`` of a notebook, if it has one and it is of this run and node."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        about = ipynb.loads(data)["metadata"].get("rlm") if b'"rlm"' in data else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(about, dict) or not isinstance(about.get("node"), str):
        return None
    fits = run in (None, about.get("run")) and node in (None, about["node"])
    return about if fits else None


def _alone(path: Path) -> Located:
    try:
        recorded = trajectory.alone(pages.load(path))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: no trajectory can be read: {error}") from error
    return Located(recorded, next(iter(recorded.nodes)), path)


def _at(path: Path, node: str | None) -> Located:
    """Return what a path names: a run's folder, its record, or a notebook of it."""
    if not path.exists():
        raise UsageError(
            f"{path}: there is no such file or folder; {WRITE_PATH}. (auto, only and off say "
            "whether recorded runs may answer questions)"
        )
    if path.suffix != ".ipynb":
        recorded = trajectory.load(path)
        if (node or ROOT) not in recorded.nodes:
            raise RecordError(f"{path}: the record has no node {node or ROOT}")
        return _below(recorded, node or ROOT, path)
    found = _of_notebook(path)
    if found is None:
        raise RecordError(f"{path}: there is no trajectory in it, and no record beside it")
    return found


def _of_notebook(path: Path) -> Located | None:
    """Return the record beside a notebook if it is of the same run, else what stands in itself."""
    about = _about(path)
    if about is None:
        return _by_location(path)
    beside = _beside(path.parent, str(about.get("run")), about["node"])
    return beside or _alone(path)


def _by_location(path: Path) -> Located | None:
    """Read the record that a notebook without its metadata lies beside, in a run's folder."""
    root, child = path.parent / JOURNAL, path.parent.parent / JOURNAL
    if root.is_file():
        return _below(trajectory.load(root), ROOT, root)
    if path.parent.name == "calls" and child.is_file():
        return _at(child, path.stem)
    return None


def _unnamed(hints: list[Path], cwd: Path) -> Located | None:
    """Return the trajectory of a cell that names none: the notebook that we were told of, the
    record of the folder, or the only trajectory in it."""
    if hints:
        return _of_notebook(hints[0])
    if (cwd / JOURNAL).is_file():
        return _below(trajectory.load(cwd / JOURNAL), ROOT, cwd / JOURNAL)
    found = [path for path in _notebooks(cwd) if _about(path) is not None]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(f"{cwd}: there are several trajectories ({names}): {WRITE_PATH}")
    return _of_notebook(found[0]) if found else None


def _missing(run: str, node: str, folders: list[Path]) -> Located:
    """Raise ``RecordError`` that says where it was looked for."""
    where = " and ".join(str(folder) for folder in folders)
    stripped = [
        path.name
        for folder in folders
        for path in _notebooks(folder)
        if path.stat().st_size <= MAX_BYTES and f"--run={run}".encode() in path.read_bytes()
    ]
    why = f", and {stripped[0]} has lost its metadata.rlm, as by jupytext" if stripped else ""
    raise RecordError(
        f"there is no trajectory of run {run}, node {node} in {where}{why}. With the run's folder "
        f"or a whole copy of the notebook, {WRITE_PATH}"
    )


# its contexts
def with_contexts(found: Located, given: str | None, cwd: Path) -> tuple[Located, list[str]]:
    """Return the same with every context found, and where, in sentences. ``given`` is a path that
    has those that lie nowhere else. Raises ``RecordError`` where one cannot be found. Blocks."""
    path = None if given is None else str((cwd / Path(given).expanduser()).resolve())
    near, told = found.recorded.folder.resolve(), []
    moved: set[str] = set()
    for node, spec in _contexts(found.recorded):
        source, where = contexts.find(spec, near)
        if source is None and path is not None:
            source, where = contexts.find({**spec, "path": path}, near)
            moved.add(str(spec.get("sha256")))
        if source is None:
            raise RecordError(_lost(node, spec, where))
        if node == found.node:
            told.append(f"its context: {source.name}, {source.size:,} bytes: {where}")
    if path is not None and not moved:
        told.append(f"{path} was not needed: every context is found without it")
    nodes = {name: _moved(node, moved, path) for name, node in found.recorded.nodes.items()}
    return replace(found, recorded=replace(found.recorded, nodes=nodes)), told


def _contexts(recorded: RecordedRun) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield those of all nodes, but for the values of variables, which cells make."""
    for name, node in recorded.nodes.items():
        for step in node.steps:
            if isinstance(step, RecordedContext) and "variable" not in step.spec:
                yield name, step.spec


def _lost(node: str, spec: dict[str, Any], where: str) -> str:
    return (
        f"the context of node {node}, {spec.get('name')}, cannot be found again: {where}. If you "
        "have it, %rlm replay --context PATH gives it; to run the cells on another input, set "
        "context_path in a cell above"
    )


def _moved(node: RecordedNode, moved: set[str], path: str | None) -> RecordedNode:
    """Return the node with these contexts looked for at the path, too: what counts is the hash."""

    def at_path(step: Any) -> Any:
        there = isinstance(step, RecordedContext) and step.spec.get("sha256") in moved
        return RecordedContext({**step.spec, "path": path}) if there else step

    return replace(
        node, happened=[at_path(step) for step in node.happened], context=at_path(node.context)
    )
