"""A session's question gone on with several times at once, in forks of its living kernel.

Each is a run of its own, whose record has all that happened in the kernel before, at no cost, and
replays from disk as that of any question. The session's kernel stays as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ..endings import all_of, to_the_end
from ..environments.kernel_config import kernel_template
from ..environments.registry import ENVIRONMENTS
from ..errors import KernelDied, KernelStartError
from ..events import CallEnded, CellRan, Event
from ..inputs.tools import Tools
from ..repl.branch import open_beside
from ..repl.guest_client import KernelSetup
from ..repl.repl import Repl, open_repl
from ..repl.snapshots import Snapshot
from ..replay.restore import restore
from ..rlm.memory import Numbers
from ..settings.limits import Budget, CellLimits
from .branching import check_count, one_budget, placed
from .going_back import answers_in
from .result import Result
from .session import Session

Ask = Callable[[Session], Awaitable[Result]]


@dataclass(frozen=True)
class Forked:
    """One of the branches: its result, and why its kernel is no fork; empty where it is one."""

    result: Result
    replayed: str


async def fork(session: Session, cwd: Path, count: int, ask: Ask) -> list[Forked]:
    """Let ``ask`` go on in ``count`` sessions at once, each in a fork of this one's kernel, or
    where that cannot be in a new one in which its cells have run again. Return what came of each.

    They share the session's LMs and its budget, which is that of one run where it has none. Raises
    ``UsageError`` and what ``ask`` and a kernel's start raise.
    """
    check_count(count)
    base, past = await session.repl(), session.prelude.events
    budget = one_budget(session, session.force)
    async with base.snapshots.passing(base.names, base.variables) as snapshot:
        branches = [
            _Branch(session, _twin(session, cwd, number, budget), base, snapshot, past)
            for number in range(1, count + 1)
        ]
        return await all_of(branch.work(cwd, ask) for branch in branches)


def _twin(session: Session, cwd: Path, number: int, budget: Budget) -> Session:
    """Return a session with the same LMs and settings, for a kernel of its own."""
    force = placed(session.force, number)
    twin = Session(force, Tools(), persistent=True, cwd=cwd, budget=budget, lms=session.lms)
    twin.conversation = session.conversation.continued()
    twin.trust_html = session.trust_html
    return twin


@dataclass
class _Branch:
    """One of them: the ``session``'s ``twin``, and what its kernel is made of."""

    session: Session
    twin: Session
    base: Repl
    snapshot: Snapshot | None
    past: Sequence[Event]
    replayed: str = ""

    async def work(self, cwd: Path, ask: Ask) -> Forked:
        try:
            await self.twin.renew_kernel(self._kernel(cwd))
            self._remember()
            return Forked(await ask(self.twin), self.replayed)
        finally:
            await to_the_end(self.twin.close_kernel())

    def _remember(self) -> None:
        """Let the record begin with what happened in the kernel before."""
        cells = [event.cell for event in self.past if isinstance(event, CellRan)]
        calls = [event.call for event in self.past if isinstance(event, CallEnded)]
        for event in self.past:
            self.twin.prelude(event)
        self.twin.prelude.numbers = Numbers(
            cells=itertools.count(max(cells, default=0) + 1),
            calls=itertools.count(max(calls, default=0) + 1),
        )

    @asynccontextmanager
    async def _kernel(self, cwd: Path) -> AsyncIterator[Repl]:
        config = kernel_template(self.twin.force).config(cwd, history=True)
        calls, setup = self.twin.by_hand, KernelSetup(config)
        async with AsyncExitStack() as stack:
            try:
                if self.snapshot is None or not ENVIRONMENTS[config.environment].branches:
                    raise KernelStartError(self._why_none(config.environment))
                forked = open_beside(self.base, self.snapshot, Repl(calls, setup, CellLimits()))
                repl = await stack.enter_async_context(forked)
            except (KernelDied, KernelStartError) as error:
                self.replayed = str(error)
                repl = await stack.enter_async_context(open_repl(calls, setup))
                await restore(repl, self.past, answers_in(self.past), Path())
            yield repl

    def _why_none(self, environment: str) -> str:
        if not ENVIRONMENTS[environment].branches:
            return f"a branch has a sandbox of its own ({environment})"
        lost = self.base.snapshots.lost
        return f"a fork would lose {', '.join(lost)}" if lost else "the kernel cannot be forked"
