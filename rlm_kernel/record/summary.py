"""What a run used, node by node: a fold of its events into a tree of totals.

Money is summed exactly and rounded once, so that the totals do not depend on the order of events.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import assert_never

from ..answers import Answer, answer_of
from ..events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextInfo,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
    Usage,
)

RUNNING = "running"


@dataclass(frozen=True)
class Node:
    """``own`` is what the node's turns and sub-calls used, ``total`` adds all nodes below it.

    ``status`` is ``"running"`` until the node has ended. ``calls`` counts prompts of sub-calls
    and children, not tools. What ran before the question counts for neither ``cells`` nor
    ``calls``. ``children`` are in the order of their start. ``answer`` is the text of what was
    ``given``, which is not kept of a notebook alone.
    """

    id: str
    parent: str | None
    depth: int
    question: str
    model: str
    context: ContextInfo | None
    status: str
    answer: str | None
    confirmed: bool
    reason: str | None
    turns: int
    cells: int
    calls: int
    own: Usage
    total: Usage
    seconds: float
    children: tuple[str, ...]
    given: Answer | None = None


@dataclass(frozen=True)
class Tree:
    """``nodes`` in the order of their start, the root first. ``ended`` is the run's last event."""

    run: str
    question: str
    nodes: tuple[Node, ...]
    turns: int
    calls: int
    usage: Usage
    ended: RunEnded | None

    def node(self, name: str) -> Node:
        """Return the node of this id. Raises ``KeyError``."""
        for node in self.nodes:
            if node.id == name:
                return node
        raise KeyError(name)

    def below(self, name: str) -> tuple[Node, ...]:
        """Return the node and all nodes below it, in the order of their start."""
        inside = {name}
        for node in self.nodes:
            if node.parent in inside:
                inside.add(node.id)
        return tuple(node for node in self.nodes if node.id in inside)


def in_order(nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes by their names, each after its parent, whenever they started."""
    return sorted(nodes, key=lambda node: place(node.id))


def place(name: str) -> list[tuple[int, str]]:
    """Return that by which names of nodes are sorted as they count: 0.2 before 0.10."""
    return [(int(part) if part.isdecimal() else 0, part) for part in name.split(".")]


def summarise(events: Iterable[Event]) -> Tree:
    """Add up a whole record, or any part of it."""
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.tree()


def add_up(usages: Iterable[Usage]) -> Usage:
    """Return the sum, with the cost exact before it is rounded."""
    whole = _Sum()
    for usage in usages:
        whole.add(usage)
    return whole.rounded()


@dataclass
class _Sum:
    """A sum of usages whose cost is exact."""

    usage: Usage = field(default_factory=Usage)
    cost: Fraction = Fraction(0)

    def add(self, usage: Usage) -> None:
        self.cost += Fraction(usage.cost)
        self.usage = self.usage + usage

    def merged(self, other: _Sum) -> _Sum:
        return _Sum(self.usage + other.usage, self.cost + other.cost)

    def rounded(self) -> Usage:
        return dataclasses.replace(self.usage, cost=float(self.cost))


@dataclass
class _Growing:
    started: NodeStarted
    ended: NodeEnded | None = None
    turns: int = 0
    cells: int = 0
    prelude: set[int] = field(default_factory=set)  # cells that ran before the question
    calls: Counter[int] = field(default_factory=Counter)  # by cell
    free: Counter[int] = field(default_factory=Counter)  # of those, paid for elsewhere if at all
    own: _Sum = field(default_factory=_Sum)
    last: float = 0.0
    children: list[str] = field(default_factory=list)


class Fold:
    """Takes events one at a time; ``tree`` may be asked at any moment.

    Events of a node that never started (a damaged record) are left out.
    """

    def __init__(self) -> None:
        self._run: RunStarted | None = None
        self._ended: RunEnded | None = None
        self._nodes: dict[str, _Growing] = {}

    def add(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._run = event
            case RunEnded():
                self._ended = event
            case NodeStarted():
                self._start(event)
            case _ if event.node in self._nodes:
                self._grow(self._nodes[event.node], event)

    def parent(self, name: str) -> str | None:
        """Return the parent of a node that has started; None for the root."""
        node = self._nodes.get(name)
        return node.started.parent if node else None

    def _start(self, event: NodeStarted) -> None:
        self._nodes[event.node] = _Growing(event, last=event.time)
        if event.parent in self._nodes and event.parent is not None:
            self._nodes[event.parent].children.append(event.node)

    def _grow(self, node: _Growing, event: Event) -> None:
        match event:
            case Replied():
                node.turns += bool(event.model)  # a first look is ours, and counts as no turn
                node.own.add(event.usage)
            case CallEnded():
                node.calls[event.cell] += event.op != "tool"
                node.free[event.cell] += event.op != "tool" and _is_free(event)
                node.own.add(event.usage)
                node.last = max(node.last, event.started + event.seconds)
            case CellRan(turn=0):
                node.prelude.add(event.cell)
            case CellRan():
                node.cells += 1
            case NodeEnded():
                node.ended = event
                node.own.add(event.usage)
            case RunStarted() | NodeStarted() | RunEnded():
                pass  # not taken here
            case ContextSet() | Prompted() | CellDecided() | KernelRestarted():
                pass  # nothing that counts
            case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)
        node.last = max(node.last, getattr(event, "time", 0.0))

    def tree(self) -> Tree:
        totals = self._totals()
        nodes = tuple(_frozen(node, totals[name]) for name, node in self._nodes.items())
        whole = _Sum()
        for node in self._nodes.values():
            whole = whole.merged(node.own)
        return Tree(
            run=self._run.run if self._run else "",
            question=self._run.question if self._run else "",
            nodes=nodes,
            turns=sum(node.turns for node in nodes),
            calls=sum(node.calls for node in nodes),
            usage=whole.rounded(),
            ended=self._ended,
        )

    def _totals(self) -> dict[str, _Sum]:
        totals = {name: node.own.merged(_Sum()) for name, node in self._nodes.items()}
        # A child starts after its parent, so going backwards every child is whole when it is added.
        for name, node in reversed(self._nodes.items()):
            parent = node.started.parent
            if parent in totals and parent is not None and parent != name:
                totals[parent] = totals[parent].merged(totals[name])
        return totals


def _is_free(call: CallEnded) -> bool:
    """Return whether it cost this run nothing, as the calls of a prelude do."""
    return call.usage == Usage() and call.child is None


def _frozen(node: _Growing, total: _Sum) -> Node:
    start, end = node.started, node.ended
    return Node(
        id=start.node,
        parent=start.parent,
        depth=start.depth,
        question=start.question,
        model=start.model,
        context=start.context,
        status=end.status if end else RUNNING,
        answer=end.answer if end else None,
        confirmed=end.confirmed if end else False,
        reason=end.reason if end else None,
        turns=node.turns,
        cells=node.cells,
        calls=node.calls.total() - sum(node.free[cell] for cell in node.prelude),
        own=node.own.rounded(),
        total=total.rounded(),
        seconds=max(0.0, (end.time if end else node.last) - start.time),
        children=tuple(node.children),
        given=answer_of(end) if end else None,
    )
