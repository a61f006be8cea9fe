"""Every node's turns: what the LM said, the code, its outputs, and where its sub-calls are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from ...events import (
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
)
from ...record import decisions, headings, restarts
from ...record.checks import checks_of
from ...record.headings import Course
from ...record.markdown import one_line, shorten
from ...record.notebooks.prose import reminders, without_blocks
from ...record.numbers import counted, duration, price
from ...record.summary import RUNNING, Node, place
from . import texts
from .markup import Html, block_id, h, joined
from .outputs import outputs

MAX_LINKS = 50


def node_section(node: Node, events: Sequence[Event], *, root: bool) -> Html:
    """Show the node with all that happened in it, in its order."""
    name = (
        h("h2", "Turns" if node.turns else "Cells")
        if root
        else h("h3", f"Node {shorten(one_line(node.id), 80)}")
    )
    parts: list[str] = [name]
    if not root:
        parts.append(h("p", shorten(node.question, 2000), class_="question"))
    if node.context is not None:
        parts.append(_context(node.context))
    parts += _Story(node, events, "h3" if root else "h4").told()
    if not root:
        parts.append(_ending(node, events))
    return h("section", *parts, id=block_id("node", node.id), class_="node")


def _context(info: ContextInfo) -> Html:
    sizes = [info.type, f"length {info.length:,}" if info.length is not None else None]
    sizes += [counted(info.lines, "line") if info.lines is not None else None, info.format]
    # The path is left out: it is of the machine that the run was on.
    name = str(info.spec.get("name") or "")
    # A value without a name of its own has that of its type.
    facts = dict.fromkeys(filter(None, [shorten(one_line(name), 80), *sizes]))
    line = " · ".join(["Context", *facts])
    text = info.head + ("\n[…]\n" + info.tail if info.tail else "")
    notices = [h("p", remark, class_="note") for remark in info.remarks]
    opened = texts.folded(text) if text else None
    return h("details", h("summary", line), *notices, opened, class_="context")


def _ending(node: Node, events: Sequence[Event]) -> Html:
    if node.answer is None:
        said = "still running" if node.status == RUNNING else node.reason or node.status
        return h("p", f"No answer: {said}", class_="note")
    name = "Answer" if node.confirmed else "Unconfirmed answer"
    shown = [h("p", name, class_="label"), texts.answer(node.answer), texts.evidence(node)]
    return h("div", *shown, texts.checks(checks_of(events, node.id)), class_="result")


class _Story:
    """One node's events told in their order; those of a turn stand in one element."""

    def __init__(self, node: Node, events: Sequence[Event], heading: str) -> None:
        self._node = node
        self._heading = heading
        self._course = Course()
        self._standing = restarts.Standing(events)
        self._reply: Replied | None = None
        self._events = events
        self._ran: dict[int, list[CellRan]] = {}
        self._decided: dict[int, list[CellDecided]] = {}
        for event in events:
            if isinstance(event, CellRan) and event.author == "lm" and event.turn:
                self._ran.setdefault(event.turn, []).append(event)
            if isinstance(event, CellDecided):
                self._decided.setdefault(event.turn, []).append(event)
        self._calls: dict[int, list[CallEnded]] = {}
        self._done: list[Html] = []
        self._turn = 0
        self._parts: list[Html] = []
        self._facts = ""

    def told(self) -> list[Html]:
        for event in self._events:
            self._tell(event)
        for number, waiting in self._calls.items():  # the cell still runs
            self._parts.append(self._sub_calls(number, waiting))
        self._close()
        return self._done

    def _tell(self, event: Event) -> None:
        match event:
            case Prompted():
                self._prompted(event)
            case Replied():
                self._replied(event)
            case CallEnded():
                self._calls.setdefault(event.cell, []).append(event)
            case CellRan():
                self._open(event.turn)
                self._parts.append(self._cell(event))
            case ContextSet():
                self._parts.append(_context(event.context))
            case CellDecided():
                self._open(event.turn)
                self._parts.append(h("p", decisions.sentence(event), class_="notice"))
            case KernelRestarted():
                lost = f" Lost variables: {', '.join(event.lost)}" if event.lost else ""
                text = f"{restarts.sentence(event)}.{lost}"
                self._parts.append(h("p", shorten(text, 2000), class_="notice"))
            case RunStarted() | NodeStarted() | NodeEnded() | RunEnded():
                pass  # in other parts of the page
            case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)

    def _open(self, turn: int) -> None:
        if turn != self._turn:
            self._close()
            self._turn = turn

    def _close(self) -> None:
        if self._parts:
            facts = h("p", self._facts, class_="facts") if self._facts else None
            name = h(self._heading, self._name())
            head = h("header", name, facts)
            self._done.append(h("article", head, *self._parts, class_="turn"))
        self._parts, self._facts, self._reply = [], "", None

    def _name(self) -> str:
        """Return the heading of a turn, with its cells and how it ended where that is not well."""
        if not self._turn:
            return "Before the question" if self._node.question else "By hand"
        ran = self._ran.get(self._turn, [])
        decided = self._decided.get(self._turn, [])
        status = "" if self._reply is None else self._course.status(self._reply, ran, decided)
        cells = headings.numbered([cell.cell for cell in ran])
        told = [f"Turn {self._turn}", cells, "" if status == "ok" else status]
        return " · ".join(filter(None, told))

    def _prompted(self, event: Prompted) -> None:
        """Show what the LM was told beside the outputs of its cells."""
        if event.turn <= 1 and not event.compacted:
            return
        said = ["Earlier turns no longer fit and were left out."] if event.compacted else []
        said = said or reminders(event.messages, self._ran.get(event.turn - 1, []))
        self._open(event.turn)
        if said:
            text = shorten("\n".join(said), 2000)
            self._parts.append(h("p", h("b", "To the model"), " ", text, class_="notice"))

    def _replied(self, event: Replied) -> None:
        if event.turn == 0:
            return  # it sorted the question
        self._open(event.turn)
        self._reply = event
        used = f"{event.usage.input_tokens:,} tokens in, {event.usage.output_tokens:,} out"
        known = [used, price(event.usage), duration(event.seconds)] if event.time else []
        self._facts = " · ".join([shorten(one_line(event.model), 80), *known])
        text = without_blocks(event.text, [cell.source for cell in self._ran.get(event.turn, [])])
        if text:
            self._parts.append(texts.prose(text))
        if event.thoughts:
            title = f"Thoughts · {len(event.thoughts):,} characters"
            thought = texts.folded(event.thoughts)
            self._parts.append(h("details", h("summary", title), thought, class_="context"))

    def _cell(self, event: CellRan) -> Html:
        calls = self._calls.pop(event.cell, [])
        by = "by hand · " if event.author == "human" else ""
        state = {"ok": "", "error": " · error"}.get(event.status, f" · {event.status}")
        label = f"{by}cell {event.cell} · {duration(event.seconds)}{state}"
        said = [*event.notices, *self._standing.notice(event.node, event.cell)]
        notices = [h("p", shorten(text, 2000), class_="notice") for text in said]
        return h(
            "div",
            h("p", label, class_="label"),
            texts.code(event.source),
            self._sub_calls(event.cell, calls) if calls else None,
            outputs(event.outputs, event.source),
            *notices,
            id=block_id("cell", event.node, event.cell),
            class_="cell" if event.status == "ok" else "cell failed",
        )

    def _sub_calls(self, cell: int, calls: list[CallEnded]) -> Html:
        """Link to the list of sub-calls, narrowed to this cell, and to its children."""
        failed = sum(call.error is not None for call in calls)
        asked = dict.fromkeys(call.options["question"] for call in calls if call.options)
        told = [counted(len(calls), "sub-call"), f"{failed:,} failed" if failed else ""]
        told += [f"“{shorten(one_line(str(question)), 200)}”" for question in asked]
        begun = min(call.started for call in calls)
        if begun:
            took = max(call.started + call.seconds for call in calls) - begun
            told.append(duration(took))
        narrowed = f"{self._node.id}:{cell}"
        shown = h("a", " · ".join(filter(None, told)), href="#calls", data_only=narrowed)
        children = sorted({call.child for call in calls if call.child is not None}, key=place)
        links = [
            h("a", shorten(f"node {c}", 80), href=f"#{block_id('node', c)}")
            for c in children[:MAX_LINKS]
        ]
        more = len(children) - len(links)
        if more > 0:
            links.append(h("span", f"and {more:,} more"))
        return h("p", joined(shown, *links, by=" "), class_="asked")
