"""A finished or running trajectory as text: what ``rlm show`` prints."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree as RichTree

from ..errors import RecordError
from ..events import Usage
from ..record import journal
from ..record.markdown import one_line, shorten
from ..record.notebooks import pages
from ..record.notebooks.metadata import ROOT_PAGE
from ..record.numbers import counted, duration, spent
from ..record.packing import blob_named, unpack
from ..record.summary import Node, Tree, summarise

JOURNAL = "journal.jsonl"
MAX_PROBLEMS = 20


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


def render(loaded: Loaded, console: Console) -> None:
    """The tree with its totals, then what is wrong with the record."""
    tree = loaded.tree
    if tree.nodes:
        root = tree.nodes[0]
        drawn = RichTree(_line(root))
        branches = {root.id: drawn}
        _tell(drawn, root)
        for node in tree.nodes[1:]:
            branches[node.id] = branches.get(node.parent or "", drawn).add(_line(node))
            _tell(branches[node.id], node)
        console.print(drawn)
        if len(tree.nodes) > 1:
            console.print(f"[bold]all[/] · {_sizes(tree.turns, tree.calls, tree.usage)}")
    elif tree.ended is not None and tree.ended.status != "answered":
        why = escape(tree.ended.reason or "")
        console.print(f"[bold]{tree.ended.status}[/] before its kernel was ready: {why}")
    state = {True: "sealed", False: "not sealed", None: "notebook only, no record"}[loaded.sealed]
    console.print(f"{escape(str(loaded.source))}: {state}", style="dim", soft_wrap=True)
    for problem in loaded.problems[:MAX_PROBLEMS]:
        console.print(f"[red]problem:[/] {escape(one_line(problem))}", soft_wrap=True)
    if len(loaded.problems) > MAX_PROBLEMS:
        console.print(f"[red]and {len(loaded.problems) - MAX_PROBLEMS} problems more[/]")


def _line(node: Node) -> str:
    sizes = _sizes(node.turns, node.calls, node.own)
    return (
        f"[bold]{escape(node.id)}[/] · {escape(node.status)} · {sizes} · {duration(node.seconds)}"
    )


def _sizes(turns: int, calls: int, usage: Usage) -> str:
    return f"{counted(turns, 'turn')} · {counted(calls, 'call')} · {spent(usage)}"


def _tell(branch: RichTree, node: Node) -> None:
    branch.add(f"[dim]question[/] {_short(node.question)}")
    if node.answer is not None:
        name = "answer" if node.confirmed else "unconfirmed answer"
        branch.add(f"[dim]{name}[/] {_short(node.answer)}")
    if node.reason:
        branch.add(f"[dim]because[/] {_short(node.reason)}")


def _short(text: str) -> str:
    return escape(one_line(shorten(text, 200)))


def as_json(loaded: Loaded) -> dict[str, Any]:
    """Plain JSON data for programs: the totals, and the nodes in the order of their start."""
    tree = loaded.tree
    return {
        "run": tree.run,
        "question": tree.question,
        "status": tree.nodes[0].status if tree.nodes else tree.ended and tree.ended.status,
        "answer": tree.nodes[0].answer if tree.nodes else None,
        "confirmed": tree.nodes[0].confirmed if tree.nodes else False,
        "turns": tree.turns,
        "calls": tree.calls,
        "usage": dataclasses.asdict(tree.usage),
        "nodes": [dataclasses.asdict(node) for node in tree.nodes],
        "source": str(loaded.source),
        "sealed": loaded.sealed,
        "problems": loaded.problems,
    }
