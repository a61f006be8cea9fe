"""The tables of a batch's notebook, as Markdown. Reasons and answers are text of strangers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..record.markdown import literal, shorten, table
from ..record.numbers import counted, duration, money
from .results import TaskResult
from .summing import Results, median, percentile_90

MAX_FAILURES = 200
WORST_FIRST = ("failed", "interrupted", "limit", "wrong", "partly right")
_TRAJECTORY = re.compile(r"runs/[A-Za-z0-9_][A-Za-z0-9._-]*/trajectory\.ipynb")


@dataclass(frozen=True, repr=False)
class Markdown:
    """Text that a notebook shows as Markdown, and a terminal as it is."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def totals(results: Results) -> str:
    """Return one line: how many were answered, how many right, what it cost."""
    every = results.results
    statuses = [result.status for result in every]
    parts = [f"{statuses.count('answered'):,} of {counted(len(every), 'task')} answered"]
    if scored := results.scored:
        share = sum(scored) / len(scored)
        parts.append(f"{sum(scored):,.4g} of {len(scored):,} right ({share:.0%})")
    parts += [
        f"{statuses.count(status):,} {status}"
        for status in ("failed", "limit", "interrupted", "skipped")
        if status in statuses
    ]
    unpriced = sum(result.cost is None and result.tokens > 0 for result in every)
    cost = money(results.cost) if results.cost or not unpriced else "price unknown"
    parts.append(cost + (f" and {unpriced:,} unpriced" if results.cost and unpriced else ""))
    return " · ".join([*parts, f"{sum(result.tokens for result in every):,} tokens"])


def outcomes_table(results: Results) -> Markdown:
    """List each outcome with how many tasks had it, and what those cost and took."""
    head = ["outcome", "tasks:", "share:", "median cost, US$:", "90th percentile of cost:"]
    head += ["median time:", "90th percentile of time:", "median tokens:", "median turns:"]
    groups = [*results.by_outcome().items(), ("**all**", list(results.results))]
    rows = [_row(name, each, len(results.results)) for name, each in groups]
    return Markdown(table(head, rows))


def _row(name: str, group: list[TaskResult], whole: int) -> list[str]:
    ran = [result for result in group if result.status != "skipped"]
    costs = [result.cost for result in ran if result.cost is not None]
    seconds = [result.seconds for result in ran]
    tokens, turns = median(r.tokens for r in ran), median(r.turns for r in ran)
    return [
        name,
        f"{len(group):,}",
        f"{len(group) / max(whole, 1):.0%}",
        *(_money(value) for value in (median(costs), percentile_90(costs))),
        *(_time(value) for value in (median(seconds), percentile_90(seconds))),
        "–" if tokens is None else f"{tokens:,.0f}",
        "–" if turns is None else f"{turns:,.0f}",
    ]


def _money(value: float | None) -> str:
    return "–" if value is None else money(value).replace("$", "")


def _time(value: float | None) -> str:
    return "–" if value is None else duration(value)


def failures_table(results: Results) -> Markdown:
    """List what was not answered or is wrong, each with a link to its trajectory."""
    by_outcome = results.by_outcome()
    failed = [(name, result) for name in WORST_FIRST for result in by_outcome.get(name, ())]
    if not failed:
        return Markdown("No task failed, and no answer is known to be wrong.")
    rows = [_failure(name, result) for name, result in failed[:MAX_FAILURES]]
    more = len(failed) - MAX_FAILURES
    tail = f"\n\nand {more:,} more, in `results.jsonl`" if more > 0 else ""
    return Markdown(table(["task", "outcome", "what happened", "trajectory"], rows) + tail)


def _failure(name: str, result: TaskResult) -> list[str]:
    said = result.reason or f"answered {result.answer!r}, expected {result.expected!r}"
    path = result.trajectory or ""
    link = f"[open]({path})" if _TRAJECTORY.fullmatch(path) else "–"
    return [literal(shorten(result.id, 60)), name, literal(shorten(said, 240)), link]
