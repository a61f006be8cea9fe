"""A finished or running trajectory as text: what ``rlm show`` prints."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree as RichTree

from ..events import CellDecided, Usage
from ..record import checks, decisions
from ..record.evidence import lines
from ..record.markdown import one_line, shorten
from ..record.numbers import counted, duration, spent, unanswered
from ..record.recording import Recording
from ..record.signing.verifying import in_words
from ..record.summary import RUNNING, Node, in_order

MAX_PROBLEMS = 20


def render(recording: Recording, console: Console) -> None:
    """Print the tree with its totals, then what is wrong with the record."""
    tree = recording.tree
    if tree.nodes:
        root = tree.nodes[0]
        drawn = RichTree(_line(root))
        branches = {root.id: drawn}
        _tell(drawn, root, recording)
        for node in in_order(tree.nodes[1:]):
            branches[node.id] = branches.get(node.parent or "", drawn).add(_line(node))
            _tell(branches[node.id], node, recording)
        console.print(drawn)
        if len(tree.nodes) > 1:
            ends = Counter(node.status for node in tree.nodes[1:] if node.status != RUNNING)
            sizes = [_sizes(tree.turns, tree.calls, tree.usage), unanswered(ends)]
            console.print(f"[bold]all[/] · {' · '.join(filter(None, sizes))}")
    elif tree.ended is not None and tree.ended.status != "answered":
        why = escape(tree.ended.reason or "")
        console.print(f"[bold]{tree.ended.status}[/] before its kernel was ready: {why}")
    state = escape(in_words(recording))
    console.print(f"{escape(str(recording.source))}: {state}", style="dim", soft_wrap=True)
    for problem in recording.problems[:MAX_PROBLEMS]:
        console.print(f"[red]problem:[/] {escape(one_line(problem))}", soft_wrap=True)
    if len(recording.problems) > MAX_PROBLEMS:
        console.print(f"[red]and {len(recording.problems) - MAX_PROBLEMS} problems more[/]")


def _line(node: Node) -> str:
    sizes = _sizes(node.turns, node.calls, node.own)
    return (
        f"[bold]{escape(node.id)}[/] · {escape(node.status)} · {sizes} · {duration(node.seconds)}"
    )


def _sizes(turns: int, calls: int, usage: Usage) -> str:
    return f"{counted(turns, 'turn')} · {counted(calls, 'call')} · {spent(usage)}"


def _tell(branch: RichTree, node: Node, recording: Recording) -> None:
    branch.add(f"[dim]question[/] {_short(node.question)}")
    if node.answer is not None:
        name = "answer" if node.confirmed else "unconfirmed answer"
        answer = branch.add(f"[dim]{name}[/] {_short(node.answer)}")
        for line in lines(node.given.evidence) if node.given else []:
            answer.add(escape(line))
        for line in checks.lines(checks.checks_of(recording.events, node.id)):
            answer.add(escape(line))
    if decided := decisions.line(decisions.of(recording.events, node.id)):
        branch.add(f"[dim]{decided}[/]")
    if node.reason:
        branch.add(f"[dim]because[/] {_short(node.reason)}")


def _short(text: str) -> str:
    return escape(one_line(shorten(text, 200)))


def as_json(recording: Recording) -> dict[str, Any]:
    """Return plain JSON data for programs: the totals, and the nodes in the order of their
    start."""
    tree = recording.tree
    given = tree.nodes[0].given if tree.nodes else None
    return {
        "run": tree.run,
        "question": tree.question,
        "status": tree.nodes[0].status if tree.nodes else tree.ended and tree.ended.status,
        "answer": tree.nodes[0].answer if tree.nodes else None,
        "value": given.json if given else None,
        "type": given.type if given else None,
        "evidence": [dataclasses.asdict(one) for one in given.evidence] if given else [],
        "checks": _checks(recording),
        "decisions": [
            dataclasses.asdict(event)
            for event in recording.events
            if isinstance(event, CellDecided)
        ],
        "confirmed": tree.nodes[0].confirmed if tree.nodes else False,
        "turns": tree.turns,
        "calls": tree.calls,
        "usage": dataclasses.asdict(tree.usage),
        "nodes": [dataclasses.asdict(node) for node in tree.nodes],
        "source": str(recording.source),
        "sealed": recording.sealed,
        "seal": in_words(recording),
        "problems": recording.problems,
    }


def _checks(recording: Recording) -> list[dict[str, Any]]:
    root = recording.tree.nodes[0].id if recording.tree.nodes else ""
    return [dataclasses.asdict(one) for one in checks.checks_of(recording.events, root)]
