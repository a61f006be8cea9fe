"""Two runs compared: what was asked, what came of it, and the first place where they part.

Two runs are the same in what matters when the question, the context, the status, the answer and the
course are the same. The course is, node by node, the replies of the LM, the source of each cell,
how it ended, its outputs (under the rules of ``equality``, as a replay compares them) and each call
with its reply. Names, ids, times, tokens, costs, settings and versions are told, and make no two
runs different.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..record.markdown import shorten
from ..record.nodes import RecordedCell
from ..record.summary import Node
from .comparable_run import ComparableRun, PutOut, content
from .first_difference import Parting, Walk

KEPT_OF_QUESTION = 200  # characters, of the nodes below a notebook that was sent alone


@dataclass(frozen=True)
class Pair:
    """One thing of both runs; None where a run has none, or does not tell."""

    name: str
    a: Any
    b: Any

    @property
    def same(self) -> bool:
        return bool(self.a == self.b)


@dataclass(frozen=True)
class NodePair:
    """A node of each run, or of one of them (the other is None). ``same`` counts the equal cells
    at its beginning. Cells are None where they are not known."""

    a: str | None
    b: str | None
    cells_a: int | None
    cells_b: int | None
    same: int


@dataclass(frozen=True)
class Comparison:
    """``asked`` and ``outcome`` matter, and so does ``parting``; ``used``, ``settings`` and
    ``versions`` do not. Of the last two only what differs is here. ``notes`` say what could not be
    compared."""

    asked: tuple[Pair, ...]
    outcome: tuple[Pair, ...]
    used: tuple[Pair, ...]
    settings: tuple[Pair, ...]
    versions: tuple[Pair, ...]
    nodes: tuple[NodePair, ...]
    parting: Parting | None
    notes: tuple[str, ...]

    @property
    def different(self) -> tuple[str, ...]:
        """Return what differs of what matters."""
        names = [pair.name for pair in (*self.asked, *self.outcome) if not pair.same]
        parted = self.parting is not None or any(n.a is None or n.b is None for n in self.nodes)
        return (*names, "course") if parted else tuple(names)

    @property
    def same(self) -> bool:
        return not self.different


def compare(a: ComparableRun, b: ComparableRun) -> Comparison:
    """Compare two runs. Children are matched by id and question, then by question, then by id."""
    pairs = list(_matched(a, b))
    walk = Walk(a, b, {x.id: y.id for x, y in pairs if x is not None and y is not None})
    return Comparison(
        asked=(_pair("question", _question, a, b), _pair("context", _context, a, b)),
        outcome=(_pair("status", _status, a, b), _pair("answer", _answer, a, b)),
        used=tuple(_used(a, b)),
        settings=tuple(_differing(_flat(a.settings), _flat(b.settings))),
        versions=tuple(_differing(a.versions, b.versions)),
        nodes=tuple(_node_pair(a, b, x, y) for x, y in pairs),
        parting=walk.parting(a.root.id, b.root.id),
        notes=tuple(_notes(a, b, pairs)),
    )


def _pair(
    name: str, of: Callable[[ComparableRun], Any], a: ComparableRun, b: ComparableRun
) -> Pair:
    return Pair(name, of(a), of(b))


def _question(course: ComparableRun) -> str:
    return course.root.question


def _status(course: ComparableRun) -> str:
    return course.root.status


def _context(course: ComparableRun) -> dict[str, Any] | None:
    node = course.nodes.get(course.root.id)
    return content(node.context) if node and node.context else None


def _answer(course: ComparableRun) -> str | None:
    root = course.root
    return root.answer if root.confirmed or root.answer is None else f"{root.answer} (unconfirmed)"


def _cost(course: ComparableRun) -> float | None:
    """Return the known cost; None where nothing of it is known."""
    usage = course.tree.usage
    return None if usage.unpriced and not usage.cost else usage.cost


def _used(a: ComparableRun, b: ComparableRun) -> Iterator[Pair]:
    yield _pair("turns", lambda course: course.tree.turns, a, b)
    yield _pair("sub-calls", lambda course: course.tree.calls, a, b)
    yield _pair("tokens", lambda course: course.tree.usage.tokens, a, b)
    yield _pair("cost", _cost, a, b)
    unpriced = _pair("unpriced requests", lambda course: course.tree.usage.unpriced, a, b)
    if unpriced.a or unpriced.b:
        yield unpriced
    yield _pair("seconds", lambda course: course.root.seconds, a, b)


def _flat(settings: dict[str, Any], before: str = "") -> dict[str, str]:
    """Return each setting by its dotted name, as JSON."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{before}{name}.")
        else:
            text = json.dumps(value, ensure_ascii=False)
            found[before + name] = value if isinstance(value, str) else text
    return found


def _differing(a: dict[str, str], b: dict[str, str]) -> Iterator[Pair]:
    pairs = (Pair(name, a.get(name), b.get(name)) for name in sorted({*a, *b}))
    return (pair for pair in pairs if not pair.same)


# -- the same nodes -------------------------------------------------------------------------------
def _matched(a: ComparableRun, b: ComparableRun) -> Iterator[tuple[Node | None, Node | None]]:
    """Yield the roots, then children of matched parents, in the order in which they started in
    A."""
    waiting: list[tuple[Node, Node]] = [(a.root, b.root)]
    # Each is taken once: in a record that was made up a node may be below itself.
    ours, theirs = ({node.id: node for node in course.tree.nodes[1:]} for course in (a, b))
    for x, y in waiting:  # it grows
        yield x, y
        xs = [ours.pop(child) for child in x.children if child in ours]
        ys = [theirs.pop(child) for child in y.children if child in theirs]
        matched = _by_id_and_question(xs, ys)
        waiting += matched
        taken = {node.id for node, _ in matched}, {node.id for _, node in matched}
        yield from ((node, None) for node in xs if node.id not in taken[0])
        yield from ((None, node) for node in ys if node.id not in taken[1])


def _by_id_and_question(xs: list[Node], ys: list[Node]) -> list[tuple[Node, Node]]:
    keys: list[Callable[[Node], object]] = [
        lambda node: (node.id, shorten(node.question, KEPT_OF_QUESTION)),
        lambda node: shorten(node.question, KEPT_OF_QUESTION),
        lambda node: node.id,
    ]
    matched: dict[str, Node] = {}
    left = list(ys)
    for key in keys:
        by_key: dict[object, list[Node]] = {}
        for y in reversed(left):
            by_key.setdefault(key(y), []).append(y)
        for x in xs:
            if x.id not in matched and by_key.get(key(x)):
                matched[x.id] = by_key[key(x)].pop()
        taken = {y.id for y in matched.values()}
        left = [y for y in left if y.id not in taken]
    return [(x, matched[x.id]) for x in xs if x.id in matched]


def _node_pair(a: ComparableRun, b: ComparableRun, x: Node | None, y: Node | None) -> NodePair:
    ours = a.nodes[x.id].cells if x and x.id in a.nodes else None
    theirs = b.nodes[y.id].cells if y and y.id in b.nodes else None
    return NodePair(
        a=x.id if x else None,
        b=y.id if y else None,
        cells_a=None if ours is None else len(ours),
        cells_b=None if theirs is None else len(theirs),
        same=equal_beginning(ours or [], theirs or []),
    )


def equal_beginning(ours: list[RecordedCell], theirs: list[RecordedCell]) -> int:
    """Count the cells that are the same before the first that are not."""
    count = 0
    for x, y in zip(ours, theirs, strict=False):
        if (x.source, x.status, x.answer) != (y.source, y.status, y.answer):
            break
        if PutOut.of(x) != PutOut.of(y):
            break
        count += 1
    return count


def _notes(
    a: ComparableRun, b: ComparableRun, pairs: list[tuple[Node | None, Node | None]]
) -> Iterator[str]:
    alone = [side for side, course in (("A", a), ("B", b)) if not course.record]
    if alone:
        are = "is a notebook" if len(alone) == 1 else "are notebooks"
        reason = f"{' and '.join(alone)} {are} without a record"
        yield f"the LM's replies are compared by the cells made of them only: {reason}"
        unknown = [x for x, y in pairs if x and y and not (x.id in a.nodes and y.id in b.nodes)]
        if unknown:
            names = ", ".join(node.id for node in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            yield f"the cells of node {names}{more} are not compared: {reason}"
    contexts = [_context(course) for course in (a, b)]
    if any(context and context["sha256"] is None for context in contexts):
        yield "whether the contexts are the same cannot be told: no copy of one was made"
