"""Functions for queries that SQLite has not, and that models know from other databases."""

from __future__ import annotations

import re
import sqlite3
import statistics
from typing import Any, Optional

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:[T ](\d\d))?")


def add_to(database: sqlite3.Connection) -> None:
    """Give a database the functions."""
    for at, name in enumerate(("year", "month", "day", "hour"), 1):
        database.create_function(name, 1, _part(at), deterministic=True)
    database.create_function("regexp", 2, _regexp, deterministic=True)
    database.create_function("regexp_replace", 3, _regexp_replace, deterministic=True)
    database.create_function("split_part", 3, _split_part, deterministic=True)
    database.create_function("concat", -1, _concat, deterministic=True)
    database.create_function("extract", 3, _extract, deterministic=True)
    database.create_aggregate("median", 1, _Median)
    database.create_aggregate("stddev", 1, _Deviation)


def _part(at: int) -> Any:
    """Return the function that gives this part of a date, as a number; None where it has none."""

    def part(text: Any) -> Optional[int]:
        found = _DATE.match(str(text))
        return int(found.group(at)) if found and found.group(at) else None

    return part


def _regexp(pattern: Any, text: Any) -> Optional[bool]:
    return None if text is None else re.search(str(pattern), str(text)) is not None


def _regexp_replace(text: Any, pattern: Any, new: Any) -> Optional[str]:
    return None if text is None else re.sub(str(pattern), str(new), str(text))


def _split_part(text: Any, mark: Any, number: Any) -> Optional[str]:
    if text is None:
        return None
    parts = str(text).split(str(mark)) if mark else [str(text)]
    return parts[number - 1] if isinstance(number, int) and 0 < number <= len(parts) else ""


def _concat(*parts: Any) -> str:
    return "".join("" if part is None else str(part) for part in parts)


def _extract(text: Any, before: Any, behind: Any) -> Optional[str]:
    """Return what stands in a text between two others; None where they do not stand so."""
    _, found, rest = str(text).partition(str(before)) if before else ("", "-", str(text))
    inside, ended, _ = rest.partition(str(behind)) if behind else (rest, "-", "")
    return inside.strip() if found and ended else None


class _Figures:
    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: Any) -> None:
        if isinstance(value, (int, float)):
            self.values.append(value)


class _Median(_Figures):
    def finalize(self) -> Any:
        return statistics.median(self.values) if self.values else None


class _Deviation(_Figures):
    def finalize(self) -> Any:
        return statistics.stdev(self.values) if len(self.values) > 1 else None
