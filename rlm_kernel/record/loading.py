"""A trajectory as it was found: from its record, or from a notebook alone."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import Usage
from . import journal
from .files import JOURNAL
from .notebooks import pages
from .notebooks.metadata import ROOT_PAGE
from .packing import blob_named, unpack
from .summary import Node, Tree, summarise


@dataclass(frozen=True)
class Loaded:
    """A trajectory as it was found. ``source`` is the file that was read, ``problems`` tells in
    whole sentences what is wrong with it, ``sealed`` is None where there was no record to ask."""

    tree: Tree
    source: Path
    sealed: bool | None
    problems: list[str]


def load(path: Path) -> Loaded:
    """From a run folder, a journal or a notebook; the record is preferred where it is there.

    Raises ``RecordError`` for what is none of them.
    """
    if path.is_dir():
        record = path / JOURNAL
        there = os.path.lexists(record)
        return _from_journal(record) if there else _from_notebook(path / ROOT_PAGE)
    if path.suffix != ".ipynb":
        return _from_journal(path)
    for record in (path.parent / JOURNAL, path.parent.parent / JOURNAL):
        if record.exists() and (record.parent == path.parent or path.parent.name == "calls"):
            return _from_both(path, record)
    return _from_notebook(path)


def _from_journal(path: Path) -> Loaded:
    record = journal.read(path)
    if path.name != JOURNAL and not record.events:
        raise RecordError(
            f"{path}: this is no record of a run: name the run's folder, its {JOURNAL} or one of "
            "its notebooks"
        )
    tree = summarise(record.events)
    problems = [str(problem) for problem in record.problems]
    if not tree.nodes and tree.ended is None:
        problems.append("no node has started in this record")
    if tree.ended is not None and tree.ended.usage.tokens != tree.usage.tokens:
        problems.append(
            f"the run's own account says {tree.ended.usage.tokens:,} tokens, "
            f"its turns and calls add up to {tree.usage.tokens:,}"
        )
    return Loaded(tree, path, record.sealed, problems)


def _from_both(path: Path, record: Path) -> Loaded:
    """The part of the record that the notebook is about."""
    loaded = _from_journal(record)
    _, about = pages.load(path)
    problems = list(loaded.problems)
    seal = (about.get("record") or {}).get("seal")
    if seal is not None and seal != journal.read(record).seal:
        problems.append(f"{path.name} was made from another record than the one beside it")
    nodes = loaded.tree.below(str(about.get("node")))
    if not nodes:
        problems.append(f"{path.name} is of node {about.get('node')}, which the record has not")
    tree = _part(loaded.tree, nodes or loaded.tree.nodes)
    return dataclasses.replace(loaded, tree=tree, problems=problems)


def _part(tree: Tree, nodes: tuple[Node, ...]) -> Tree:
    if nodes == tree.nodes:
        return tree
    return dataclasses.replace(
        tree,
        question=nodes[0].question,
        nodes=nodes,
        turns=sum(node.turns for node in nodes),
        calls=sum(node.calls for node in nodes),
        usage=nodes[0].total,
    )


def _from_notebook(path: Path) -> Loaded:
    _, about = pages.load(path)
    rows = [about, *about["tree"]]
    children = _children(rows)
    nodes = tuple(_node(row, children.get(row["node"], ())) for row in rows)
    tree = Tree(
        run=about["run"],
        question=nodes[0].question,
        nodes=nodes,
        turns=sum(node.turns for node in nodes),
        calls=sum(node.calls for node in nodes),
        usage=nodes[0].total,
        ended=None,
    )
    return Loaded(tree, path, None, [])


def _children(rows: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows[1:]:
        found[row["parent"]] = (*found.get(row["parent"], ()), row["node"])
    return found


def _node(row: dict[str, Any], children: tuple[str, ...]) -> Node:
    return Node(
        id=row["node"],
        parent=row["parent"],
        depth=row["depth"],
        question=_words(row["question"]),
        model=row["model"],
        context=None,
        status=row["status"],
        answer=_words(row["answer"]),
        confirmed=row["confirmed"],
        reason=row["reason"],
        turns=row["turns"],
        cells=row["cell_count"],
        calls=row["sub_calls"],
        own=Usage(**row["usage"]),
        total=Usage(**row["total"]),
        seconds=row["seconds"],
        children=children,
    )


def _words(text: Any) -> Any:
    """A text as ``packing.pack`` left it; a blob is named, not read."""
    return unpack(text, blob_named)
