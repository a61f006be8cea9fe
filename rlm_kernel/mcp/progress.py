"""Progress of a run, as an agent is told of it: counts and states, never what the input says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Self

from anyio import BrokenResourceError, ClosedResourceError

from ..events import ROOT, CallEnded, CellRan, CellStarted, Event, Replied
from ..record.numbers import counted
from ..settings.limits import Limits

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Tells the caller how far it is, of how much, and in words."""
_EVERY_SECONDS = 0.5


class Progress(AbstractAsyncContextManager["Progress"]):
    """Reads a run's events and reports twice a second at most, until its caller has gone."""

    def __init__(self, report: Report, limits: Limits) -> None:
        self._report = report
        self._turns = self._cells = self._calls = 0
        self._most = limits.turns
        self._state = "starting"
        self._news = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Replied(node=node, turn=turn) if node == ROOT:
                self._turns, self._state = turn, "a reply came"
            case CellStarted():
                self._state = "a cell runs"
            case CellRan():
                self._cells, self._state = self._cells + 1, "a cell has run"
            case CallEnded():
                self._calls, self._state = self._calls + 1, "sub-calls"
            case _:
                return
        self._news.set()

    @property
    def _words(self) -> str:
        sizes = f"{counted(self._cells, 'cell')}, {counted(self._calls, 'call')}"
        return f"turn {self._turns} of {self._most}: {self._state} ({sizes})"

    async def __aenter__(self) -> Self:
        self._telling = asyncio.create_task(self._tell())
        return self

    async def __aexit__(self, *exc: Any) -> None:
        """Stop telling; what else went wrong in it than a caller that has gone is raised here."""
        assert self._telling is not None
        self._telling.cancel()
        with suppress(asyncio.CancelledError):
            await self._telling

    async def _tell(self) -> None:
        steps = 0
        while True:
            await self._news.wait()
            self._news.clear()
            steps += 1  # the protocol wants a number that grows with each report
            try:
                await self._report(float(steps), None, self._words)
            except (ClosedResourceError, BrokenResourceError):
                return  # nobody listens any more; whether the run ends is for others to say
            await asyncio.sleep(_EVERY_SECONDS)
