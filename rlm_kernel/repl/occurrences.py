"""Which of a cell's equal calls is which: by the order in which they came."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from .protocol import Call, identity


class CallId(NamedTuple):
    """The identity of a call among all of its node. ``occurrence`` counts the cell's calls with the
    same ``key``, from 0."""

    cell: int
    key: str
    occurrence: int


class Occurrences:
    """Counts the calls of one node as they come."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, str]] = Counter()

    def take(self, call: Call) -> CallId:
        """Count the call and return what it is known by."""
        key = identity(call)
        taken = CallId(call.cell, key, self._seen[call.cell, key])
        self._seen[call.cell, key] += 1
        return taken

    @property
    def total(self) -> int:
        """Return how many calls were counted."""
        return self._seen.total()
