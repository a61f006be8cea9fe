"""The questions of a kernel that is kept: one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import UsageError
from ..rlm.run import CALLED_BY, Run


class OneAtATime:
    """Lets the questions of a session wait for one another where its kernel is ``kept``. ``now`` is
    the run that is under way there."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self.now: Run | None = None
        self.asking = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """With a persistent kernel a question is alone in it. Raises ``UsageError`` for one that
        would wait for itself."""
        if not self._kept:
            yield
            return
        if self.asking.locked() and self.now in CALLED_BY.get():
            raise UsageError(
                "this question is asked by a tool of the one that is being answered in the same "
                "kernel, and would wait for it for ever: ask it of another RLM(...)"
            )
        async with self.asking:
            yield
