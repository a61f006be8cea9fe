"""Where an answer came from: cells, sub-calls, and the parts of the context that they were given.

``trace`` follows the answer back through the cells of its node and into the children whose replies
can have reached it; ``cover`` finds what the prompts on that way held of the context. Both are pure
and approximate: see ``flow`` and ``spans``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from ...events import (
    ROOT,
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
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
)
from .flow import FlowStep, stands_in, steps
from .spans import Index, Range, Span, Texts, merged

__all__ = ["Covered", "FlowStep", "Origin", "Range", "Span", "Texts", "cover", "trace"]


@dataclass(frozen=True)
class Origin:
    """The origin of one node's answer.

    ``calls`` are those whose replies can have reached it, in the order in which they were asked;
    ``literal`` are the places in ``calls`` of replies that stand in the answer word for word, but
    for those that several calls gave: they do not tell which it was.
    """

    node: str
    answer: str | None
    steps: tuple[FlowStep, ...]
    calls: tuple[CallEnded, ...]
    literal: tuple[int, ...]

    @property
    def reads_context(self) -> bool:
        """Return whether the answer can have come from the context past any call."""
        return any(step.reads_context for step in self.steps)


@dataclass(frozen=True)
class Covered:
    """The parts of a node's context that its calls were given. ``length`` is the context's, in
    characters; ``calls`` has the ranges of each call of the origin, in its order."""

    spans: tuple[Span, ...]
    characters: int
    length: int
    calls: tuple[tuple[Range, ...], ...]

    @property
    def share(self) -> float:
        return self.characters / self.length if self.length else 0.0


@dataclass
class _Happened:
    """The events of one node, in the order of the record."""

    cells: list[CellRan]
    calls: list[CallEnded]
    answer: str | None = None
    restarted_after: int = 0

    def go_back(self, to: int) -> None:
        """Leave out what was undone when the kernel went back to after a cell."""
        self.cells = [cell for cell in self.cells if cell.cell <= to]
        self.calls = [call for call in self.calls if call.cell <= to]


def trace(events: Iterable[Event], root: str = ROOT) -> list[Origin]:
    """Trace the answer of the node ``root``, and of the children it can have come from, that node
    first.

    Each node stands once, children in the order in which they are reached.
    """
    nodes, tools = _by_node(events)
    waiting, origins, seen = [root], [], {root}
    for name in waiting:
        happened = nodes.get(name)
        if happened is None:
            continue
        origins.append(_origin(name, happened, tools))
        for call in origins[-1].calls:
            if call.child is not None and call.child not in seen:
                seen.add(call.child)
                waiting.append(call.child)
    return origins


def _by_node(events: Iterable[Event]) -> tuple[dict[str, _Happened], frozenset[str]]:
    nodes: dict[str, _Happened] = {}
    tools: frozenset[str] = frozenset()
    for event in events:
        match event:
            case RunStarted():
                tools = frozenset(event.settings.get("tools", ()))
            case CellRan() | CallEnded() | KernelRestarted() | NodeEnded():
                _take(nodes.setdefault(event.node, _Happened([], [])), event)
            case NodeStarted() | ContextSet() | Prompted() | Replied() | CellDecided() | RunEnded():
                pass  # nothing that code made
            case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)
    return nodes, tools


def _take(node: _Happened, event: CellRan | CallEnded | KernelRestarted | NodeEnded) -> None:
    match event:
        case CellRan():
            node.cells.append(event)
        case CallEnded():
            node.calls.append(event)
        case KernelRestarted():
            if event.back_to is None:
                node.restarted_after = event.cell
            else:
                node.go_back(event.back_to)
        case NodeEnded():
            node.answer = event.answer
        case _:
            assert_never(event)


def _origin(name: str, node: _Happened, tools: frozenset[str]) -> Origin:
    way = steps(node.cells, node.answer, restarted_after=node.restarted_after, tools=tools)
    asking = {step.cell for step in way if step.asks}
    reaching = [call for call in node.calls if call.cell in asking and call.error is None]
    calls = tuple(sorted(reaching, key=lambda call: (call.call, call.index)))
    answer = node.answer or ""
    replies = [call.reply.strip() if isinstance(call.reply, str) else "" for call in calls]
    once = {reply for reply, times in Counter(replies).items() if reply and times == 1}
    literal = tuple(i for i, r in enumerate(replies) if r in once and stands_in(r, answer))
    return Origin(node=name, answer=node.answer, steps=tuple(way), calls=calls, literal=literal)


def cover(origin: Origin, context: Texts, handed: Mapping[str, str]) -> Covered:
    """Return what the calls of ``origin`` held of its node's context, in their prompts and in the
    contexts that they gave to children; ``handed`` has the latter by child."""
    index = Index(context.text)
    found = []
    for call in origin.calls:
        known = context.range_of(call.about.get("span"))
        ranges = index.find(call.prompt) if known is None else [known]
        if call.child is not None and call.child in handed:
            ranges += index.find(handed[call.child])
        found.append(tuple(merged(ranges, context.text)))
    together = merged((one for ranges in found for one in ranges), context.text)
    characters = sum(end - start for start, end in together)
    return Covered(
        spans=tuple(context.spans(together)),
        characters=characters,
        length=len(context.text),
        calls=tuple(found),
    )
