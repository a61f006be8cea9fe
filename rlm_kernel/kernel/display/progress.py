"""The progress of a run, in one line: how far it is, what it has used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from ...events import (
    ROOT,
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
    Usage,
)
from ...record.numbers import counted, duration, money, price, spent, unanswered, unheld


class Progress:
    """The totals over the whole tree, and how far the root is. ``now`` gives seconds, and ``began``
    is when the run began by it, where that is not when it is told so."""

    def __init__(self, now: Callable[[], float], began: float | None = None) -> None:
        self.model = ""
        self.turn = 0
        self.turns = 0
        self.calls = 0
        self.usage = Usage()
        self._settings: Mapping[str, Any] = {}
        self._limits: dict[str, Any] = {}
        self._prompted = False  # before it is the prelude, paid for in another run
        self._asked = 0
        self._done = 0
        self._before = 0  # were done when those under way began
        self._now = now
        self._began = began
        self._started = now()
        self._stood: float | None = None
        """When a cell began to wait for the human, while one does."""
        self._ends: Counter[str] = Counter()  # of children

    def add(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.model = str(event.settings.get("model") or "")
                self._settings = event.settings
                self._limits = event.settings.get("limits") or {}
                self._started = self._now() if self._began is None else self._began
            case NodeEnded() if event.node != ROOT:
                self._ends[event.status] += 1
            case Prompted():
                self._prompted = True
                self.turn = event.turn if event.node == ROOT else self.turn
            case Replied():
                self.usage += event.usage
                self.turns += event.node == ROOT and event.turn > 0
            case CellProposed():
                self._stood = self._now()
            case CellDecided():
                self._started += event.seconds
                self._stood = None
            case CallStarted():
                if self._done >= self._asked:
                    self._before = self._asked = self._done
                self._asked += event.count
            case CallEnded() if self._prompted:
                self._done += 1
                self.calls += event.op != "tool"
                self.usage += event.usage
            case (
                CallEnded()
                | NodeStarted()
                | ContextSet()
                | ReplyDelta()
                | CellStarted()
                | OutputMade()
                | CellRan()
                | KernelRestarted()
                | NodeEnded()
                | RunEnded()
            ):
                pass
            case _:
                assert_never(event)

    @property
    def _seconds(self) -> float:
        return (self._now() if self._stood is None else self._stood) - self._started

    @property
    def children(self) -> str:
        """Return how many children ended without an answer, in words; empty where none did."""
        return unanswered(self._ends)

    def line(self) -> str:
        """Return the line for a run under way."""
        return " · ".join(filter(None, [*self._parts(self.turn), self.unheld]))

    def short(self) -> str:
        """Return the same in the fewest words: turn, calls, cost, each with its limit."""
        answered, asked = self._done - self._before, self._asked - self._before
        calls = f"{answered:,} of {asked:,}" if asked > answered else ""
        most = self._limits.get("turns")
        turn = f"turn {self.turn:,}" + (f"/{most:,}" if most else "") if self.turn else ""
        cost = price(self.usage) + self._of_cost()
        return " · ".join(filter(None, [turn, calls or counted(self.calls, "sub-call"), cost]))

    @property
    def unheld(self) -> str:
        """Return a sentence where the limit on cost cannot hold; else nothing."""
        return unheld(self.usage, self._settings)

    def _parts(self, turn: int) -> list[str]:
        # A call that a limit refused ended without having started.
        under_way = max(0, self._asked - self._done)
        calls = counted(self.calls, "sub-call")
        parts = [self._turn(turn)] if turn else []
        parts.append(f"{calls} ({under_way:,} under way)" if under_way else calls)
        parts.append(spent(self.usage) + self._of_cost())
        parts.append(f"{self._seconds:,.0f} s" + self._of("seconds"))
        return parts

    def ended(self, event: RunEnded) -> str:
        """Return the totals of a run that is over."""
        calls, seconds = counted(event.calls, "sub-call"), duration(event.seconds)
        return " · ".join([counted(self.turns, "turn"), calls, spent(event.usage), seconds])

    def stopped(self) -> str:
        """Return the totals of a run that broke off without an end of its own."""
        seconds = duration(self._seconds)
        calls = counted(self.calls, "sub-call")
        return " · ".join([counted(self.turns, "turn"), calls, spent(self.usage), seconds])

    def ran(self, event: CellRan) -> str:
        """Return a line for the log: a cell of the root that ended."""
        ran = f"cell {event.cell} {event.status} in {duration(event.seconds)}"
        return " · ".join([ran, *self._parts(self.turn)])

    def unrun(self, turn: int, status: str) -> str:
        """Return a line for the log: a turn of the root that ran no cell."""
        return " · ".join([status, *self._parts(turn)])

    def _turn(self, turn: int) -> str:
        most = self._limits.get("turns")
        return f"turn {turn:,}" + (f" of {most:,}" if most else "")

    def _of(self, limit: str) -> str:
        most = self._limits.get(limit)
        return "" if most is None else f" of {most:,.0f} s"

    def _of_cost(self) -> str:
        most = self._limits.get("cost")
        return "" if most is None or self.usage.unpriced else f" of {money(most)}"
