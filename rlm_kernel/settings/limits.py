"""The limits of a run, and the account of what it has spent.

``Limits`` is one frozen value; ``Ledger`` is the one account of the whole tree, and ``Budget`` that
of several runs together. Money, tokens and calls are reserved before a request is sent and settled
when it has ended, so that many requests in flight cannot overshoot together by more than their
estimates were wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import LimitReached, UsageError
from ..events import Usage
from .option import Face, Group, declared, options_of

_limit = partial(declared, group=Group.LIMIT, faces=Face.EVERY, metavar="N", least=0)


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


_DECLARED = options_of(Limits)
LIMITS = options_of(Limits, prefix="max_")
"""The limits as options, by the names that they are set by."""


@dataclass(frozen=True)
class CellLimits:
    """The limits of one cell, by those and by the LMs of the question that it is run for."""

    seconds: float = Limits.cell_seconds
    """Running time of an LM's cell; a human's has none."""
    prompt_chars: int = 400_000
    """The longest prompt of a sub-call."""
    batch: int = 10_000
    """The most prompts in one call."""
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


@dataclass
class Reservation:
    """The most that a request may use by our estimate, held until it is settled."""

    tokens: int
    cost: float


class Budget:
    """The limits of several runs together, beside those of each: US dollars, of which some may be
    ``spent`` already, and seconds from now on. Touched on their one event loop only."""

    def __init__(
        self, cost: float | None = None, seconds: float | None = None, *, spent: float = 0.0
    ) -> None:
        self.spent = spent
        self.unpriced = 0
        """Requests whose price is not known: no limit on cost holds for them."""
        self.reserved = 0.0
        self._cost = cost
        self._seconds = seconds
        self._started = time.monotonic()
        self._refused: LimitReached | None = None

    @property
    def seconds_left(self) -> float | None:
        if self._seconds is None:
            return None
        return self._started + self._seconds - time.monotonic()

    @property
    def reached(self) -> LimitReached | None:
        """The limit that was reached, if one was: a request was refused, or all is used up. Every
        request is refused from then on."""
        return self._refused or self.refusal(0.0)

    def refusal(self, cost: float) -> LimitReached | None:
        """Return the error of a request that may cost so much, None where it can be made."""
        left = self.seconds_left
        wanted = self.spent + self.reserved + cost
        if left is not None and self._seconds is not None and left <= 0:
            self._refused = _reached("total_seconds", self._seconds - left, self._seconds)
        elif self._cost is not None and (wanted > self._cost or self.spent >= self._cost):
            self._refused = _reached("total_cost", wanted, self._cost)
        return self._refused


def _reached(limit: str, spent: float, allowed: float) -> LimitReached:
    return LimitReached(limit, spent=spent, allowed=allowed)


class Ledger:
    """The account of what the whole tree has spent and reserved, for the run's event loop only.

    With a ``budget`` all of it is spent from there too.
    """

    def __init__(self, limits: Limits, budget: Budget | None = None) -> None:
        self.limits = limits
        self._budget = budget or Budget()
        self.usage = Usage()
        self.turns = 0
        self.calls = 0
        self.tripped: LimitReached | None = None
        self._reserved_tokens = 0
        self._reserved_cost = 0.0
        self._started = time.monotonic()
        self._seconds_before = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def seconds_left(self) -> float | None:
        own = None if self.limits.seconds is None else self.limits.seconds - self.seconds
        left = [seconds for seconds in (own, self._budget.seconds_left) if seconds is not None]
        return min(left, default=None)

    def carry(self, usage: Usage, turns: int, calls: int, seconds: float) -> None:
        """Begin with what was spent before the run was stopped."""
        self.usage, self.turns, self.calls = usage, turns, calls
        self._started -= seconds
        self._seconds_before = seconds

    def relimit(self, limits: Limits) -> None:
        """Let other limits hold from now on; one that was reached is looked at anew."""
        self.limits = limits
        self.tripped = None

    def trip(self, limit: str, spent: float, allowed: float) -> LimitReached:
        """Note that a limit was reached and return the error to raise. The first one stays."""
        return self._trip(_reached(limit, spent, allowed))

    def trip_time(self) -> LimitReached:
        """``trip`` for the time that is over: the run's own, or that of its budget."""
        own, over = self.limits.seconds, self._budget.refusal(0.0)
        if over is not None and (own is None or self.seconds < own):
            return self._trip(over)
        spent, before = self.seconds, self._seconds_before
        return self._trip(LimitReached("seconds", spent=spent, allowed=own or 0, before=before))

    def _trip(self, error: LimitReached) -> LimitReached:
        self.tripped = self.tripped or error
        return error

    def count_calls(self, count: int) -> None:
        """Book ``count`` sub-calls, all or none. Raises ``LimitReached``."""
        self._check_open()
        if self.calls + count > self.limits.calls:
            raise self.trip("calls", self.calls + count, self.limits.calls)
        self.calls += count

    def _check_open(self) -> None:
        if self.tripped is not None:
            raise self.tripped
        if self.seconds_left is not None and self.seconds_left <= 0:
            raise self.trip_time()

    @contextmanager
    def reserve(self, tokens: int, cost: float) -> Iterator[Reservation]:
        """Hold ``tokens`` and ``cost`` while a request is under way. Raises ``LimitReached``.

        The caller books what was really used with ``book``; the reservation ends either way.
        """
        self._check_open()
        limits = self.limits
        sum_tokens = self.usage.tokens + self._reserved_tokens + tokens
        if limits.tokens is not None and sum_tokens > limits.tokens:
            raise self.trip("tokens", sum_tokens, limits.tokens)
        sum_cost = self.usage.cost + self._reserved_cost + cost
        if limits.cost is not None and sum_cost > limits.cost:
            raise self.trip("cost", sum_cost, limits.cost)
        if (refused := self._budget.refusal(cost)) is not None:
            raise self._trip(refused)
        held = Reservation(tokens, cost)
        self._reserved_tokens += tokens
        self._reserved_cost += cost
        self._budget.reserved += cost
        try:
            yield held
        finally:
            self._budget.reserved -= held.cost
            self._reserved_tokens -= held.tokens
            self._reserved_cost -= held.cost

    def book(self, usage: Usage) -> None:
        """Add what a request used, failed attempts included. Never raises."""
        self.usage = self.usage + usage
        self._budget.spent += usage.cost
        self._budget.unpriced += usage.unpriced


@dataclass(frozen=True)
class Rate:
    """The price of a sandbox, in US dollars a second; not ``whole`` where the price of a part of it
    is not known."""

    known: float = 0.0
    whole: bool = True


class Rent:
    """The cost of a node's sandbox, booked as it grows."""

    def __init__(self, ledger: Ledger) -> None:
        self.usage = Usage()
        """All of it so far."""
        self._ledger = ledger

    def pay(self, seconds: float, rate: Rate) -> None:
        """For so many seconds more. What has no known price counts once."""
        unknown = int(not rate.whole and not self.usage.unpriced)
        due = Usage(cost=seconds * rate.known, unpriced=unknown)
        self.usage = self.usage + due
        self._ledger.book(due)
