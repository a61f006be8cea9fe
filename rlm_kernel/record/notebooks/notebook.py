"""The view of a run: the notebook of one node, made from its events.

``build`` is pure and gives a valid notebook for every beginning of the events. What an LM, a
context or a sub-call wrote goes through ``markdown``, so that it stays text.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, assert_never

from ...answers import Answer
from ...events import (CallEnded, CallStarted, CellRan, CellStarted, ContextSet, Event, KernelRestarted, NodeEnded, NodeStarted, Output, OutputMade, Prompted, Replied, ReplyDelta, RunEnded, RunStarted, Usage)
from .. import checks, evidence
from .answers import linked, shown
from .cells import Cells
from .contexts import context
from ..numbers import counted, duration, price, spent
from .ipynb import Notebook
from ..markdown import code, fenced, inert, literal, one_line, printable, quote, shorten, table
from .metadata import NotebookContext, describe, page
from .prose import reminders, thoughts, without_blocks
from .subcalls import MAX_ROWS, sub_calls
from ..summary import RUNNING, Node, summarise
from .tools import tools
from .turns import tell
from .provenance_line import where_from

MAX_NODES = 200  # of the table over the tree
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
    cells = Cells(nodes[0], [row["outputs"] for row in about["cells"]])
    _introduce(cells, nodes, place)
    tell(cells, node_events)
    _conclude(cells, nodes, node_events)
    return _notebook(cells.made, {"rlm": about})


def _notebook(cells: list[dict[str, Any]], extra: dict[str, Any]) -> Notebook:
    metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}} | extra
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _introduce(cells: Cells, nodes: tuple[Node, ...], place: NotebookContext) -> None:
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


def _header(cells: Cells, nodes: tuple[Node, ...], place: NotebookContext) -> list[str]:
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


def _parent(cells: Cells, node: Node) -> str:
    if node.parent is None:
        return ""
    return f" · asked by node {cells.link(node.parent, root='.' not in node.parent)}"


def _children(cells: Cells, node: Node) -> str:
    if not node.children:
        return ""
    links = [cells.link(child) for child in node.children[:MAX_ROWS]]
    more = len(node.children) - len(links)
    return " · children: " + ", ".join(links) + (f" and {more:,} more" if more else "")


def _conclude(cells: Cells, nodes: tuple[Node, ...], events: list[Event]) -> None:
    node = nodes[0]
    if node.status != RUNNING and (node.question or node.answer is not None):
        origin = where_from(events, node.id, cells.link) if node.answer is not None else ""
        checked = checks.markdown(checks.checks_of(events, node.id))
        cells.markdown("answer", "\n\n".join(filter(None, [_answer(node), checked, origin])))
    if node.parent is None:
        cells.markdown("totals", _tree(cells, nodes))
    cells.code("verdict", "%rlm verdict", {}, [])


def _answer(node: Node) -> str:
    if node.answer is None:
        return f"**No answer** · {literal(node.reason or node.status)}"
    head = "**Answer**" if node.confirmed else f"**Unconfirmed answer**: {_doubted(node)}"
    given = node.given or Answer.of_text(node.answer)
    parts = [head, shown(given), linked(node, given.file), evidence.markdown(given.evidence)]
    return "\n\n".join(filter(None, parts))


def _doubted(node: Node) -> str:
    """Return why an answer is not confirmed, as Markdown."""
    return literal(node.reason or "") if node.status == "answered" else "the best so far"


def _tree(cells: Cells, nodes: tuple[Node, ...]) -> str:
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
