"""The kernel that a session keeps between its questions, and what has happened in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from ..endings import at_no_cost
from ..environments.kernel_config import kernel_template
from ..events import ROOT, CellRan, Event, KernelRestarted
from ..repl.guest_client import KernelSetup
from ..repl.repl import Repl, open_repl
from ..repl.running_cell import Ran
from ..replay.prelude import Prelude
from ..rlm.run import Run
from ..settings.resolved import Resolved
from .going_back import go_back, until
from .human_calls import HumanCalls


class KeptKernel:
    """Started when it is first needed. ``force`` gives the settings that hold now, ``cwd`` is its
    working folder, by default one in the first run's folder. What happens in it is in ``prelude``;
    ``by_hand`` answers and records the calls of the human's own cells."""

    def __init__(
        self,
        force: Callable[[], Resolved],
        cwd: Path | None,
        prelude: Prelude,
        by_hand: HumanCalls,
    ) -> None:
        self.prelude = prelude
        self.by_hand = by_hand
        self._force = force
        self._cwd = cwd
        self._stack = AsyncExitStack()
        self._repl: Repl | None = None

    @property
    def sandbox(self) -> str:
        """Its sandbox, as ``Repl.sandbox``; empty where there is no kernel."""
        return self._repl.sandbox if self._repl is not None else ""

    async def repl(self) -> Repl:
        """Return the kernel, started if there is none; one that died is replaced."""
        if self._repl is None:
            assert self._cwd is not None
            setup = KernelSetup(kernel_template(self._force()).config(self._cwd, history=True))
            await self._keep(open_repl(self.by_hand, setup))
        repl = self._repl
        assert repl is not None
        lost = repl.names
        if (reason := await repl.revive()) is not None:
            await self.restarted(reason, lost)
        return repl

    async def for_question(self, run: Run) -> Repl:
        """``repl`` for a question; without a working folder it is the run's that comes first."""
        if self._cwd is not None:
            return await self.repl()
        if self._repl is None:
            return await self._keep(open_repl(self.by_hand, run.setup(ROOT)))
        return self._repl

    async def _keep(self, opening: AbstractAsyncContextManager[Repl]) -> Repl:
        self._repl = await self._stack.enter_async_context(opening)
        return self._repl

    async def renew(self, opening: AbstractAsyncContextManager[Repl] | None = None) -> Repl:
        """Put another kernel in its place; the old one stays where that does not start.

        ``opening`` gives one that is made otherwise than the settings say.
        """
        before = self._stack, self._repl
        self._stack, self._repl = AsyncExitStack(), None
        try:
            repl = await (self.repl() if opening is None else self._keep(opening))
        except BaseException:
            self._stack, self._repl = before
            raise
        new, self._stack = self._stack, before[0]
        try:
            await self.close()
        finally:
            self._stack, self._repl = new, repl
        return repl

    async def close(self) -> None:
        """End it; ``repl`` starts a new one."""
        self._repl = None
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await self.by_hand.close()
        finally:
            self.prelude.clear()
            await stack.aclose()

    # what happens in it
    def remember(self, event: Event) -> None:
        """Take what the human did into what later questions record."""
        self.prelude(event)
        self.by_hand.follow(event)

    async def restarted(self, reason: str, lost: list[str]) -> None:
        """Note that it is a new one: a record of the old one ends."""
        restarted = KernelRestarted(node=ROOT, cell=0, reason=reason, lost=lost, time=time.time())
        self.remember(restarted)
        await self.by_hand.close()

    async def ended_by(self, cell: int, ran: Ran) -> None:
        """Note that a cell of the human's has ended it, and what came in its place."""
        if ran.back_to is None:
            await self.restarted(ran.restarted or "", ran.lost)
            return
        self.remember(
            KernelRestarted(
                node=ROOT,
                cell=cell,
                reason=ran.restarted or "",
                lost=ran.lost,
                time=time.time(),
                back_to=ran.back_to,
                by="snapshot",
            )
        )

    async def go_back(self, cell: int) -> tuple[KernelRestarted, str]:
        """Put it to where it was after one of its cells, and record that; see ``going_back``."""
        past, repl = until(self.prelude.events, cell), await self.repl()
        ran = [event.cell for event in self.prelude.events if isinstance(event, CellRan)]
        event, why = await go_back(repl, past, max(ran), cell)
        self.remember(event)
        return event, why

    async def hand_back(self, past: Sequence[Event]) -> None:
        """Let a question be over, before which ``past`` had happened: the human's own calls are
        answered again, and their record is told what the question did."""
        if self._repl is not None:
            await self._repl.hand_back(self.by_hand)
            with at_no_cost("the record of the cells by hand lacks what the question did"):
                await self._follow(past)

    async def _follow(self, past: Sequence[Event]) -> None:
        now = self.prelude.events
        if now[: len(past)] != past:  # the kernel was restarted
            await self.by_hand.close()
            past = ()
        await self.by_hand.follow_all(now[len(past) :])
