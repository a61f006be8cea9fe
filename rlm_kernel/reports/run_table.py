"""A list of runs as a table on a terminal, as tab-separated lines, and as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ..events import Usage
from ..record.markdown import one_line, shorten
from ..record.numbers import counted, duration, money, spent
from ..record.summary import RUNNING
from .listing import DAMAGED, NEWER, Row, Totals, shown_time
from .terminal import print_sentence

MAX_UNREAD = 20  # whose reasons are told in full below a table
LONGEST_CELL = 400  # characters, before it is cut to its column
_STYLES = {"answered": "green", "failed": "red", DAMAGED: "bold red", RUNNING: "bold yellow"}
_GAP = "  "
LINES_HEAD = (
    "time", "status", "turns", "calls", "tokens", "cost", "seconds", "model", "path", "question",
    "answer", "note",
)  # fmt: skip


@dataclass(frozen=True)
class _Column:
    """``least`` is the width of a terminal from which it is shown, ``most`` its own."""

    name: str
    least: int
    most: int
    cell: Callable[[Row], str]
    right: bool = False


def _cost(usage: Usage | None, written: Callable[[float], str] = money) -> str:
    """Return the cost, with a plus where a part of the price is not known."""
    if usage is None:
        return "–"
    if usage.unpriced and not usage.cost:
        return "?"
    return written(usage.cost) + "+" * bool(usage.unpriced)


def _plain_cost(usage: Usage) -> str:
    return _cost(usage, lambda cost: f"{cost:.6f}".rstrip("0").rstrip("."))


def _plain_seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def _number(value: float | None, form: str = ",") -> str:
    return "–" if value is None else format(value, form)


def _named(path: Path) -> str:
    """Return a folder's name; of files, which have the same few names, the folder's too."""
    return "/".join(path.parts[-2:] if path.suffix in (".ipynb", ".jsonl") else path.parts[-1:])


_COLUMNS = (
    _Column("began", least=0, most=16, cell=lambda row: row.began_at),
    _Column("status", least=0, most=11, cell=lambda row: row.status),
    _Column("turns", least=90, most=9, cell=lambda row: _number(row.turns), right=True),
    _Column("calls", least=120, most=9, cell=lambda row: _number(row.calls), right=True),
    _Column("tokens", least=90, most=13, cell=lambda row: _number(row.tokens), right=True),
    _Column("cost", least=70, most=12, cell=lambda row: _cost(row.usage), right=True),
    _Column(
        "seconds", least=100, most=9, cell=lambda row: _number(row.seconds, ",.1f"), right=True
    ),
    _Column("model", least=150, most=24, cell=lambda row: row.model or "–"),
    _Column("run", least=0, most=32, cell=lambda row: _named(row.path)),
)
"""All but the question and the answer, which share what they leave."""


def render(rows: list[Row], whole: Totals, console: Console) -> None:
    """Print a line a run, cut to the width; then the totals, and why runs could not be read.

    Not by a table of rich, which takes five seconds for 2,000 runs.
    """
    columns = [column for column in _COLUMNS if console.width >= column.least]
    cells = [[_cell(column.cell(row)) for column in columns] for row in rows]
    widths = [_width(column, cells, at, console.width) for at, column in enumerate(columns)]
    rest = max(console.width - sum(widths) - len(_GAP) * (len(columns) + 1), 12)
    widths += [rest - rest * 2 // 5, rest * 2 // 5]
    right = [column.right for column in columns] + [False, False]
    head = [column.name for column in columns] + ["question", "answer"]
    _print_row(console, zip(head, widths, right, ["bold"] * len(head), strict=True))
    for row, known in zip(rows, cells, strict=True):
        styles = [_STYLES.get(row.status, "yellow") if c.name == "status" else "" for c in columns]
        texts = [*known, _cell(row.question or "–"), _cell(_answer(row))]
        sure = "" if row.confirmed and row.status != DAMAGED else "dim"
        _print_row(console, zip(texts, widths, right, [*styles, "", sure], strict=True))
    _print(console, _sum(whole), "bold")
    _tell_unread(rows, console)


def _cell(text: str) -> str:
    return one_line(text[:LONGEST_CELL])


def _width(column: _Column, cells: list[list[str]], at: int, whole: int) -> int:
    """Return a column's width: that of its widest cell, and at most a fifth of the terminal."""
    widest = max((cell_len(line[at]) for line in cells), default=0)
    return max(len(column.name), min(widest, column.most, whole // 5))


def _print_row(console: Console, cells: Iterable[tuple[str, int, bool, str]]) -> None:
    line = Text()
    for text, width, right, style in cells:
        line.append(_fitted(text, width, right=right), style)
        line.append(_GAP)
    line.rstrip()
    console.print(line, no_wrap=True, crop=True)


def _fitted(text: str, width: int, *, right: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)


def _answer(row: Row) -> str:
    """Return the answer, or why there is none."""
    if row.answer is None or row.status == DAMAGED:
        return note(row) or "–"
    return row.answer if row.confirmed else f"({row.answer})"


def _print(console: Console, text: str, style: str) -> None:
    print_sentence(console, one_line(text), style)


def note(row: Row) -> str:
    """Say why there is no sure answer; empty where there is one. A record does not tell whether its
    run goes on or was killed: when it was last written does."""
    if row.status != RUNNING:
        return row.note or ""
    return f"goes on or was killed; last written {shown_time(row.changed, '%Y-%m-%d %H:%M')}"


def _sum(whole: Totals) -> str:
    statuses = ", ".join(f"{number:,} {status}" for status, number in whole.statuses.items())
    return " · ".join(
        [
            f"{counted(whole.runs, 'run')}: {statuses}",
            counted(whole.turns, "turn"),
            counted(whole.calls, "call"),
            spent(whole.usage),
            duration(whole.seconds),
        ]
    )


def _tell_unread(rows: list[Row], console: Console) -> None:
    for status in (DAMAGED, NEWER):
        unread = [row for row in rows if row.status == status]
        for row in unread[:MAX_UNREAD]:
            _print(console, f"{status}: {row.path}: {shorten(row.note or '', 400)}", "red")
        if len(unread) > MAX_UNREAD:
            _print(console, f"and {len(unread) - MAX_UNREAD:,} more {status}", "red")


def lines(rows: list[Row], whole: Totals) -> Iterator[str]:
    """Yield tab-separated lines: a head, one a run with nothing cut, the totals. Numbers are plain;
    a cost of which a part is not known ends in a plus, and is ``?`` where nothing of it is."""
    yield "\t".join(LINES_HEAD)
    for row in rows:
        cost = row.usage and _plain_cost(row.usage)
        numbers = (row.turns, row.calls, row.tokens, cost, _plain_seconds(row.seconds))
        texts = (row.model, str(row.path), row.question, row.answer, note(row))
        yield _line(_iso(row.began), row.status, *numbers, *texts)
    used = whole.usage
    seconds = _plain_seconds(whole.seconds)
    sums = (whole.turns, whole.calls, used.tokens, _plain_cost(used), seconds)
    yield _line("all", "", *sums, "", "", "", "", _sum(whole))


def _line(*values: Any) -> str:
    return "\t".join("" if value is None else one_line(str(value)) for value in values)


def _iso(began: float | None) -> str | None:
    return None if began is None else datetime.fromtimestamp(began).isoformat(" ", "seconds")


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Return plain JSON data for programs."""
    return [dataclasses.asdict(row) | {"path": str(row.path), "note": note(row)} for row in rows]
