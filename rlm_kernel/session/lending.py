"""The LMs that a session has open, lent to its questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from ..endings import at_no_cost
from ..lm.model import LM
from ..lm.models import Models, open_models, what_they_are
from ..settings.resolved import Resolved


class Lent:
    """LMs that stay open until they are given back."""

    def __init__(self, entry: _Entry) -> None:
        self.models = entry.models
        self._entry: _Entry | None = entry
        entry.users += 1

    def give_back(self) -> None:
        """They may be closed from now on. Twice is once."""
        if self._entry is not None:
            self._entry.users -= 1
            self._entry = None


class _Entry:
    def __init__(self, models: Models, stack: AsyncExitStack) -> None:
        self.models = models
        self.stack = stack
        self.users = 0


class Lender:
    """Opens LMs when they are first named, and lends them to whoever names them again.

    Those that nobody uses stay open for the next question; when one names others, they are closed.
    ``root`` and ``sub`` are LMs handed in as objects. For one event loop; ``close`` it.
    """

    def __init__(self, root: LM | None, sub: LM | None) -> None:
        self._given = root, sub
        self._open: dict[object, _Entry] = {}
        self._changing = asyncio.Lock()

    async def lend(self, force: Resolved) -> Lent:
        """Lend the LMs that the settings name. Raises what ``open_models`` raises."""
        wanted = what_they_are(force.settings, force.limits)
        async with self._changing:
            if wanted not in self._open:
                self._open[wanted] = await self._opened(force)
            lent = Lent(self._open[wanted])
            await self._close(lambda entry: entry.users == 0)
            return lent

    async def _opened(self, force: Resolved) -> _Entry:
        async with AsyncExitStack() as stack:
            models = await stack.enter_async_context(
                open_models(force.settings, force.limits, *self._given)
            )
            return _Entry(models, stack.pop_all())

    @asynccontextmanager
    async def using(self, force: Resolved) -> AsyncIterator[Models]:
        """Lend them for as long as the body takes."""
        lent = await self.lend(force)
        try:
            yield lent.models
        finally:
            lent.give_back()

    async def close(self) -> None:
        """Close all of them, used or not."""
        async with self._changing:
            await self._close(lambda entry: True)

    async def _close(self, due: Callable[[_Entry], bool]) -> None:
        for wanted in [wanted for wanted, entry in self._open.items() if due(entry)]:
            with at_no_cost("the connection to an LM could not be closed"):
                await self._open.pop(wanted).stack.aclose()
