"""The sums of a batch: outcomes, medians, and the time that was worked."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..errors import UsageError
from .folder import ABOUT
from .results import RESULTS, TaskResult, read_results

OUTCOMES = (
    "right",
    "partly right",
    "wrong",
    "answered",
    "limit",
    "failed",
    "interrupted",
    "skipped",
)
"""``answered`` is an answer that nothing is known about."""


@dataclass(frozen=True)
class Results:
    """The results in a folder, in the order in which the runs ended, the skipped ones last."""

    folder: Path
    results: tuple[TaskResult, ...]

    def by_outcome(self) -> dict[str, list[TaskResult]]:
        """Return the results of each outcome that there is."""
        found: dict[str, list[TaskResult]] = {name: [] for name in OUTCOMES}
        for result in self.results:
            found[outcome(result)].append(result)
        return {name: each for name, each in found.items() if each}

    @property
    def cost(self) -> float:
        """Return the cost in US dollars, where prices are known."""
        return sum(result.cost or 0.0 for result in self.results)

    @property
    def scored(self) -> list[float]:
        """Return how right each scored answer was, from 0 to 1."""
        return [float(r.correct) for r in self.results if r.correct is not None]


def load(folder: str | Path = ".", sha256: str | None = None) -> Results:
    """Read the results of a batch. With the ``sha256`` of its tasks, or the beginning of it, as
    ``batch.json`` has it, they are first looked for in the working folder and beside the notebook
    that asks: folders move.

    Raises ``UsageError`` where there are none, ``RecordError`` for a damaged file.
    """
    here = os.environ.get("JPY_SESSION_NAME")  # Jupyter's servers set it to the notebook's path
    near = [Path.cwd(), *([Path(here).parent] if here else [])] if sha256 else []
    found = next((each for each in near if _is_of(each, sha256 or "")), Path(folder)).absolute()
    if not (found / RESULTS).exists():
        raise UsageError(
            f"{found}: there is no {RESULTS} here; batch.load(FOLDER) says where the folder is now"
        )
    results, _ = read_results(found / RESULTS)
    last = list({result.id: result for result in results}.values())
    return Results(found, tuple(sorted(last, key=lambda result: result.ended or float("inf"))))


def _is_of(folder: Path, sha256: str) -> bool:
    about = folder / ABOUT
    return about.is_file() and sha256 in about.read_text(encoding="utf-8", errors="replace")


def outcome(result: TaskResult) -> str:
    """Return the status, or for an answer that was scored whether it is right."""
    if result.status != "answered" or result.correct is None:
        return result.status
    if 0 < result.correct < 1:
        return "partly right"
    return "right" if result.correct else "wrong"


def median(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.median(known) if known else None


def percentile_90(values: Iterable[float]) -> float | None:
    known = list(values)
    if len(known) < 2:
        return known[0] if known else None
    return statistics.quantiles(known, n=10, method="inclusive")[-1]


@dataclass(frozen=True)
class WorkedSpan:
    """A run's start and end, in seconds of work: time in which no run was live is left out."""

    result: TaskResult
    start: float
    end: float


def spans(results: Sequence[TaskResult]) -> list[WorkedSpan]:
    """Return when each run was live, in the order in which the runs ended."""
    known = sorted((r.began, r.ended, n) for n, r in enumerate(results) if r.began and r.ended)
    made, idle, until = [], 0.0, 0.0
    for began, ended, n in known:
        if began > until:
            idle += began - until
            until = began
        until = max(until, ended)
        made.append(WorkedSpan(results[n], began - idle, max(ended, began) - idle))
    return sorted(made, key=lambda span: span.end)


def live_on_average(worked: Sequence[WorkedSpan], edges: Sequence[float]) -> list[float]:
    """Return how many runs were live between each two of the edges, which are ascending."""
    return [
        sum(max(min(span.end, end) - max(span.start, start), 0.0) for span in worked)
        / (end - start)
        for start, end in pairwise(edges)
    ]
