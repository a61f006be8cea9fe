"""The limits of a run, of a cell, and how each is set."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import UsageError
from .option import Cap, Face, Group, declared, options_of

_limit = partial(declared, group=Group.LIMIT, faces=Face.EVERY, metavar="N", least=0, cap=Cap.MOST)


@dataclass(frozen=True)
class Limits:
    """The limits of one run, over its whole tree unless it says otherwise.

    ``depth`` 0 makes every ``rlm_query`` a plain sub-call; ``cell_seconds`` stand still while the
    cell waits for an LM. Raises ``UsageError`` for a value out of range. ``None`` for ``tokens``,
    ``cost`` or ``seconds`` lifts that limit.
    """

    turns: int = _limit(20, "LM replies in each node", least=1)
    depth: int = _limit(1, "levels of children", from_record=True)
    calls: int = _limit(2000, "sub-calls and children")
    tokens: int | None = _limit(5_000_000, "tokens, in and out")
    cost: float | None = _limit(5.0, "US dollars, where prices are known")
    seconds: float | None = _limit(3600.0, "seconds for the run")
    cell_seconds: float = _limit(120.0, "running seconds of a cell")
    in_flight: int = _limit(64, "requests in flight", least=1, faces=Face.NOTEBOOK)
    kernels: int = _limit(8, "live children at each depth", least=1, faces=Face.NOTEBOOK)

    def __post_init__(self) -> None:
        for name, option in _DECLARED.items():
            value = getattr(self, name)
            if value is None and option.optional:
                continue
            right = isinstance(value, int if option.kind is int else (int, float))
            if not right or isinstance(value, bool) or not value >= option.least:
                none = " or None" if option.optional else ""
                raise UsageError(f"limit {name}={value!r}: give {option.wanted}{none}")


_AMOUNTS = ("spent", "wanted", "allowed")
_REASON = re.compile(
    r"limit reached: (?P<limit>\w+): spent (?P<spent>[\d,.]*\d)"
    r"(?:, wanted (?P<wanted>[\d,.]*\d) more)?, allowed (?P<allowed>[\d,.]*\d)"
)
"""The text of ``errors.LimitReached``."""
_DECLARED = options_of(Limits)
LIMITS = options_of(Limits, prefix="max_")
"""The limits as options, by the names that they are set by."""


def limit_raised(reason: str) -> str:
    """Return the option that doubles the limit that ended a run for this ``reason``, as it is
    written, or doubles what was wanted where the limit is far from that; empty where there is
    none."""
    found = _REASON.match(reason)
    option = LIMITS.get(f"max_{found['limit']}") if found else None
    if found is None or option is None:
        return ""
    spent, wanted, allowed = (float((found[n] or "0").replace(",", "")) for n in _AMOUNTS)
    enough = spent + wanted <= 1.5 * allowed  # since a quarter may be kept for a last turn
    return f"--{option.flag} {2 * (allowed if enough else spent + wanted):.12g}"


@dataclass(frozen=True)
class CellLimits:
    """The limits of one cell, by those and by the LMs of the question that it is run for."""

    seconds: float = Limits.cell_seconds
    """Running time of an LM's cell; a human's has none."""
    prompt_chars: int = 400_000
    """The longest prompt of a sub-call."""
    batch: int = 10_000
    """The most prompts in one call."""
    ahead: bool = False
    """Whether a loop of an LM's cell may ask about as many items ahead of their turn."""
    left: Callable[[], float] = lambda: math.inf
    """Returns the seconds after which an LM's cell is stopped, though it waits."""
    wanted: dict[str, Any] | None = None
    """The form that an answer of its must have, as ``inputs.forms`` records it; None: any."""

    def again(self, status: str, seconds: float) -> float:
        """Return the seconds that a cell has when it runs again.

        It ended with ``status`` after ``seconds`` (0 where that is not known), perhaps under
        another question's limit: one that was stopped is stopped then again, any other has at least
        twice its time.
        """
        if status == "timeout" and seconds:
            return min(self.seconds, seconds)
        return max(self.seconds, 2 * seconds)
