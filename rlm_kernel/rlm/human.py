"""The human of a run, whom its cells may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ..errors import CallRefused
from ..settings.limits import Ledger

MOST_QUESTIONS = 20
"""How often a run may ask, all nodes together."""
QUESTION_CHARS = 2000
REPLY_CHARS = 100_000
NO_REPLY = "ask_human: the human gave no reply: decide as you think best"
NOBODY = (
    "no human is there to be asked: only a notebook whose front end takes input, and a command on "
    "a terminal, have one. Decide as you think best, and say in the answer what you assumed"
)

AskHuman = Callable[[str], Awaitable[str]]
"""Shows a question to the human and returns the reply. Raises ``CallRefused`` where none comes.
Cancelling it takes the question back."""


class Human:
    """Whoever sits before a run, asked one question at a time; ``ask`` None is nobody.

    The run's time stands still while its question is there: what a human thinks is no spending.
    """

    def __init__(self, ask: AskHuman | None, ledger: Ledger) -> None:
        self._ask = ask
        self._ledger = ledger
        self._asked = 0
        self._turn = asyncio.Lock()
        self.clock: asyncio.Timeout | None = None
        """The time that the run has, while it runs under one."""

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
            with self._standing_still():
                return (await self._ask(question))[:REPLY_CHARS]

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        with self._ledger.standing_still():
            self._until(None)
            try:
                yield
            finally:
                self._until(self._ledger.seconds_left)

    def _until(self, seconds: float | None) -> None:
        """Let the run's clock go on for so many seconds from now."""
        if self.clock is not None and not self.clock.expired():
            now = asyncio.get_running_loop().time()
            self.clock.reschedule(None if seconds is None else now + max(seconds, 0.0))
