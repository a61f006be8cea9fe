"""The one reader of records: a run as it was recorded, from its journal or from a notebook alone.

Each file is opened once, events are checked by type once, and what is wrong is told once. What
else is made of a run (rows of a list, nodes to be replayed, the form in which two are compared) is
made from a ``Recording``.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import Event, NodeStarted, RunEnded, RunStarted, Usage
from . import journal
from .files import JOURNAL
from .forms import known_part
from .journal import Problem
from .notebooks import pages
from .notebooks.events import events_of
from .notebooks.metadata import ROOT_PAGE
from .notebooks.pages import Page
from .packing import blob_named, unpack
from .summary import Node, Tree, summarise


@dataclass(frozen=True)
class Recording:
    """A run, or the part of it below the node of the notebook that was named.

    ``source`` is the file that was read and ``events`` are those of the nodes in ``tree``, in
    their order. ``problems`` has all that is wrong, in whole sentences. ``sealed`` is true for a
    whole record and None where there is none; ``seal`` is the hash in its last line, and
    ``signature`` is what stands beside it, unchecked.

    ``page`` is the notebook that was named, if one was. Without a record beside it (``alone``) its
    events have no prompts and no times (all are 0), and nothing of the cells of children.
    """

    source: Path
    tree: Tree
    events: list[Event]
    faults: list[Problem]
    sealed: bool | None
    seal: str | None = None
    signature: str | None = None
    page: Page | None = None

    @classmethod
    def open(cls, path: Path) -> Recording:
        """Read a run's folder, its record or one of its notebooks; the record is preferred.

        What is damaged is told in ``problems``. Raises ``RecordError`` for what is none of them and
        ``NewerRecord`` for what a newer version has written. Blocks.
        """
        if path.is_dir():
            record = path / JOURNAL
            there = os.path.lexists(record)
            return _of_journal(record) if there else _of_page(pages.load(path / ROOT_PAGE))
        if path.suffix != ".ipynb":
            return _of_journal(path)
        for record in (path.parent / JOURNAL, path.parent.parent / JOURNAL):
            if record.exists() and (record.parent == path.parent or path.parent.name == "calls"):
                return _of_both(pages.load(path), _of_journal(record))
        return _of_page(pages.load(path))

    @property
    def alone(self) -> bool:
        return self.sealed is None

    @property
    def folder(self) -> Path:
        """The run's folder, where blobs and contexts are looked for."""
        return pages.folder_of(self.source)

    @property
    def problems(self) -> list[str]:
        return [str(fault) for fault in self.faults]

    @property
    def damage(self) -> Problem | None:
        """The first problem with a line of the record, but for a last line that was cut."""
        return journal.damage(self.faults)

    @property
    def root(self) -> Node:
        """The first node. Raises ``RecordError`` where none has started."""
        if not self.tree.nodes:
            raise RecordError(
                f"{self.source}: no node has started in this record: there is nothing to read"
            )
        return self.tree.nodes[0]

    @property
    def started(self) -> RunStarted | None:
        return next((event for event in self.events if isinstance(event, RunStarted)), None)

    @property
    def first_node(self) -> NodeStarted | None:
        return next((event for event in self.events if isinstance(event, NodeStarted)), None)

    @property
    def ended(self) -> RunEnded | None:
        """The end of the run, where that is its last event."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, RunEnded) else None

    def check_fit(self) -> None:
        """Raise ``RecordError`` where an event is left out because it is not what it should be."""
        if (fault := journal.unfit(self.faults)) is not None:
            what = "notebook" if self.alone else "record"
            raise RecordError(f"{self.source}: the {what} is damaged: {fault}")


def _of_journal(path: Path) -> Recording:
    record = journal.read(path)
    if path.name != JOURNAL and not record.events:
        raise RecordError(
            f"{path}: this is no record of a run: name the run's folder, its {JOURNAL} or one of "
            "its notebooks"
        )
    tree = summarise(record.events)
    return Recording(
        source=path,
        tree=tree,
        events=_of_nodes(record.events, tree),
        faults=[*record.problems, *_faults(tree)],
        sealed=record.sealed,
        seal=record.seal,
        signature=record.signature,
    )


def _faults(tree: Tree) -> Iterator[Problem]:
    if not tree.nodes and tree.ended is None:
        yield Problem(None, "no node has started in this record")
    if tree.ended is not None and tree.ended.usage.tokens != tree.usage.tokens:
        yield Problem(
            None,
            f"the run's own account says {tree.ended.usage.tokens:,} tokens, "
            f"its turns and calls add up to {tree.usage.tokens:,}",
        )


def _of_nodes(events: list[Event], tree: Tree) -> list[Event]:
    wanted = {node.id for node in tree.nodes}
    return [event for event in events if getattr(event, "node", None) in {None, *wanted}]


def _of_both(page: Page, whole: Recording) -> Recording:
    """Return the part of a record that a notebook beside it is about."""
    faults, name, node = list(whole.faults), page.path.name, str(page.about["node"])
    seal = (page.about.get("record") or {}).get("seal")
    if seal is not None and seal != whole.seal:
        text = f"{name} was made from another record than the one beside it"
        faults.append(Problem(None, text))
    nodes = whole.tree.below(node)
    if not nodes:
        faults.append(Problem(None, f"{name} is of node {node}, which the record has not"))
    tree = _part(whole.tree, nodes or whole.tree.nodes)
    events = _of_nodes(whole.events, tree)
    return dataclasses.replace(whole, tree=tree, events=events, faults=faults, page=page)


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


# -- a notebook alone -----------------------------------------------------------------------------
def _of_page(page: Page) -> Recording:
    events, unfit = events_of(page)
    return Recording(
        source=page.path,
        tree=_tree(page),
        events=events,
        faults=[Problem(None, text, unfit=True) for text in unfit],
        sealed=None,
        page=page,
    )


def _tree(page: Page) -> Tree:
    rows = [page.about, *page.about["tree"]]
    children = _children(rows)
    nodes = tuple(_node(row, children.get(row["node"], ())) for row in rows)
    return Tree(
        run=page.about["run"],
        question=nodes[0].question,
        nodes=nodes,
        turns=sum(node.turns for node in nodes),
        calls=sum(node.calls for node in nodes),
        usage=nodes[0].total,
        ended=None,
    )


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
        own=known_part(Usage, row["usage"]),
        total=known_part(Usage, row["total"]),
        seconds=row["seconds"],
        children=children,
    )


def _words(text: Any) -> Any:
    """Return a text that ``packing.pack`` made; a blob is named, not read."""
    return unpack(text, blob_named)
