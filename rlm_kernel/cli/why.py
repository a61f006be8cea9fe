"""``rlm why``: from an answer back to where it came from, in a few lines."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from ..answers import Evidence
from ..events import CallEnded
from ..record import decisions
from ..record.checks import checks_of
from ..record.checks import lines as told
from ..record.evidence import lines, placed, summed
from ..record.markdown import one_line, shorten
from ..record.numbers import counted
from ..record.provenance import FlowStep, Origin, Range, Span
from ..record.recording import Recording
from ..record.signing.verifying import in_words
from ..remote.guest.maps.checked import Checked
from ..reports import provenance_of
from ..reports.provenance_of import Origins
from ..reports.terminal import standard_output
from .paths import check_runs
from .statuses import ANSWERED
from .terminal import write_line

MOST = 8
"""The most that is shown of steps, calls, parts of the context and nodes each."""
MOST_PROBLEMS = 3
"""The most that is shown of what is wrong with the record; `rlm show` has more."""


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_runs(options.path)
    recording = Recording.open(options.path)
    found, given = provenance_of.find(recording), recording.root.given
    evidence = given.evidence if given is not None else ()
    standing = [] if evidence else provenance_of.standing(recording)
    checks = checks_of(recording.events, recording.root.id)
    if options.json:
        write_line(json.dumps(as_json(found, evidence, standing, checks), indent=1))
    else:
        tree = drawn(found, evidence, standing, checks)
        for event in decisions.of(recording.events, recording.root.id):
            if event.choice == "edited":
                tree.add(f"[cyan]cell {event.cell}[/] is the human's, in place of the LM's")
        for problem in recording.problems[:MOST_PROBLEMS]:
            tree.add(f"[red]problem:[/] {_plain(problem)}")
        tree.add(f"[dim]the record: {_plain(in_words(recording))}[/]")
        standard_output().print(tree)
    return ANSWERED


def _plain(text: str) -> str:
    """Text of a record on one line of a terminal: no codes of the terminal, no markup."""
    return escape(one_line(text))


# -- for people -----------------------------------------------------------------------------------
def drawn(
    found: Origins,
    evidence: Sequence[Evidence] = (),
    standing: Sequence[Evidence] = (),
    checks: Sequence[Checked] = (),
) -> Tree:
    """Return the way back as a tree, a screen or two at most. ``standing`` are the words of an
    answer without evidence, where they stand."""
    first = found.nodes[0] if found.nodes else Origin("", None, (), (), ())
    answer = "no answer" if first.answer is None else shorten(one_line(first.answer), 300)
    tree = Tree(f"[bold]{_plain(answer)}[/]")
    if evidence:
        quotes = tree.add(_plain(summed(evidence)))
        for line in lines(evidence):
            quotes.add(_plain(line))
    elif standing:
        words = tree.add("No evidence was given; words of the answer stand in the context:")
        for one in standing[:MOST]:
            words.add(_plain(placed(one)))
    for line in told(checks):
        tree.add(_plain(line))
    for node in found.nodes[:MOST]:
        branch = tree if node is first else tree.add(f"[bold]node {_plain(node.node)}[/]")
        _draw_node(branch, node, found if node is first else None)
    _more(tree, len(found.nodes) - MOST, "node")
    if first.steps:
        _draw_context(tree, found, first)
    return tree


def _draw_node(branch: Tree, node: Origin, first: Origins | None) -> None:
    for step in node.steps[:MOST]:
        made = [i for i, call in enumerate(node.calls) if call.cell == step.cell]
        drawn = branch.add(_step(step))
        # Replies that stand in the answer are the best evidence: they come first.
        literal = sorted(set(made) & set(node.literal))
        shown = [*literal, *(i for i in made if i not in set(literal))][:MOST]
        for i in shown:
            drawn.add(_call(node.calls[i], i in literal, _given(first, i)))
        _more(drawn, len(made) - len(shown), "sub-call")
    _more(branch, len(node.steps) - MOST, "cell")
    if not node.steps:
        branch.add("[dim]no cell gave an answer[/]")


def _step(step: FlowStep) -> str:
    said = {
        "answer": "gave the answer",
        "bound": "made " + ", ".join(step.names[:6]) + (", …" if len(step.names) > 6 else ""),
        "shown": "showed what the answer says",
        "seen": "was read before the answer was written",
    }[step.why]
    reads = " · reads [italic]context[/]" if step.reads_context else ""
    return f"[cyan]cell {step.cell}[/] [dim]turn {step.turn}[/] · {_plain(said)}{reads}"


def _call(call: CallEnded, literal: bool, given: str) -> str:
    name = f"node {call.child}" if call.child else call.op
    if call.count > 1:
        name += f" {call.index + 1} of {call.count:,}"
    reply = shorten(one_line(str(call.reply)[:2000]), 80)
    stands = " [green]stands in the answer[/]" if literal else ""
    part = f" [dim]{_plain(given)}[/]" if given else ""
    return f"{_plain(name)} → {_plain(reply)}{stands}{part}"


def _given(found: Origins | None, index: int) -> str:
    """Return the first part of the context that a call was given, in words."""
    if found is None or found.covered is None or found.texts is None:
        return ""
    ranges: tuple[Range, ...] = found.covered.calls[index]
    if not ranges:
        return ""
    more = f" and {len(ranges) - 1:,} more" if len(ranges) > 1 else ""
    where, start, end = found.texts.place(ranges[0])
    return f"given {shorten(one_line(f'{where} '), 60).lstrip()}{start:,}–{end:,}{more}"


def _draw_context(tree: Tree, found: Origins, first: Origin) -> None:
    if found.covered is None:
        past = "; the cells read it themselves" if first.reads_context else ""
        tree.add(f"[bold]context[/] · parts not known: {_plain(str(found.unknown))}{past}")
        return
    covered = found.covered
    held = f"{covered.share:.1%} of it" if covered.spans else "nothing of it"
    parts = f" in {counted(len(covered.spans), 'part')}" if covered.spans else ""
    branch = tree.add(
        f"[bold]context[/] · the prompts held {held}{parts} [dim](approximate: exact matches)[/]"
    )
    largest = sorted(covered.spans, key=lambda span: span.start - span.end)[:MOST]
    for span in sorted(largest, key=covered.spans.index):
        branch.add(_plain(place(span)))
    _more(branch, len(covered.spans) - MOST, "part")
    if first.reads_context:
        branch.add(
            "[dim]cells on the way read the context themselves too: which part, is not known[/]"
        )


def place(span: Span) -> str:
    """``notes/a.txt · characters 10–90 · lines 2–4``"""
    lines = f"lines {span.first_line:,}–{span.last_line:,}"
    if span.first_line == span.last_line:
        lines = f"line {span.first_line:,}"
    where = [shorten(one_line(span.where), 80)] if span.where else []
    return " · ".join([*where, f"characters {span.start:,}–{span.end:,}", lines])


def _more(branch: Tree, number: int, noun: str) -> None:
    if number > 0:
        branch.add(f"[dim]and {counted(number, f'more {noun}')}[/]")


# -- for programs ---------------------------------------------------------------------------------
def as_json(
    found: Origins,
    evidence: Sequence[Evidence] = (),
    standing: Sequence[Evidence] = (),
    checks: Sequence[Checked] = (),
) -> dict[str, Any]:
    """Plain JSON data. Offsets are characters of the part of the context that ``where`` names."""
    covered = found.covered
    context = {"unknown": found.unknown} if covered is None else {
        "characters": covered.characters,
        "length": covered.length,
        "share": covered.share,
        "approximate": True,
        "spans": [dataclasses.asdict(span) for span in covered.spans],
    }  # fmt: skip
    return {
        "answer": found.nodes[0].answer if found.nodes else None,
        "evidence": [dataclasses.asdict(one) for one in evidence],
        "standing": [dataclasses.asdict(one) for one in standing],
        "checks": [dataclasses.asdict(one) for one in checks],
        "nodes": [_node(node, found if node is found.nodes[0] else None) for node in found.nodes],
        "context": context,
    }


def _node(node: Origin, first: Origins | None) -> dict[str, Any]:
    literal = set(node.literal)
    calls = [
        {
            "cell": call.cell,
            "call": call.call,
            "index": call.index,
            "op": call.op,
            "child": call.child,
            "stands_in_the_answer": i in literal,
            **_ranges(first, i),
        }
        for i, call in enumerate(node.calls)
    ]
    return {
        "node": node.node,
        "answer": node.answer,
        "reads_context": node.reads_context,
        "steps": [dataclasses.asdict(step) for step in node.steps],
        "calls": calls,
    }


def _ranges(first: Origins | None, index: int) -> dict[str, Any]:
    if first is None or first.covered is None or first.texts is None:
        return {}
    places = map(first.texts.place, first.covered.calls[index])
    return {"given": [{"where": name, "start": at, "end": end} for name, at, end in places]}
