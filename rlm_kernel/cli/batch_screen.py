"""The progress of a batch on standard error: a bar at a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from ..batch import Counts, Results, Summary
from ..batch.summing import median, percentile_90
from ..batch.tables import totals
from ..record.numbers import counted, duration, money
from ..reports.terminal import live

EVERY_S = 10.0
_STYLES = {"right": "green", "wrong": "yellow", "failed": "red"}


class BatchScreen:
    """Call it with the counts whenever they change, from any thread; open it by ``with``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._said = self._began
        self._progress = Progress(
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            console=console,
            refresh_per_second=4,
            transient=True,
            disable=not console.is_terminal,
        )
        self._shown = ExitStack()
        self._bar = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._shown.enter_context(live(self._progress))
        return self

    def __exit__(self, *exc: object) -> None:
        self._shown.close()

    def __call__(self, counts: Counts) -> None:
        told = told_of(counts, time.monotonic() - self._began)
        self._progress.update(
            self._bar, completed=counts.done, total=counts.total, description=told
        )
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= EVERY_S:
            self._said = now
            self._console.print(told, markup=False, highlight=False, soft_wrap=True)


def told_of(counts: Counts, seconds: float) -> str:
    """``12/30 · 10 of 11 right · 1 failed · 14 a minute · $0.12 · 1 min 20 s left``"""
    new = counts.done - counts.before
    parts = [f"{counts.done:,}/{counts.total:,}", f"{counts.live:,} live"]
    if counts.scored:
        parts.append(f"{counts.right:,.4g} of {counts.scored:,} right")
    for status in ("failed", "limit"):
        if counts.statuses[status]:
            parts.append(f"{counts.statuses[status]:,} {status}")
    if new > 0 and seconds > 0:
        parts.append(f"{60 * new / seconds:,.3g} a minute")
    unpriced = (
        f" and {counted(counts.unpriced, 'request')} of unknown price, for which no limit on cost "
        "holds"
    )
    parts.append(money(counts.cost) + unpriced * bool(counts.unpriced))
    left = counts.total - counts.done
    if not left or (counts.stopping and not counts.live):
        parts.append("making the notebook")
    elif counts.stopping:
        parts.append("ending")
    elif new > 0:
        parts.append(f"{duration(seconds * left / new)} left")
    return " · ".join(parts)


def outcomes(results: Results) -> Table:
    """Return a table of how the tasks ended, what they cost and how long they took."""
    table = Table(box=None, pad_edge=False)
    table.add_column("outcome")
    for name in ("tasks", "cost", "median", "90th percentile"):
        table.add_column(name, justify="right")
    for name, group in results.by_outcome().items():
        seconds = [result.seconds for result in group if result.status != "skipped"]
        middle, high = median(seconds), percentile_90(seconds)
        known = [result.cost for result in group if result.cost is not None]
        cost = money(sum(known)) if known else "–"
        times = ["–" if value is None else duration(value) for value in (middle, high)]
        table.add_row(name, f"{len(group):,}", cost, *times, style=_STYLES.get(name))
    return table


def sentence(summary: Summary, counts: Counts) -> str:
    """Return what came of the batch, where its notebook is, and how to go on with it."""
    lines = ["nothing was left to run"] if counts.before == counts.total else []
    lines += [totals(summary.results)]
    lines += [] if summary.notebook is None else [f"notebook: {summary.notebook}"]
    if summary.without_outputs is not None:
        lines.append(f"the notebook was not executed to its end: {summary.without_outputs}")
    if summary.stopped is not None:
        why = (
            "interrupted" if summary.stopped == "interrupted" else f"{summary.stopped} was reached"
        )
        lines.append(f"{why}: the same command goes on with what is left")
    elif any(result.status in ("failed", "limit") for result in summary.results.results):
        lines.append("--retry-failed goes on with those that failed or reached a limit")
    return "\n".join(lines)
