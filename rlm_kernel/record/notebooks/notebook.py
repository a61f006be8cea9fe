"""The view of a run: the notebook of one node, made from its events.

``build`` is pure and gives a valid notebook for every beginning of the events. What an LM, a
context or a sub-call wrote goes through ``markdown``, so that it stays text.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, assert_never

from ...events import (
    CallEnded,
    CallStarted,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Output,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
    Usage,
)
from .contexts import context, context_set
from ..numbers import counted, duration, price, spent
from .ipynb import Notebook
from ..markdown import code, fenced, inert, literal, one_line, printable, quote, shorten, table
from .metadata import NotebookContext, describe, page
from .prose import reminders, thoughts, without_blocks
from .subcalls import MAX_ROWS, sub_calls
from ..summary import RUNNING, Node, summarise
from .tools import tools
from .provenance_line import where_from

MAX_NODES = 200  # of the table over the tree
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9]")
_PARAMETERS = """\
# To run these cells on another input: a path here. Sub-calls are then live and cost money.
context_path = None"""
_KERNEL = {"name": "rlm", "display_name": "RLM", "language": "python"}


def build(node_events: list[Event], place: NotebookContext) -> Notebook:
    """Return the notebook of the node whose events these are, in their order."""
    nodes = place.nodes or summarise(node_events).nodes
    if not nodes:
        return _notebook([], {})
    about = describe(node_events, nodes[0], place)
    cells = _Cells(nodes[0], [row["outputs"] for row in about["cells"]])
    _introduce(cells, nodes, place)
    _tell(cells, node_events)
    _conclude(cells, nodes, node_events)
    return _notebook(cells.made, {"rlm": about})


def _notebook(cells: list[dict[str, Any]], extra: dict[str, Any]) -> Notebook:
    metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}} | extra
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


class _Cells:
    """Cells in the making. Ids tell what a cell is, so that two versions differ calmly."""

    def __init__(self, node: Node, digests: list[str]) -> None:
        self.node = node
        self.digests = iter(digests)  # of the cells that ran, in their order
        self.made: list[dict[str, Any]] = []
        self._ids: set[str] = set()

    def markdown(self, name: str, source: str) -> None:
        self._add(name, {"cell_type": "markdown", "metadata": {}, "source": source})

    def code(
        self,
        name: str,
        source: str,
        metadata: dict[str, Any],
        outputs: list[Output],
        count: int | None = None,
    ) -> None:
        cell = {
            "cell_type": "code",
            "metadata": metadata,
            "source": printable(source),
            "outputs": outputs,
            "execution_count": count,
        }
        self._add(name, cell)

    def link(self, node: str, *, root: bool = False) -> str:
        """Return a link that is right from this node's notebook."""
        target = page(node, root=root)
        if self.node.parent is not None:
            target = f"../{target}" if root else target.removeprefix("calls/")
        return f"[{literal(node)}]({target})"

    def _add(self, name: str, cell: dict[str, Any]) -> None:
        stem = _NOT_IN_ID.sub("-", f"n{self.node.id}-{name}")[-50:]
        unique, again = stem, 1
        while unique in self._ids:
            again += 1
            unique = f"{stem}-{again}"
        self._ids.add(unique)
        self.made.append({"id": unique, **cell})


def _introduce(cells: _Cells, nodes: tuple[Node, ...], place: NotebookContext) -> None:
    node = nodes[0]
    cells.markdown("header", "\n\n".join(_header(cells, nodes, place)))
    if node.context is not None:
        cells.markdown("context", context(node.context))
    if place.run is not None and (shown := tools(place.run.settings)):
        cells.markdown("tools", shown)
    if node.parent is None:
        cells.code("parameters", _PARAMETERS, {"tags": ["parameters"]}, [])
    cells.code("replay", _replay_line(node, place), {}, [])


def _replay_line(node: Node, place: NotebookContext) -> str:
    """Return the line that begins a replay. It names run and node: a kernel is not told its
    notebook."""
    run = place.run.run if place.run else ""
    if not run.isprintable() or not run:
        return "%rlm replay"
    return f"%rlm replay {shlex.quote(f'--run={run}')} --node={node.id}"


def _header(cells: _Cells, nodes: tuple[Node, ...], place: NotebookContext) -> list[str]:
    node, below = nodes[0], nodes[1:]
    title = one_line(node.question)
    parts = [f"# {literal(shorten(title, 120)) or 'RLM'}"]
    if len(title) > 120 or "\n" in node.question.strip():
        parts.append(quote(shorten(node.question, 4000)))
    model = f" · model {code(node.model)}" if node.model else ""
    parts.append(f"**{node.status}**{model} · {_totals(node)}")
    if node.reason:
        parts.append(quote(shorten(node.reason, 1000)))
    if below:
        parts.append(f"With {counted(len(below), 'node')} below: {spent(node.total)}.")
    where = f"Run {code(place.run.run)}, node {literal(node.id)}" if place.run else "Node"
    parts.append(where + _parent(cells, node) + _children(cells, node))
    if place.run and node.parent is None and (origin := place.run.settings.get("origin")):
        parts.append(_origin(origin))
    return parts


def _origin(origin: dict[str, Any]) -> str:
    """Say what a run goes on from, or what its cells were written for."""
    run = code(str(origin.get("run")))
    if origin.get("kind") == "rerun":
        return f"The cells of run {run}, run again on another input: no LM wrote them for this one."
    if origin.get("kind") == "continue":
        after = f"after its cell {literal(str(origin.get('cell')))}"
        return f"Goes on from run {run} {after}, with what the human did in the kernel since."
    edited = ", which the human changed" if origin.get("edited") else ""
    return f"Forked from run {run} before its cell {literal(str(origin.get('cell')))}{edited}."


def _totals(node: Node) -> str:
    used = f"{node.own.input_tokens:,} tokens in, {node.own.output_tokens:,} out"
    return " · ".join(
        [
            counted(node.turns, "turn"),
            counted(node.calls, "sub-call"),
            used,
            price(node.own),
            duration(node.seconds),
        ]
    )


def _parent(cells: _Cells, node: Node) -> str:
    if node.parent is None:
        return ""
    return f" · asked by node {cells.link(node.parent, root='.' not in node.parent)}"


def _children(cells: _Cells, node: Node) -> str:
    if not node.children:
        return ""
    links = [cells.link(child) for child in node.children[:MAX_ROWS]]
    more = len(node.children) - len(links)
    return " · children: " + ", ".join(links) + (f" and {more:,} more" if more else "")


def _conclude(cells: _Cells, nodes: tuple[Node, ...], events: list[Event]) -> None:
    node = nodes[0]
    if node.status != RUNNING and (node.question or node.answer is not None):
        origin = where_from(events, node.id, cells.link) if node.answer is not None else ""
        cells.markdown("answer", "\n\n".join(filter(None, [_answer(node), origin])))
    if node.parent is None:
        cells.markdown("totals", _tree(cells, nodes))
    cells.code("verdict", "%rlm verdict", {}, [])


def _answer(node: Node) -> str:
    if node.answer is None:
        return f"**No answer** · {literal(node.reason or node.status)}"
    head = "**Answer**" if node.confirmed else "**Unconfirmed answer**: the best so far"
    text = shorten(node.answer, 20_000)
    data = text.lstrip().startswith(("{", "[")) and "\n" in text
    return f"{head}\n\n{fenced(text, 'json') if data else inert(text)}"


def _tree(cells: _Cells, nodes: tuple[Node, ...]) -> str:
    head = ["node", "status", "turns:", "sub-calls:", "tokens in:", "tokens out:", "US$:", "s:"]
    rows = [_tree_row(cells.link(n.id, root=n.parent is None), n, n.own) for n in nodes[:MAX_NODES]]
    more = len(nodes) - len(rows)
    if more:
        rows.append([f"and {more:,} more", *[""] * 7])
    whole = _tree_row("**all**", nodes[0], nodes[0].total)
    whole[2:4] = [f"{sum(n.turns for n in nodes):,}", f"{sum(n.calls for n in nodes):,}"]
    return "**Totals**\n\n" + table(head, [*rows, whole])


def _tree_row(name: str, node: Node, usage: Usage) -> list[str]:
    # The head says US$ once: two dollar signs in a cell would be set as a formula.
    cost = price(usage).replace("$", "")
    sizes = [node.turns, node.calls, usage.input_tokens, usage.output_tokens]
    return [name, node.status, *(f"{size:,}" for size in sizes), cost, f"{node.seconds:,.1f}"]


def _tell(cells: _Cells, events: list[Event]) -> None:
    """Add the cells of the turns, in the order in which things happened."""
    calls: dict[int, list[CallEnded]] = {}
    ran = _cells_of_turns(events)
    if cells.node.context is not None and any(map(_before_question, events)):
        cells.markdown("prelude", "###### Before the question")
    author = "human"
    for event in events:
        match event:
            case ContextSet():
                cells.markdown("context-set", context_set(event.context))
            case Prompted():
                _prompted(cells, event, ran.get(event.turn - 1, []))
            case Replied():
                _replied(cells, event, [cell.source for cell in ran.get(event.turn, [])])
            case CallEnded():
                calls.setdefault(event.cell, []).append(event)
            case CellRan():
                author = _signed(cells, event, author)
                _ran(cells, event, calls.pop(event.cell, []))
            case KernelRestarted():
                _restarted(cells, event)
            case RunStarted() | NodeStarted() | NodeEnded() | RunEnded():
                pass  # in the header and in the answer
            case ReplyDelta() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)
    for number, made in calls.items():  # the cell still runs
        cells.markdown(f"cell-{number}-calls", sub_calls(made, cells.link))


def _replied(cells: _Cells, event: Replied, sources: list[str]) -> None:
    text = inert(without_blocks(event.text, sources))
    thought = thoughts(event.thoughts)
    if text or sources or thought:  # one of code only has its heading, which links lead to
        title = f"Turn {event.turn}" if event.turn else "Kind of question"
        cells.markdown(f"turn-{event.turn}", f"###### {title}\n\n{text}".strip())
    if thought:
        cells.markdown(f"turn-{event.turn}-thoughts", thought)


def _signed(cells: _Cells, event: CellRan, author: str) -> str:
    """Say who wrote a cell where that is not the one whom one expects: the human before the
    question, where ``author`` wrote the last cell, and the LM in its turns."""
    expected = "lm" if event.turn else author
    if event.author != expected:
        who = "Written by the human" if event.author == "human" else "Written by the LM, earlier"
        cells.markdown(f"cell-{event.cell}-author", f"###### {who}")
    return event.author if event.turn == 0 else "human"


def _before_question(event: Event) -> bool:
    return isinstance(event, CellRan) and event.turn == 0


def _cells_of_turns(events: list[Event]) -> dict[int, list[CellRan]]:
    found: dict[int, list[CellRan]] = {}
    for event in events:
        if isinstance(event, CellRan) and event.author == "lm" and event.turn:
            found.setdefault(event.turn, []).append(event)
    return found


def _prompted(cells: _Cells, event: Prompted, ran: list[CellRan]) -> None:
    """Add what the LM was told beside the outputs of its cells; the task is not shown again."""
    if event.compacted:
        texts = ["Earlier turns no longer fitted and were left out."]
    elif event.turn > 1:
        texts = reminders(event.messages, ran)
    else:
        texts = []
    if texts:
        shown = "\n".join(shorten(text, 800) for text in texts)
        cells.markdown(f"turn-{event.turn}-reminder", "> **To the LM**<br>\n" + quote(shown))


def _ran(cells: _Cells, event: CellRan, calls: list[CallEnded]) -> None:
    name = f"cell-{event.cell}"
    about = {
        "author": event.author,
        "turn": event.turn,
        "cell": event.cell,
        "status": event.status,
        "seconds": event.seconds,
        "digest": next(cells.digests),
    }
    tags = {"tags": ["raises-exception"]} if event.status != "ok" else {}
    outputs = [as_kept(output) for output in event.outputs]
    cells.code(name, event.source, {"rlm": about} | tags, outputs, event.execution_count)
    if calls:
        cells.markdown(f"{name}-calls", sub_calls(calls, cells.link))
    notices = [*_ending(event), *event.notices]
    if notices:
        cells.markdown(f"{name}-notices", quote("\n".join(shorten(n, 800) for n in notices)))


def _ending(event: CellRan) -> list[str]:
    after = f"after {duration(event.seconds)}"
    return {
        "timeout": [f"The cell was stopped {after}: its time was over."],
        "interrupted": [f"The cell was interrupted {after}."],
        "died": [f"The kernel died in this cell {after}."],
    }.get(event.status, [])


def _restarted(cells: _Cells, event: KernelRestarted) -> None:
    lost = ", ".join(event.lost)
    text = f"The kernel was started again: {event.reason}" + (f"\nLost: {lost}" if lost else "")
    cells.markdown(f"cell-{event.cell}-restart", quote(shorten(text, 2000)))


def as_kept(output: Output) -> Output:
    """Return the parts that the notebook format knows; an output it does not know becomes text."""
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return {
                "output_type": "stream",
                "name": name,
                "text": printable(str(output.get("text", ""))),
            }
        case "display_data" | "execute_result" as kind:
            shown = {"output_type": kind, "metadata": output.get("metadata") or {}}
            shown["data"] = _printable_data(output.get("data") or {})
            if kind == "execute_result":
                shown["execution_count"] = output.get("execution_count")
            return shown
        case "error":
            lines = [printable(str(line)) for line in output.get("traceback") or []]
            named = {key: printable(str(output.get(key, ""))) for key in ("ename", "evalue")}
            return {"output_type": "error", **named, "traceback": lines}
    return {"output_type": "stream", "name": "stderr", "text": f"[an unknown output: {output!r}]"}


def _printable_data(data: dict[str, Any]) -> dict[str, Any]:
    return {mime: printable(v) if isinstance(v, str) else v for mime, v in data.items()}
