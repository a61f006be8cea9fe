"""The results as a table: each work in a row, ours first, the peer's with our share of it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

Measured = dict[str, float]


@dataclass(frozen=True)
class Row:
    """``ours`` and ``peer`` are the names of the numbers; ``unit`` is s, MB or a noun."""

    work: str
    ours: str
    peer: str
    unit: str = "s"


def _same(work: str, name: str, unit: str = "s") -> Row:
    return Row(work, name, name, unit)


ROWS = (
    _same("a new process: start, imports, completion of 3 turns", "first_process"),
    _same("completion of 3 turns, LM of zero latency", "completion"),
    _same("completion of 101 turns", "long"),
    _same("environment ready with its context", "setup"),
    _same("one trivial cell", "cell"),
    _same("one `llm_query` of 100 bytes", "query_100"),
    _same("one `llm_query` of 10 MB", "query_10mb"),
    Row("a batch of 1000 at 100 ms over HTTP, 64 in flight (peer: 16)", "batch_64", "batch"),
    Row("the same, 256 in flight", "batch_256", "batch"),
    Row("replies lost of the 2000 of two batches, 64 in flight", "lost_64", "lost", "lost"),
    Row("the same, 256 in flight", "lost_256", "lost", "lost"),
    _same("environment ready with a context of 100 MB", "large_load"),
    _same("completion of 1 turn over 100 MB", "large"),
    _same("5 children one after another", "children"),
    _same("200 turns that print 20 kB each, recorded", "record_time"),
    _same("the record of them", "record_bytes", "MB"),
)

OUTER = (
    _same("start to the first result", "outer_start"),
    _same("one trivial cell", "outer_cell"),
    _same("a cell that prints 1 MB", "outer_print"),
    _same("a completion", "outer_complete"),
    _same("memory of all processes", "outer_memory", "MB"),
    _same("shutdown", "outer_shutdown"),
)
"""The kernel RLM beside plain ipykernel."""

DOCKER = (
    _same("environment ready with its context", "setup"),
    _same("one trivial cell", "cell"),
    _same("one `llm_query` of 100 bytes", "query_100"),
    _same("environment ready with a context of 100 MB", "large_load"),
    _same("a trivial cell after that", "large_cell"),
)
"""In containers."""

MODAL = (
    *DOCKER[:3],
    _same("10 threads, one `llm_query` each, LM of 100 ms", "threads"),
    *DOCKER[3:],
)
"""In sandboxes at Modal."""


def shown(number: float | None, unit: str) -> str:
    if number is None:
        return "–"
    if unit == "MB":
        return f"{number / 1e6:,.1f} MB"
    if unit != "s":
        return f"{number:,.0f}"
    return f"{number:,.2f} s" if number >= 1 else f"{number * 1000:,.3g} ms"


def _beside(ours: float | None, theirs: float | None, unit: str) -> str:
    text = shown(theirs, unit)
    if ours is None or not theirs or unit == "lost":
        return text
    ratio = ours / theirs
    return f"{text} (×{ratio:,.0f})" if ratio >= 10 else f"{text} (×{ratio:.2g})"


def cells(
    ours: Measured, peers: dict[str, Measured], table: tuple[Row, ...] = ROWS
) -> list[list[str]]:
    """The head and the rows. In brackets is ours divided by the peer's: under 1 ours is less."""
    head = ["work", "ours", *peers]
    rows = [
        [
            row.work,
            shown(ours.get(row.ours), row.unit),
            *(_beside(ours.get(row.ours), p.get(row.peer), row.unit) for p in peers.values()),
        ]
        for row in table
        if row.ours in ours or any(row.peer in peer for peer in peers.values())
    ]
    return [head, *rows]


def markdown(rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]])


def draw(rows: list[list[str]], console: Console) -> None:
    table = Table()
    for index, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if index else "left")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)
