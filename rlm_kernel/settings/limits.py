"""The limits of a run, and the account of what it has spent.

``Limits`` is one frozen value (see ``limit_options``); ``Ledger`` is the one account of the whole
tree, and ``Budget`` that of several runs together. Money, tokens and calls are reserved before a
request is sent and settled when it has ended, so that many requests in flight cannot overshoot
together by more than their estimates were wrong. A part of tokens, money and time is kept for a
last turn of each node, in which it finishes with what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import LimitReached
from ..events import Usage
from .limit_options import LIMITS, CellLimits, Limits

__all__ = ["LIMITS", "Budget", "CellLimits", "Ledger", "Limits", "Rate", "Rent", "Reservation"]

KEPT_SHARE = 0.25
"""The most of tokens and money that is kept for last turns."""
KEPT_SECONDS_SHARE = 0.2
KEPT_SECONDS = 120.0
"""The time that is kept for last turns: this share of the run's, so many seconds at most."""


@dataclass
class Reservation:
    """The most that a request may use by our estimate, held until it is settled."""

    tokens: int
    cost: float


class Budget:
    """The limits of several runs together, beside those of each: US dollars, of which some may be
    ``spent`` already, tokens, and seconds from now on. Touched on their one event loop only."""

    def __init__(
        self,
        cost: float | None = None,
        seconds: float | None = None,
        *,
        tokens: int | None = None,
        spent: float = 0.0,
    ) -> None:
        self.spent = spent
        self.tokens = 0
        """Those of requests that have ended, and of those that are under way at most."""
        self.unpriced = 0
        """Requests whose price is not known: no limit on cost holds for them."""
        self.reserved = 0.0
        self._cost = cost
        self._tokens = tokens
        self._seconds = seconds
        self._started = time.monotonic()
        self._refused: LimitReached | None = None

    @property
    def is_open(self) -> bool:
        """True where it bounds nothing."""
        return self._cost is None and self._tokens is None and self._seconds is None

    @property
    def seconds_left(self) -> float | None:
        if self._seconds is None:
            return None
        return self._started + self._seconds - time.monotonic()

    @property
    def cost_left(self) -> float | None:
        if self._cost is None:
            return None
        return max(0.0, self._cost - self.spent - self.reserved)

    @property
    def tokens_left(self) -> int | None:
        return None if self._tokens is None else max(0, self._tokens - self.tokens)

    @property
    def reached(self) -> LimitReached | None:
        """The limit that was reached, if one was: a request was refused, or all is used up. Every
        request is refused from then on."""
        return self._refused or self.refusal(0.0)

    def refusal(self, cost: float, tokens: int = 0) -> LimitReached | None:
        """Return the error of a request that may cost so much, None where it can be made."""
        left, wanted, most = self.seconds_left, self.reserved + cost, self._cost
        if left is not None and self._seconds is not None and left <= 0:
            spent = self._seconds - left
            self._refused = LimitReached("total_seconds", spent=spent, allowed=self._seconds)
        elif most is not None and (self.spent + wanted > most or self.spent >= most):
            self._refused = LimitReached(
                "total_cost", spent=self.spent, allowed=most, wanted=wanted
            )
        elif self._tokens is not None and self.tokens + max(tokens, 1) > self._tokens:
            self._refused = LimitReached(
                "total_tokens", spent=self.tokens, allowed=self._tokens, wanted=tokens
            )
        return self._refused


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
        self._reserved = Reservation(0, 0.0)
        self._kept: dict[str, Reservation] = {}
        self._started = time.monotonic()
        self._seconds_before = 0.0
        self._stood: float | None = None
        """When the clock was stopped, if it is."""

    @property
    def seconds(self) -> float:
        """The time of the run so far, without what a human thought."""
        now = time.monotonic() if self._stood is None else self._stood
        return now - self._started

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let the run's own time stand still in the body. Not to be nested."""
        self._stood = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - self._stood
            self._stood = None

    @property
    def seconds_left(self) -> float | None:
        own = None if self.limits.seconds is None else self.limits.seconds - self.seconds
        left = [seconds for seconds in (own, self._budget.seconds_left) if seconds is not None]
        return min(left, default=None)

    @property
    def left(self) -> dict[str, float | None]:
        """Return what may still be used of calls, tokens, cost and seconds, by these names; None
        where there is no limit."""
        limits, usage, held = self.limits, self.usage, self._reserved
        own = None if limits.cost is None else limits.cost - usage.cost - held.cost
        costs = [cost for cost in (own, self._budget.cost_left) if cost is not None]
        mine = None if limits.tokens is None else limits.tokens - usage.tokens - held.tokens
        tokens = [count for count in (mine, self._budget.tokens_left) if count is not None]
        left = {
            "calls": limits.calls - self.calls,
            "tokens": min(tokens, default=None),
            "cost": min(costs, default=None),
            "seconds": self.seconds_left,
        }
        return {n: None if v is None else max(0, round(v, 6)) for n, v in left.items()}

    def carry(self, usage: Usage, turns: int, calls: int, seconds: float) -> None:
        """Begin with what was spent before the run was stopped."""
        self.usage, self.turns, self.calls = usage, turns, calls
        self._started -= seconds
        self._seconds_before = seconds

    def relimit(self, limits: Limits) -> None:
        """Let other limits hold from now on; one that was reached is looked at anew."""
        self.limits = limits
        self.tripped = None

    # last turns
    def keep(self, node: str, used: Usage) -> None:
        """Keep for the last turn of a node twice what its last request ``used``."""
        self._kept[node] = Reservation(2 * used.tokens, 2 * used.cost)

    def release(self, node: str) -> None:
        """Keep nothing for a node any more: it has ended."""
        self._kept.pop(node, None)

    def _kept_from(self, node: str | None) -> Reservation:
        """Return what a request may not use: what is kept for the last turns of other nodes than
        the one whose own it is."""
        others = [kept for name, kept in self._kept.items() if name != node]
        tokens, cost = sum(each.tokens for each in others), sum(each.cost for each in others)
        return Reservation(
            min(tokens, int((self.limits.tokens or 0) * KEPT_SHARE)),
            min(cost, (self.limits.cost or 0.0) * KEPT_SHARE),
        )

    def seconds_to_work(self, depth: int) -> float | None:
        """Return the seconds until a node at this depth is to finish, None without an end.

        Children are to finish before their parents, who can use their answers then.
        """
        whole = self.limits.seconds
        return None if whole is None else whole - self.seconds - self._seconds_kept(depth)

    def _seconds_kept(self, depth: int) -> float:
        whole = self.limits.seconds or 0.0
        return min(KEPT_SECONDS, whole * KEPT_SECONDS_SHARE) * (2 - 0.5**depth)

    def cells_left(self, depth: int) -> Callable[[], float]:
        """Return what tells when a cell that starts now in a node at this depth is stopped: a
        little after its calls are refused. The last turn's cells are stopped by the end of the run,
        or of the child's call."""
        left, kept = self.seconds_to_work(depth), self._seconds_kept(0)
        if left is None or left <= 0:
            return CellLimits.left
        end = self.seconds + left + kept * 0.5**depth / 4
        return lambda: end - self.seconds

    def closed(self, depth: int) -> LimitReached | None:
        """Return the limit for which the next turn of a node at this depth is its last; None while
        there is none."""
        left = self.seconds_to_work(depth)
        return self.late(depth) if left is not None and left <= 0 else self.tripped

    def late(self, depth: int) -> LimitReached:
        """Return the limit for which a node at this depth is to finish, which is that of time where
        no other was reached."""
        return self.tripped or self._time_over(self._seconds_kept(depth))

    # what is refused
    def trip_time(self) -> LimitReached:
        """Note that the time is over, the run's own or that of its budget; return the error."""
        return self._trip(self._time_over(0.0))

    def _time_over(self, kept: float) -> LimitReached:
        own, over = self.limits.seconds, self._budget.refusal(0.0)
        if over is not None and (own is None or self.seconds < own):
            return over
        spent, before = self.seconds, self._seconds_before
        return LimitReached("seconds", spent=spent, allowed=own or 0, kept=kept, before=before)

    def _trip(self, error: LimitReached) -> LimitReached:
        self.tripped = self.tripped or error
        return error

    def count_calls(self, count: int) -> None:
        """Book ``count`` sub-calls, all or none. Raises ``LimitReached``; where it is that of calls
        the run goes on, since fewer may do."""
        self._check_open()
        spent, allowed = self.calls, self.limits.calls
        if spent + count > allowed:
            raise LimitReached("calls", spent=spent, allowed=allowed, wanted=count)
        self.calls += count

    def _check_open(self) -> None:
        if self.tripped is not None:
            raise self.tripped
        self._check_time()

    def _check_time(self) -> None:
        if self.seconds_left is not None and self.seconds_left <= 0:
            raise self.trip_time()

    @contextmanager
    def reserve(
        self, tokens: int, cost: float, last_of: str | None = None
    ) -> Iterator[Reservation]:
        """Hold ``tokens`` and ``cost`` while a request is under way. Raises ``LimitReached``.

        The caller books what was really used with ``book``; the reservation ends either way. That
        of a node's last turn, ``last_of``, may use what was kept for it.
        """
        if last_of is None:
            self._check_open()
        else:
            self._check_time()
        kept = self._kept_from(last_of)
        wanted = Reservation(self._reserved.tokens + tokens, self._reserved.cost + cost)
        limits, used = self.limits, self.usage
        self._check("tokens", used.tokens, wanted.tokens, kept.tokens, limits.tokens)
        self._check("cost", used.cost, wanted.cost, kept.cost, limits.cost)
        if (refused := self._budget.refusal(cost, tokens)) is not None:
            raise self._trip(refused)
        self._hold(tokens, cost)
        held = Reservation(tokens, cost)
        try:
            yield held
        finally:
            self._hold(-held.tokens, -held.cost)

    def _check(
        self, limit: str, spent: float, wanted: float, kept: float, allowed: float | None
    ) -> None:
        if allowed is not None and spent + wanted + kept > allowed:
            raise self._trip(
                LimitReached(limit, spent=spent, wanted=wanted, kept=kept, allowed=allowed)
            )

    def _hold(self, tokens: int, cost: float) -> None:
        self._reserved.tokens += tokens
        self._reserved.cost += cost
        self._budget.reserved += cost
        self._budget.tokens += tokens

    def book(self, usage: Usage) -> None:
        """Add what a request used, failed attempts included. Never raises."""
        self.usage = self.usage + usage
        self._budget.spent += usage.cost
        self._budget.tokens += usage.tokens
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
