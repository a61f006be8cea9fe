"""Checks of maps whose error is known: how often the intervals hold, and how near the counts are.

    python -m tests.bench.checks [SEEDS]

Each line is a table with an error by construction, checked once with each seed by a judge who is
always right: in how many of the checks the 95 % intervals of all shares, and of the accuracy, held
the truth (of the value where it was least often), the mean distance of the map's own counts and of
the corrected ones from the true ones, in rows, and how often the corrected count was nearer.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rlm_kernel.remote.guest.maps.checks import Checker
from rlm_kernel.remote.guest.maps.intervals import Measured
from rlm_kernel.remote.guest.maps.items import cut
from rlm_kernel.remote.guest.maps.map import Map

SEEDS = 100


@dataclass(frozen=True)
class Error:
    """The error of a map: how often each label is true, and how often each is given then."""

    name: str
    true: Mapping[str, float]
    given: Mapping[str, Mapping[str, float]]
    biased: bool = True
    """True where the map's own counts are wrong by more than the noise of a check."""

    def table(self, rows: int) -> tuple[list[str], list[str]]:
        """Return the true label and the given one of each row."""
        chance = random.Random(f"{self.name} {rows}")
        true = _drawn(chance, self.true, rows)
        return true, [_drawn(chance, self.given[label], 1)[0] for label in true]


def _drawn(chance: random.Random, shares: Mapping[str, float], count: int) -> list[str]:
    return chance.choices([*shares], [*shares.values()], k=count)


def _two(spam: float, missed: float, wrongly: float) -> dict[str, Any]:
    given = {
        "spam": {"spam": 1 - missed, "ham": missed},
        "ham": {"spam": wrongly, "ham": 1 - wrongly},
    }
    return {"true": {"spam": spam, "ham": 1 - spam}, "given": given}


_SIX = dict.fromkeys("abcdef", 1 / 6)
_RARE = {"a": 0.02, "b": 0.08, "c": 0.9}
ERRORS = (
    Error("false alarms", **_two(0.17, 0.0, 0.18)),
    Error("missed", **_two(0.3, 0.45, 0.0)),
    Error("both ways", **_two(0.17, 0.2, 0.2)),
    Error("chance alone", **_two(0.25, 0.5, 0.5)),
    Error("errors that cancel", **_two(0.5, 0.2, 0.2), biased=False),
    Error("no error", **_two(0.17, 0.0, 0.0), biased=False),
    Error(
        "six labels, one drawn to",
        _SIX,
        {label: {label: 0.6, "a": 0.4} if label != "a" else {"a": 1} for label in _SIX},
    ),
    Error(
        "six labels, even",
        _SIX,
        {label: {**dict.fromkeys(_SIX, 0.06), label: 0.7} for label in _SIX},
        biased=False,
    ),
    Error(
        "rare labels",
        _RARE,
        {"a": {"a": 0.7, "c": 0.3}, "b": {"b": 0.7, "c": 0.3}, "c": {"c": 0.95, "a": 0.05}},
        biased=False,
    ),
)
SIZES = ((60, 40), (200, 40), (1000, 40), (1000, 100), (5000, 40))
"""Rows of the table, and of those the rows checked."""


@dataclass(frozen=True)
class Found:
    """The outcome for one table: of the checks, how many had intervals that held."""

    held: int
    accuracy_held: int
    off_given: float
    off_corrected: float
    nearer: float


def trial(error: Error, rows: int, drawn: int, seeds: int = SEEDS) -> Found:
    """Check a table once with each seed."""
    true, given = error.table(rows)
    truth, own = Counter(true), Counter(given)
    right = sum(one == other for one, other in zip(true, given, strict=True)) / rows
    asked = _mapped(given, [*error.true])

    def line(question: str) -> str:
        return true[int(question.split()[2].rstrip(","))]

    names = [f"{error.name} {rows} {seed}" for seed in range(seeds)]
    checks = [Checker(asked, line, _nobody, _kept).check(drawn, "human", name) for name in names]
    held = [
        sum(_holds(check.shares[label], truth[label] / rows) for check in checks)
        for label in error.true
    ]
    before = sum(abs(own[label] - truth[label]) for label in error.true)
    after = [sum(abs(c.counts[label].value - truth[label]) for label in error.true) for c in checks]
    return Found(
        held=min(held),
        accuracy_held=sum(_holds(check.accuracy, right) for check in checks),
        off_given=before / len(error.true),
        off_corrected=fmean(after) / len(error.true),
        nearer=fmean(float(off < before) for off in after),
    )


def _mapped(given: Sequence[str], labels: list[str]) -> Map:
    """Return a map that gave these values."""
    made = Map("Which?", labels).over(cut([f"item {at}" for at in range(len(given))]))
    for row, value in zip(made.table.rows, given, strict=True):
        row.value, row.state = value, "ok"
    return made


def _holds(measured: Measured, truth: float) -> bool:
    return measured.low - 1e-9 <= truth <= measured.high + 1e-9


def _kept(told: dict[str, Any]) -> None:
    """Record nothing."""


def _nobody(asked: Map, model: str) -> Any:
    raise AssertionError("a human is asked")


def main(seeds: int) -> None:
    """Print the table."""
    head = ("rows", "checked", "held", "accuracy", "map off", "corrected", "nearer")
    print(f"{'error':26}", *(f"{name:>10}" for name in head), sep="")
    for error in ERRORS:
        for rows, drawn in SIZES:
            found = trial(error, rows, drawn, seeds)
            print(
                f"{error.name:26}{rows:10}{drawn:10}{found.held:10}{found.accuracy_held:10}"
                f"{found.off_given:10.1f}{found.off_corrected:10.1f}{found.nearer:10.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS)
