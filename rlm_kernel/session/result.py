"""The end of a run, as the one who asked is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..events import Status, Usage


@dataclass(frozen=True)
class Result:
    """The end of a run.

    ``response`` is the answer as text, ``value`` the same as plain JSON data and ``type`` the name
    of its Python type in the kernel; of a run whose ``status`` is not ``answered`` it is the best
    answer so far, unconfirmed, or None. ``reason`` says why there is no confirmed one. ``usage``
    sums the tree. ``trajectory`` is the root's notebook, in the run's folder. ``may_pass`` says of
    a run that failed that its cause may be gone a little later. ``unrecorded`` says why
    its record or a notebook of it is not on the disk, if so.
    """

    response: str | None
    status: Status
    confirmed: bool
    reason: str | None
    usage: Usage
    trajectory: Path
    question: str = ""
    may_pass: bool = False
    unrecorded: str | None = None
    value: Any = None
    type: str | None = None

    @property
    def cost(self) -> float | None:
        """US dollars; None where the price of a request is not known."""
        return None if self.usage.unpriced else self.usage.cost
