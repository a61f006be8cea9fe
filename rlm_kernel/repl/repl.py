"""The REPL: a kernel with the guest, the broker and the context in it.

It runs cells under a clock and comes back after the kernel's death (``kernel_life``). What cells
ask for becomes checked ``Call`` values (``guest_requests``), and what those are answered with is
the caller's business: the loop asks LMs, replay reads the record.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from ..answers import Answer
from ..endings import done_within, to_the_end
from ..environments.exchange import OnMessage
from ..environments.kernel import Executed, Kernel
from ..environments.messages import Message
from ..errors import KernelDied
from ..events import CellStatus, ContextInfo, Output
from ..inputs.contexts import Source
from ..record.outputs import Collector
from ..settings.limits import CellLimits, Rate
from .guest_client import KernelSetup
from .guest_requests import GuestRequests
from .kernel_life import KernelLife
from .listener import Listener
from .protocol import Calls
from .running_cell import Author, Ran, RunningCell
from .snapshots import Snapshot, Snapshots

GRACE_SECONDS = 3.0
"""How long an interrupted cell has to end before its kernel is replaced."""
CALLS_SECONDS = 60.0
"""How long a stopped cell's calls may take to end; a child closes its kernel."""
NO_STOP = "the last cell did not stop"
_DONE = {"lm": 0, "human": 1_000}
"""How many ``%rlm`` lines of a cell count as done: a human's were, before it first ran."""


class Repl(Listener):
    """One node's REPL. Made by ``open_repl``; cells are run one at a time."""

    def __init__(self, calls: Calls, setup: KernelSetup, held: CellLimits) -> None:
        self.calls = calls
        self.held = held
        """What its cells are held to; like ``calls``, each question brings its own."""
        self.trust_html = False
        self._requests = GuestRequests()
        self._life = KernelLife(setup, self._requests, self._listen)
        super().__init__(self._requests, lambda: self.kernel)
        self._runs = 0

    # the kernel
    @property
    def kernel(self) -> Kernel:
        """The kernel as it is now; another one after a restart."""
        return self._life.client.kernel

    @property
    def sandbox(self) -> str:
        """See ``LiveKernel.sandbox_name``; another one after a restart."""
        return self._life.client.sandbox_name

    @property
    def gone(self) -> str:
        """Return why the kernel before this one ended; empty where this is the first."""
        return self._life.gone

    @property
    def changed(self) -> str:
        """Return what the last question's cells did to the kernel, in a sentence for the human."""
        return self._life.changed

    @property
    def names(self) -> list[str]:
        """The variables that cells made so far, oldest first, as of the last cell."""
        return list(self._life.names)

    @property
    def variables(self) -> list[str]:
        """The same with types and sizes, as ``SHOW_VARS`` gives them."""
        return list(self._life.variables)

    def unpaid(self) -> tuple[float, Rate]:
        """Return the seconds since this was asked last, or since the kernel was ordered, and what
        one of them costs."""
        return self._life.unpaid()

    async def revive(self, *, context: bool = True) -> str | None:
        """Replace a kernel that has died, or that would not stop, since the last cell; return why,
        None where it need not be. Without ``context`` the new one has none yet."""
        return await self._life.revive(context=context)

    @property
    def snapshots(self) -> Snapshots:
        """The kernel as it was after some of its cells."""
        return self._life.snapshots

    async def restart(self) -> None:
        """Put a new kernel with the context and the seed in the place of the one there is."""
        await self.snapshots.settled()
        await self._life.reopen()

    async def go_back(self, cell: int) -> str | None:
        """Put the kernel back to where it was after a cell, by its snapshot; return None, or why
        that cannot be: the kernel may be of no more use then, and ``revive`` replaces it."""
        return await self._life.go_back(cell)

    async def open_beside(self, base: Repl, snapshot: Snapshot) -> None:
        """Begin with the kernel of another one as it was at a snapshot; see ``branch``."""
        await self._life.open_beside(base._life.client, snapshot)

    async def close(self) -> None:
        """End the kernel. What goes wrong then is logged: what it was for is over."""
        await self._life.close()

    # what it is given
    async def set_context(self, source: Source) -> ContextInfo:
        """Give the kernel, replaced if need be, its ``context``; also after every restart."""
        return await self._life.set_context(source)

    async def find(self, name: str) -> None:
        """Raise ``ContextError`` if the kernel has no such variable."""
        await self._life.find(name)

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """Take the value of a variable in the kernel as its ``context``, by reference.

        The source is a copy of the value, or what ``set_context`` gave if it still is that; None
        where it cannot be copied: a kernel that is started again then has no context. The spec
        has the name as ``variable``. Raises ``ContextError`` if there is no such variable.
        """
        return await self._life.adopt(name)

    async def assign(self, name: str, answer: Answer) -> str:
        """Bind a variable to the object that was this answer; return the source that does it."""
        return await self._life.assign(name, answer)

    async def display(self, name: str) -> dict[str, Any]:
        """Return the MIME bundle of a variable, made harmless as a cell's outputs are."""
        shown = {"data": await self._life.display(name), "metadata": {}}
        output = self.collector().add("display_data", shown)
        return {} if output is None else output["data"]

    async def form(self, text: str) -> dict[str, Any]:
        """See ``GuestClient.form``."""
        return await self._life.form(text)

    async def seed(self, number: int | None) -> None:
        """Begin a question: seed ``random`` and numpy for its cells, also after a restart. None
        ends it: they go on from where they were before, and what its cells changed in how the
        kernel runs cells is taken back; ``changed`` has a sentence on it."""
        await self._life.seed(number)

    async def hand_back(self, calls: Calls) -> None:
        """Let a question be over: the human's cells draw from where they were before, and their
        calls go to ``calls``. A kernel that refuses is replaced when it is next used."""
        self.calls, self.held = calls, CellLimits()
        with suppress(KernelDied):  # noted: see ``KernelLife.broken``
            await self.seed(None)

    # cells
    def collector(self) -> Collector:
        """Return a collector for the outputs of one cell, with the filter that is set."""
        return Collector(trust_html=self.trust_html)

    async def run(
        self,
        source: str,
        *,
        cell: int,
        author: Author = "lm",
        seconds: float | None = None,
        collector: Collector | None = None,
        on_output: Callable[[Output], None] | None = None,
        inputs: Sequence[str | None] = (),
    ) -> Ran:
        """Run one cell under the clock. Errors of the cell are in the result, never raised; what
        ``on_output`` or a call's answerer raises is, at once, and the cell is stopped.

        An LM's cell may run for as many ``seconds``, by default for as many as it is held to; a
        human's has no clock. ``inputs`` are typed for it again. When cancelled, the cell is
        interrupted and the caller finds in ``collector`` what it had put out; the kernel and its
        names stay unless it would not stop.
        """
        await self.snapshots.settled()
        if self._life.broken:
            await self._life.reopen()
        collector = collector or self.collector()
        allowed = self.held.seconds if seconds is None else seconds
        running = self._running(cell, author, allowed, inputs)

        def listen(message: Message) -> None:
            output = collector.add(message["msg_type"], message["content"])
            if output is not None and on_output is not None:
                on_output(output)

        about = {"rlm": running.told(author, commands=_DONE[author])}
        typed = bool(inputs)
        execution = self.kernel.execute(source, on_message=listen, metadata=about, stdin=typed)
        ran = await self._run(running, execution, collector)
        self.snapshots.soon(running, author, self.names, self.variables)
        return ran

    async def relay(
        self,
        request: Message,
        *,
        cell: int,
        about: dict[str, Any],
        collector: Collector,
        on_message: OnMessage,
    ) -> Ran:
        """Pass on a human's execute request as it is; there is no clock.

        ``about`` is what the guest is told of the cell beside its number. ``on_message`` gets
        each message that the cell causes, ``collector`` too.
        """
        await self.snapshots.settled()
        running = self._running(cell, "human")
        told = {**request["metadata"], "rlm": running.told("human", **about)}

        def listen(message: Message) -> None:
            collector.add(message["msg_type"], message["content"])
            on_message(message)

        execution = self.kernel.execute_message({**request, "metadata": told}, listen)
        ran = await self._run(running, execution, collector)
        self.snapshots.soon(running, "human", self.names, self.variables)
        return ran

    def _running(
        self, cell: int, author: Author, seconds: float = 0, inputs: Sequence[str | None] = ()
    ) -> RunningCell:
        self._runs += 1
        if author == "human":
            self._life.may_be_rebound()
            seconds = math.inf
        return RunningCell(cell, self._runs, self.calls, self.held, seconds=seconds, inputs=inputs)

    async def _run(
        self, cell: RunningCell, execution: Coroutine[Any, Any, Executed], collector: Collector
    ) -> Ran:
        """Let the kernel execute the cell, to its end or that of its time."""
        self._requests.cell, started = cell, time.monotonic()
        executing = asyncio.create_task(execution)
        try:
            timed_out = await cell.clock.over_before(executing)
            if timed_out:
                await self._stop(executing)
        except asyncio.CancelledError:
            await to_the_end(self._stop(executing))
            raise
        finally:
            self._requests.cell = None
            executing.cancel()  # where even the stop failed
            self._type_no_more()
        seconds = time.monotonic() - started
        return await self._ran(cell, executing, timed_out, collector.outputs, seconds)

    async def interrupt(self) -> None:
        """Stop the cell that runs, and the calls it waits for; see ``Kernel.interrupt``."""
        await self.kernel.interrupt()
        self._requests.stop()

    async def _stop(self, executing: asyncio.Task[Executed]) -> None:
        """Interrupt the cell; if it will not end in time, leave ``executing`` cancelled."""
        if not await self._interrupted(partial(done_within, executing)):
            executing.cancel()
        await asyncio.gather(executing, return_exceptions=True)
        await self._requests.stopped(CALLS_SECONDS)

    async def _interrupted(self, stopped: Callable[[float], Awaitable[bool]]) -> bool:
        """Interrupt the cell; return whether it ``stopped`` in so many seconds, or note that the
        kernel is of no more use. One that goes on is interrupted once more: Python loses an
        interrupt that comes inside of a callback or a finaliser."""
        for _ in range(2):
            await self.interrupt()
            if await stopped(GRACE_SECONDS / 2):
                return True
        self._life.broken = NO_STOP
        return False

    async def _outcome(
        self, executing: asyncio.Task[Executed]
    ) -> tuple[CellStatus, Executed | None, str | None]:
        """Return how the execution ended, and why its kernel must be replaced, if it must. Raises
        the error of one who reads the cell's outputs or answers its calls."""
        if executing.cancelled():
            why = f"the cell did not stop within {GRACE_SECONDS:g} s of being interrupted"
            return "ok", None, why
        error = executing.exception()
        if isinstance(error, KernelDied):
            return "died", None, str(error)
        if error is not None:
            await self._interrupted(self.kernel.answers)
            raise error
        executed = executing.result()
        return "ok" if executed.ok else "error", executed, None

    async def _ran(
        self,
        cell: RunningCell,
        executing: asyncio.Task[Executed],
        timed_out: bool,
        outputs: list[Output],
        seconds: float,
    ) -> Ran:
        """Return how the cell ended, with a new kernel in place where it ended its own."""
        status, executed, restarted = await self._outcome(executing)
        made = self._life.reported(cell.report) if cell.report and restarted is None else []
        lost: list[str] = []
        back_to = None
        if restarted is not None:
            self._life.gone = restarted
            lost, back_to = await self._life.recover()
        told = cell.told_of(ended_well=status == "ok" and not timed_out)
        told |= {n: await self._life.standing(told[n]) for n in ("answer", "draft")}
        return Ran(
            status="timeout" if timed_out and status != "died" else status,
            outputs=outputs,
            execution_count=executed.execution_count if executed is not None else None,
            seconds=seconds,
            names=self.names,
            variables=self.variables,
            made=made,
            restarted=restarted,
            back_to=back_to,
            lost=lost,
            reply=executed.reply if executed is not None else None,
            **told,
        )


@asynccontextmanager
async def open_repl(
    calls: Calls, setup: KernelSetup, held: CellLimits | None = None
) -> AsyncIterator[Repl]:
    """Open a REPL with no context yet. Raises what ``open_guest`` raises."""
    repl = Repl(calls, setup, held or CellLimits())
    try:
        await repl._life.open()
        yield repl
    finally:
        await to_the_end(repl.close())
