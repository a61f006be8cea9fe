"""A comparison of two runs as a person reads it, and as plain data."""

from __future__ import annotations

import dataclasses
from itertools import takewhile
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..record.markdown import one_line, shorten
from ..record.numbers import counted, duration, money
from .comparable_run import ComparableRun
from .compare import Comparison, NodePair, Pair
from .first_difference import Parting

MAX_LINES = 8  # of each side, where two runs part
MAX_CHARS = 300  # of a line
MAX_ROWS = 20  # of nodes and problems


def render(a: ComparableRun, b: ComparableRun, found: Comparison, console: Console) -> None:
    """Print what matters first; the verdict stands last."""
    for name, course in (("A", a), ("B", b)):
        _say(console, f"{name}: {course.path}", "bold")
    for pair in found.asked:
        _asked(console, pair)
    console.print(_table(found.outcome, found.used))
    for name, pairs in (("settings", found.settings), ("versions", found.versions)):
        if pairs:
            _say(console, f"{name} that differ", "bold")
            console.print(_table(pairs, ()))
    if found.parting is not None:
        _part(console, found.parting)
    _nodes(console, found.nodes)
    for name, course in (("A", a), ("B", b)):
        _list(console, f"problem in {name}: ", course.problems, "red")
    _list(console, "note: ", found.notes, "yellow")
    if found.same:
        _say(console, "the same in what matters", "bold green")
    else:
        _say(console, f"different: {', '.join(found.different)}", "bold red")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(one_line(text), style), soft_wrap=True)


def _list(console: Console, before: str, texts: tuple[str, ...], style: str) -> None:
    for text in texts[:MAX_ROWS]:
        _say(console, before + shorten(text, MAX_CHARS), style)
    if len(texts) > MAX_ROWS:
        _say(console, f"{before}and {len(texts) - MAX_ROWS:,} more", style)


def _asked(console: Console, pair: Pair) -> None:
    if pair.same:
        unsure = isinstance(pair.a, dict) and pair.a["sha256"] is None
        same = "perhaps the same" if unsure else "the same"
        _say(console, f"{pair.name}, {same}: {_value(pair.name, pair.a)}")
        return
    for name, value in (("A", pair.a), ("B", pair.b)):
        _say(console, f"{pair.name} of {name}: {_value(pair.name, value)}", "red")


def _value(name: str, value: Any) -> str:
    if value is None:
        return "unknown" if name == "cost" else "–"
    if isinstance(value, dict):  # a context
        size = "" if value["size"] is None else f", {value['size']:,} bytes"
        digest = "no copy of it" if value["sha256"] is None else f"sha256 {value['sha256'][:16]}…"
        return f"{value['kind']}{size}, {digest}"
    if isinstance(value, int | float):
        return _number(name, value)
    return one_line(shorten(str(value), MAX_CHARS))


def _number(name: str, value: float) -> str:
    if name == "seconds":
        return duration(value)
    return money(value) if name == "cost" else f"{value:,}"


def _table(words: tuple[Pair, ...], numbers: tuple[Pair, ...]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=bool(numbers), header_style="bold")
    table.add_column("")
    table.add_column("A", overflow="fold")
    table.add_column("B", overflow="fold")
    table.add_column("difference" if numbers else "", justify="right")
    for pair in (*words, *numbers):
        sides = (Text(_value(pair.name, side)) for side in (pair.a, pair.b))
        table.add_row(
            Text(one_line(pair.name)), *sides, _difference(pair) if pair in numbers else ""
        )
    return table


def _difference(pair: Pair) -> str:
    if pair.a is None or pair.b is None:
        return ""
    if pair.same:
        return "="
    by = _number(pair.name, abs(pair.b - pair.a))
    if by == _number(pair.name, 0):
        return "≈"
    return ("+" if pair.b > pair.a else "−") + by


def _part(console: Console, parting: Parting) -> None:
    node = parting.node_a
    if parting.node_b != parting.node_a:
        node += f" (in B {parting.node_b})"
    turn = "" if parting.turn is None else f", turn {parting.turn}"
    cell = "" if parting.cell is None else f", cell {parting.cell}"
    _say(console, f"they first differ in node {node}{turn}{cell}: {parting.what}", "bold")
    beginning = _common_lines(parting.a or "", parting.b or "")
    for name, text, style in (("A", parting.a, "red"), ("B", parting.b, "green")):
        _excerpt(console, name, text, beginning, style)


def _common_lines(a: str, b: str) -> int:
    """Count the first lines that are equal, less one that is shown for orientation."""
    pairs = zip(a.splitlines(), b.splitlines(), strict=False)
    return max(0, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) - 1)


def _excerpt(console: Console, name: str, text: str | None, skipped: int, style: str) -> None:
    lines = ["(nothing)"] if text is None else text.splitlines()
    if skipped:
        lines = [f"({counted(skipped, 'equal line')} before)", *lines[skipped:]]
    more = len(lines) - MAX_LINES
    if more > 0:
        lines = [*lines[:MAX_LINES], f"({counted(more, 'more line')})"]
    for line in lines or ["(empty)"]:
        shown = shorten(_printed(line), MAX_CHARS)
        console.print(Text(f"  {name} │ {shown}", style), soft_wrap=True)


def _printed(line: str) -> str:
    """Return the line with its indentation, and nothing that a terminal would obey."""
    body = line.lstrip(" ")
    return " " * (len(line) - len(body)) + one_line(body)


def _nodes(console: Console, nodes: tuple[NodePair, ...]) -> None:
    for pair in nodes[:MAX_ROWS]:
        _say(console, _node(pair), "dim")
    if len(nodes) > MAX_ROWS:
        _say(console, f"and {counted(len(nodes) - MAX_ROWS, 'more node')}", "dim")


def _node(pair: NodePair) -> str:
    if pair.a is None or pair.b is None:
        return f"node {pair.a or pair.b}: only in {'B' if pair.a is None else 'A'}"
    name = pair.a if pair.a == pair.b else f"{pair.a} (in B {pair.b})"
    if pair.cells_a is None or pair.cells_b is None:
        return f"node {name}: its cells are not known in {'A' if pair.cells_a is None else 'B'}"
    rest = pair.cells_a - pair.same, pair.cells_b - pair.same
    then = f", then {rest[0]} in A and {rest[1]} in B" if any(rest) else ""
    return f"node {name}: {counted(pair.same, 'cell')} the same{then}"


def as_json(a: ComparableRun, b: ComparableRun, found: Comparison) -> dict[str, Any]:
    """Return plain JSON data for programs."""
    return {
        "same": found.same,
        "different": list(found.different),
        "a": _side(a),
        "b": _side(b),
        "asked": _by_name(found.asked),
        "outcome": _by_name(found.outcome),
        "used": _by_name(found.used),
        "settings": _by_name(found.settings),
        "versions": _by_name(found.versions),
        "parting": dataclasses.asdict(found.parting) if found.parting else None,
        "nodes": [dataclasses.asdict(pair) for pair in found.nodes],
        "not_compared": list(found.notes),
    }


def _side(course: ComparableRun) -> dict[str, Any]:
    return {
        "run": course.tree.run,
        "path": str(course.path),
        "source": str(course.source),
        "record": course.record,
        "problems": list(course.problems),
    }


def _by_name(pairs: tuple[Pair, ...]) -> dict[str, Any]:
    return {pair.name: {"a": pair.a, "b": pair.b, "same": pair.same} for pair in pairs}
