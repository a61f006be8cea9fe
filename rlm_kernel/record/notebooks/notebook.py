"""The view of a run: the notebook of one node, made from its events.

``build`` is pure and gives a valid notebook for every beginning of the events. What an LM, a
context or a sub-call wrote goes through ``markdown``, so that it stays text.
"""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

from ...answers import Answer
from ...events import Event, Usage
from .. import checks, evidence
from ..markdown import code, directed, isolated, literal, one_line, quote, shorten, table
from ..numbers import counted, duration, price, spent, unanswered
from ..summary import RUNNING, Node, in_order, place, summarise
from .answers import linked, shown
from .cells import Cells
from .contexts import context
from .ipynb import Notebook
from .language import KERNELSPEC, LANGUAGE_INFO
from .metadata import NotebookContext, describe
from .provenance_line import where_from
from .subcalls import MAX_ROWS
from .tools import tools
from .turns import tell

MAX_NODES = 200  # of the table over the tree
_PARAMETERS = """\
# To run these cells on another input: a path here. Sub-calls are then live and cost money.
context_path = None"""
_FOLDED = {"jupyter": {"source_hidden": True}}


def build(node_events: list[Event], place: NotebookContext) -> Notebook:
    """Return the notebook of the node whose events these are, in their order."""
    nodes = place.nodes or summarise(node_events).nodes
    if not nodes:
        return _notebook([], {})
    about = describe(node_events, nodes[0], place)
    cells = Cells(nodes[0], [row["outputs"] for row in about["cells"]])
    _introduce(cells, nodes, place)
    _conclude(cells, nodes, node_events)
    _prepare(cells, nodes[0], place)
    tell(cells, node_events)
    _close(cells, nodes)
    return _notebook(cells.made, {"rlm": about})


def _notebook(cells: list[dict[str, Any]], extra: dict[str, Any]) -> Notebook:
    metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO} | extra
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _introduce(cells: Cells, nodes: tuple[Node, ...], place: NotebookContext) -> None:
    cells.markdown("header", "\n\n".join(_header(cells, nodes, place)))


def _prepare(cells: Cells, node: Node, place: NotebookContext) -> None:
    """Add what a replay needs and few read, folded."""
    if node.context is not None:
        cells.markdown("context", context(node.context))
    if place.run is not None and (shown := tools(place.run.settings)):
        cells.markdown("tools", shown)
    if node.parent is None:
        cells.code("parameters", _PARAMETERS, {"tags": ["parameters"], **_FOLDED}, [])
    cells.code("replay", _replay_line(node, place), dict(_FOLDED), [])


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
    parts = [f"# {isolated(literal(shorten(title, 120))) or 'RLM'}"]
    if len(title) > 120 or "\n" in node.question.strip():
        parts.append(directed(quote(shorten(node.question, 4000))))
    model = f" · model {code(node.model)}" if node.model else ""
    parts.append(f"**{node.status}**{model} · {_totals(node)}")
    if node.reason:
        parts.append(quote(shorten(node.reason, 1000)))
    if below:
        ends = unanswered(Counter(each.status for each in below if each.status != RUNNING))
        with_below = f"With {counted(len(below), 'node')} below: {spent(node.total)}."
        parts.append(f"{with_below} **{ends[:1].upper()}{ends[1:]}.**" if ends else with_below)
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
    links = [cells.link(child) for child in sorted(node.children, key=place)[:MAX_ROWS]]
    more = len(node.children) - len(links)
    return " · children: " + ", ".join(links) + (f" and {more:,} more" if more else "")


def _conclude(cells: Cells, nodes: tuple[Node, ...], events: list[Event]) -> None:
    """Add the answer, and where it came from."""
    node = nodes[0]
    if node.status != RUNNING and (node.question or node.answer is not None):
        answered = node.answer is not None
        origin = where_from(events, node.id, cells.link, cells.anchor) if answered else ""
        checked = checks.markdown(checks.checks_of(events, node.id))
        cells.markdown("answer", "\n\n".join(filter(None, [_answer(node), checked, origin])))


def _close(cells: Cells, nodes: tuple[Node, ...]) -> None:
    if nodes[0].parent is None:
        cells.markdown("totals", _tree(cells, nodes))
    cells.code("verdict", "%rlm verdict", {}, [])


def _answer(node: Node) -> str:
    if node.answer is None:
        return f"## No answer\n\n{literal(node.reason or node.status)}"
    head = "## Answer" if node.confirmed else f"## Unconfirmed answer\n\n{_doubted(node)}"
    given = node.given or Answer.of_text(node.answer)
    shown_as = directed(shown(given))
    parts = [head, shown_as, linked(node, given.file), evidence.markdown(given.evidence)]
    return "\n\n".join(filter(None, parts))


def _doubted(node: Node) -> str:
    """Return why an answer is not confirmed, as Markdown."""
    return literal(node.reason or "") if node.status == "answered" else "the best so far"


def _tree(cells: Cells, nodes: tuple[Node, ...]) -> str:
    head = ["node", "status", "turns:", "sub-calls:", "tokens in:", "tokens out:", "US$:", "s:"]
    shown = in_order(nodes)[:MAX_NODES]
    rows = [_tree_row(cells.link(n.id, root=n.parent is None), n, n.own) for n in shown]
    more = len(nodes) - len(rows)
    if more:
        rows.append([f"and {more:,} more", *[""] * 7])
    whole = _tree_row("**all**", nodes[0], nodes[0].total)
    if len(nodes) > 1:
        ends = Counter(node.status for node in nodes)
        whole[1] = ", ".join(f"{number:,} {status}" for status, number in ends.items())
    whole[2:4] = [f"{sum(n.turns for n in nodes):,}", f"{sum(n.calls for n in nodes):,}"]
    return "## Totals\n\n" + table(head, [*rows, whole])


def _tree_row(name: str, node: Node, usage: Usage) -> list[str]:
    # The head says US$ once: two dollar signs in a cell would be set as a formula.
    cost = price(usage).replace("$", "")
    sizes = [node.turns, node.calls, usage.input_tokens, usage.output_tokens]
    return [name, node.status, *(f"{size:,}" for size in sizes), cost, f"{node.seconds:,.1f}"]
