"""The table of an evaluation: success with its interval, and what it took, by set, length and
system."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..batch import Results, TaskResult
from ..errors import UsageError
from ..record import files
from ..record.markdown import literal
from ..record.markdown import table as markdown
from ..record.numbers import duration, money
from .grid import BASELINES, OURS
from .lengths import parsed

Z = 1.959964
"""The standard deviations within which 95 % of a normal distribution lie."""
ALL = "all"
CSV, JSON = "scores.csv", "scores.json"
HALF = 0.5
HEAD = (
    "set", "length", "system", "tasks", "success (95 %)", "confidently wrong", "tokens", "calls",
    "time", "cost",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """The tasks of a set at a length, answered by a system.

    ``success`` is the mean score of those that have one, from 0 to 1, ``low`` and ``high`` bound
    its 95 % interval (Wilson's, which for scores between 0 and 1 is wider than need be).
    ``confident_wrong`` counts answers that were confirmed and are less than half right,
    ``unanswered`` the tasks without any. ``tokens``, ``calls`` (replies of the author included)
    and ``cost``, in US dollars and None where no price is known, are means of a task, ``seconds``
    the median.
    """

    set: str
    length: str
    system: str
    tasks: int
    success: float
    low: float
    high: float
    confident_wrong: int
    unanswered: int
    tokens: float
    calls: float
    seconds: float
    cost: float | None

    def cells(self) -> list[str]:
        """Return it as people read it, in the order of ``HEAD``."""
        interval = f"{100 * self.low:.0f}–{100 * self.high:.0f}"
        return [
            self.set, self.length, self.system, f"{self.tasks:,}",
            f"{self.success:.0%} ({interval})", f"{self.confident_wrong:,}",
            f"{self.tokens:,.0f}", f"{self.calls:,.1f}", duration(self.seconds),
            "–" if self.cost is None else money(self.cost),
        ]  # fmt: skip


def wilson(successes: float, count: int) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of a share."""
    if not count:
        return 0.0, 1.0
    share, weight = successes / count, Z * Z / count
    middle = (share + weight / 2) / (1 + weight)
    width = Z * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    # At 0 and 1 the share itself is the bound, but for the rounding.
    return max(0.0, min(middle - width, share)), min(1.0, max(middle + width, share))


def rows(results: Results) -> list[Row]:
    """Return a row for each set, length and system, and at the end those of all together."""
    ran = [each for each in results.results if each.correct is not None]
    groups = _grouped(ran, lambda r: (_of(r, "set"), _of(r, "length"), _of(r, "system", OURS)))
    made = [_row(key, group) for key, group in groups.items()]
    made.sort(key=_place)
    totals = _grouped(ran, lambda r: (_of(r, "system", OURS),))
    whole = [_row((ALL, ALL, *key), group) for key, group in totals.items()]
    return made + sorted(whole, key=_place)


def by_split(results: Results) -> list[Row]:
    """Return a row for each split and system, the split in the place of the set."""
    ran = [each for each in results.results if each.correct is not None and _of(each, "split")]
    groups = _grouped(ran, lambda r: (_of(r, "split"), _of(r, "system", OURS)))
    return sorted((_row((split, ALL, of), group) for (split, of), group in groups.items()),
                  key=_place)  # fmt: skip


def _of(result: TaskResult, name: str, default: str = "") -> str:
    return str(result.task.get(name, default))


def _grouped(
    results: Iterable[TaskResult], key: Callable[[TaskResult], tuple[str, ...]]
) -> dict[tuple[str, ...], list[TaskResult]]:
    groups: defaultdict[tuple[str, ...], list[TaskResult]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return groups


def _row(key: tuple[str, ...], group: Sequence[TaskResult]) -> Row:
    of, length, system = key
    scores = [float(each.correct or 0.0) for each in group]
    low, high = wilson(sum(scores), len(scores))
    costs = [each.cost for each in group if each.cost is not None]
    return Row(
        set=of,
        length=length,
        system=system,
        tasks=len(group),
        success=statistics.fmean(scores),
        low=low,
        high=high,
        confident_wrong=sum(_is_confident_wrong(each) for each in group),
        unanswered=sum(each.answer is None for each in group),
        tokens=statistics.fmean(each.tokens for each in group),
        calls=statistics.fmean(each.turns + each.calls for each in group),
        seconds=statistics.median(each.seconds for each in group),
        cost=statistics.fmean(costs) if len(costs) == len(group) else None,
    )


def _is_confident_wrong(result: TaskResult) -> bool:
    wrong = float(result.correct or 0.0) < HALF
    return wrong and result.confirmed and result.status == "answered"


def _place(row: Row) -> tuple[bool, str, int, int]:
    systems = (OURS, *BASELINES)
    system = systems.index(row.system) if row.system in systems else len(systems)
    return row.set == ALL, row.set, size_of(row.length), system


def size_of(length: str) -> int:
    """Return about how many characters a length is, 0 for what is none."""
    try:
        [found] = parsed(length)
    except UsageError:
        return 0
    return found.count * (4 if found.in_tokens else 1)


def as_markdown(made: Sequence[Row]) -> str:
    """Return rows as a table of Markdown."""
    head = [name if name in ("set", "length", "system") else f"{name}:" for name in HEAD]
    return markdown(head, [[literal(c) for c in row.cells()[:3]] + row.cells()[3:] for row in made])


def write(results: Results) -> tuple[Path, Path]:
    """Write the rows as CSV and as JSON into the folder; return where. Raises ``RecordError``."""
    made = [dataclasses.asdict(row) for row in rows(results)]
    told = io.StringIO()
    writer: Any = csv.DictWriter(told, [field.name for field in dataclasses.fields(Row)])
    writer.writeheader()
    writer.writerows(made)
    paths = results.folder / CSV, results.folder / JSON
    files.write(paths[0], told.getvalue().encode())
    files.write(paths[1], json.dumps(made, indent=1).encode() + b"\n")
    return paths
