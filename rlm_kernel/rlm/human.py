"""The human of a run, whom its cells may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ..errors import CallRefused
from ..remote.guest.maps.checks import NOBODY as NOBODY_JUDGES
from ..settings.limits import Ledger
from . import consent
from .consent import Decide, Decision, Proposal

MOST_QUESTIONS = 20
"""How often a run may ask, all nodes together."""
QUESTION_CHARS = 2000
MOST_ROWS = 400
"""How many rows of checks a run may show, all nodes together."""
ROW_CHARS = 10_000
REPLY_CHARS = 100_000
NO_REPLY = "ask_human: the human gave no reply: decide as you think best"
NOBODY = (
    "no human is there to be asked: only a notebook whose front end takes input, and a command on "
    "a terminal, have one. Decide as you think best, and say in the answer what you assumed"
)

ALLOW = "A cell is about to make {size}. Go on? (yes or no)"
NO = ("n", "no", "stop")

AskHuman = Callable[[str], Awaitable[str]]
"""Shows a question to the human and returns the line that is typed, empty for Enter alone. Raises
``CallRefused`` where none comes. Cancelling it takes the question back."""


class Human:
    """Whoever sits before a run, asked one question at a time; ``ask`` None is nobody.

    The run's time stands still while its question is there: what a human thinks is no spending.
    """

    def __init__(self, ask: AskHuman | None, ledger: Ledger) -> None:
        self._ask = ask
        self._ledger = ledger
        self._asked = self._rows = 0
        self._turn = asyncio.Lock()
        self._stands = False
        self._patience: asyncio.Timeout | None = None
        self._clocks: dict[asyncio.Timeout, float | None] = {}
        """Those that are wound up, with what is left on them while they are stopped."""

    async def reply(self, question: object) -> str:
        """Return the human's reply to a question of a cell. Raises ``CallRefused``."""
        if self._ask is None:
            raise CallRefused(f"ask_human: {NOBODY}")
        if not isinstance(question, str) or not question.strip():
            raise CallRefused("ask_human takes one question, a str")
        if len(question) > QUESTION_CHARS:
            raise CallRefused(
                f"ask_human: a question of {len(question):,} characters; {QUESTION_CHARS:,} is the "
                "most: ask what only the human can decide"
            )
        async with self._turn:
            if self._asked >= MOST_QUESTIONS:
                raise CallRefused(
                    f"ask_human: the human was asked {MOST_QUESTIONS} times in this run, and is "
                    "not asked again: decide as you think best"
                )
            self._asked += 1
            line = await self._typed(self._ask, question)
        if not line.strip():
            raise CallRefused(NO_REPLY)
        return line

    async def judged(self, row: object) -> str:
        """Return the line that the human types about a row of a check, which may be empty. Raises
        ``CallRefused``."""
        if self._ask is None:
            raise CallRefused(NOBODY_JUDGES)
        if not isinstance(row, str) or len(row) > ROW_CHARS:
            raise CallRefused(f"check: a row is shown in {ROW_CHARS:,} characters at most")
        async with self._turn:
            if self._rows >= MOST_ROWS:
                raise CallRefused(
                    f"check: the human was shown {MOST_ROWS} rows in this run, and is shown no more"
                )
            self._rows += 1
            return await self._typed(self._ask, row)

    async def decided(
        self, proposal: Proposal, decide: Decide | None, begin: Callable[[], None]
    ) -> Decision:
        """Return the human's decision on a cell, whom ``decide`` asks; ``begin`` is called before.

        Where none comes, the run ends as interrupted; outside of one, and where nobody is asked,
        ``CallRefused`` is raised.
        """
        if decide is None:
            raise CallRefused(consent.NOBODY)
        async with self._turn:
            with self._standing_still():
                begin()
                try:
                    async with asyncio.timeout(consent.PATIENCE_S) as clock:
                        return await decide(proposal)
                except TimeoutError:
                    if not clock.expired():
                        raise
            if self._patience is None:
                raise CallRefused(self.not_decided)
            self._patience.reschedule(asyncio.get_running_loop().time())
            ended: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
            return await ended  # it is cancelled at once

    @property
    def not_decided(self) -> str:
        """Return why a run ended whose cell nobody decided on."""
        return consent.NOT_DECIDED.format(seconds=consent.PATIENCE_S)

    @contextmanager
    def may_end(self, patience: asyncio.Timeout) -> Iterator[None]:
        """Let ``patience``, which has no end of its own, end the body when no decision comes."""
        self._patience = patience
        try:
            yield
        finally:
            self._patience = None

    async def _typed(self, ask: AskHuman, question: str) -> str:
        with self._standing_still():
            return (await ask(question))[:REPLY_CHARS]

    async def allow(self, size: str) -> None:
        """Ask if a call of this size may be made. Raises ``CallRefused`` where the human says no;
        where nobody is there, or no reply comes, the run's limits have to do."""
        try:
            reply = await self.reply(ALLOW.format(size=size))
        except CallRefused:
            return
        if reply.strip().casefold() in NO:
            raise CallRefused(f"the human did not allow {size}: ask about fewer pieces")

    @contextmanager
    def may_hold(self, clock: asyncio.Timeout) -> Iterator[None]:
        """Let a clock of the run that is wound up in the body stand still while a question is
        there."""
        self._clocks[clock] = None
        if self._stands:
            self._hold(clock)
        try:
            yield
        finally:
            del self._clocks[clock]

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        with self._ledger.standing_still():
            self._stands = True
            for clock in self._clocks:
                self._hold(clock)
            try:
                yield
            finally:
                self._stands = False
                for clock, left in self._clocks.items():
                    if left is not None:
                        clock.reschedule(asyncio.get_running_loop().time() + left)

    def _hold(self, clock: asyncio.Timeout) -> None:
        """Stop a clock, and note what was left on it; None where that is nothing, or no end."""
        when = None if clock.expired() else clock.when()
        self._clocks[clock] = when and when - asyncio.get_running_loop().time()
        if when is not None:
            clock.reschedule(None)
