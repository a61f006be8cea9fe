"""The REPL: a kernel with the guest, the broker and the context in it.

It runs cells under a clock, comes back after the kernel's death, and turns what the guest sends
into checked ``Call`` values. What a call is answered with is the caller's business: the loop asks
LMs, replay reads the record.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from ..endings import at_no_cost, to_the_end
from ..environments.kernels import Executed, Kernel, Message, OnMessage
from ..errors import CallRefused, KernelDied, LimitReached
from ..events import CellStatus, ContextInfo, Output
from ..inputs.contexts import Source
from ..record.outputs import Collector
from ..remote.guest.globals import CHILD_STARTING
from ..remote.guest.wire import MAX_PAYLOAD
from ..settings.limits import CellLimits, Rate
from . import broker
from .clock import Clock
from .guest_client import GuestClient, KernelSetup, open_room
from .protocol import Call, Calls, RefusedCall, Slot, as_text, as_texts, check, refusal

log = logging.getLogger("rlm_kernel")
GRACE_SECONDS = 3.0
"""How long an interrupted cell has to end before its kernel is replaced."""
AT_ONCE = 8
"""Rounds of the event loop in which a call that asks nobody is answered."""
T = TypeVar("T")
MAX_NAMES = 5
TAKEN_BACK = (
    "The question's cells changed how this kernel runs cells, which was taken back: {names}."
)
SPOILT = (
    "The question's cells changed this kernel in a way that cannot be taken back: do not rely on "
    "what it says from now on, start a fresh one (`%rlm kernel python3`, or a restart)."
)
Author = Literal["lm", "human"]
_DONE = {"lm": 0, "human": 1_000}
"""How many ``%rlm`` lines of a cell count as done: a human's were, before it first ran."""


@dataclass(frozen=True)
class Ran:
    """How a cell ended. ``draft`` is an answer it named without ending well or being ready;
    ``lost`` the names that went with a kernel that died or was replaced; ``reply`` is the kernel's
    own, None if there is none; ``inputs`` and ``concurrent`` are as in ``CellRan``."""

    status: CellStatus
    outputs: list[Output]
    notices: list[str]
    answer: str | None
    draft: str | None
    execution_count: int | None
    seconds: float
    names: list[str] = field(default_factory=list)
    restarted: str | None = None
    lost: list[str] = field(default_factory=list)
    reply: Message | None = None
    inputs: list[str | None] = field(default_factory=list)
    concurrent: bool = False


class Repl:
    """One node's REPL. Made by ``open_repl``; cells are run one at a time."""

    def __init__(self, calls: Calls, setup: KernelSetup, held: CellLimits) -> None:
        self.calls = calls
        self.held = held
        """What its cells are held to; like ``calls``, each question brings its own."""
        self.on_stray: OnMessage | None = None
        """Gets the messages of the kernel that no cell under way caused."""
        self.on_input: OnMessage | None = None
        """Gets the kernel's requests for a line of input, in a human's cell."""
        self.changed = ""
        """What the last question's cells did to the kernel, in a sentence for the human."""
        self.trust_html = False
        self._setup = setup
        self._stack = AsyncExitStack()
        self._room: GuestClient | None = None
        self._context: Source | None = None
        self._seed: int | None = None
        self._reports: dict[int, dict[str, Any]] = {}
        self._names: list[str] = []
        self._running: int | None = None
        self._runs = 0  # names a cell to the guest: a session's questions each count from 1
        self._broken = ""  # why the kernel is of no more use, though it may live
        self.gone = ""
        """Why the kernel before this one ended; empty where this is the first."""
        self._paid_until = time.monotonic()
        self._typed: list[str | None] = []
        self._to_type: list[str | None] = []
        self._hidden = False
        self._clock = Clock(math.inf)
        self._serving: set[asyncio.Future[list[Slot]]] = set()

    @property
    def pid(self) -> int:
        return self.kernel.pid

    @property
    def _live(self) -> GuestClient:
        assert self._room is not None
        return self._room

    @property
    def kernel(self) -> Kernel:
        """The kernel as it is now; another one after a restart."""
        return self._live.kernel

    @property
    def sandbox(self) -> str:
        """See ``places.Place``; another one after a restart."""
        return self._live.sandbox

    def unpaid(self) -> tuple[float, Rate]:
        """The seconds since this was asked last, or since the kernel was ordered, and what one of
        them costs."""
        now = time.monotonic()
        seconds, self._paid_until = now - self._paid_until, now
        return seconds, self._room.rate if self._room is not None else Rate()

    @property
    def names(self) -> list[str]:
        """The variables that cells made so far, oldest first, as of the last cell."""
        return list(self._names)

    # life
    async def _open(self) -> None:
        self._broken = ""
        self._room = await self._stack.enter_async_context(open_room(self._setup, self))
        self.kernel.hear(self._heard_stray, self._heard_input)

    def _heard_stray(self, message: Message) -> None:
        if self.on_stray is not None:
            self.on_stray(message)

    def _heard_input(self, message: Message) -> None:
        self._hidden = bool(message["content"].get("password"))
        if self._to_type:
            self._typing = asyncio.ensure_future(self.answer_input(self._to_type.pop(0) or ""))
            self._typing.add_done_callback(self._typed_for_it)
        elif self.on_input is not None:
            self.on_input(message)

    def _typed_for_it(self, typing: asyncio.Future[None]) -> None:
        if not typing.cancelled() and isinstance(error := typing.exception(), Exception):
            self.kernel.fail(error)

    async def answer_input(self, line: str) -> None:
        """What the human typed for the cell that runs."""
        self._typed.append(None if self._hidden else line)
        await self.kernel.answer_input(line)

    async def set_context(self, source: Source) -> ContextInfo:
        """Give the kernel its ``context``; also after every restart.

        A kernel that has died, or that would not stop, since the last cell is replaced.
        """
        await self.revive(context=False)
        self._context = source
        return await self._told(self._live.give(source))

    async def find(self, name: str) -> None:
        """Raises ``ContextError`` if the kernel has no such variable."""
        await self._told(self._live.find(name))

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """Take the value of a variable in the kernel as its ``context``, by reference.

        The source is a copy of the value, or what ``set_context`` gave if it still is that; None
        where it cannot be copied: a kernel that is started again then has no context. The spec
        has the name as ``variable``. Raises ``ContextError`` if there is no such variable.
        """
        info, self._context = await self._told(self._live.adopt(name, self._context))
        return info, self._context

    async def seed(self, number: int | None) -> None:
        """Begin a question: seed ``random`` and numpy for its cells, also after a restart. None
        ends it: they go on from where they were before, and what its cells changed in how the
        kernel runs cells is taken back; ``changed`` has a sentence on it."""
        self._seed = number
        self.changed = ""
        if not self._alive or self._broken:
            return
        if number is not None:
            await self._told(self._live.begin(number))
            return
        names = await self._told(self._live.end())
        if names is None:
            self.changed = SPOILT
            log.warning("%s", SPOILT)
        elif names:
            self.changed = TAKEN_BACK.format(names=", ".join(names[:MAX_NAMES]))
            log.info("%s", self.changed)

    async def hand_back(self, calls: Calls) -> None:
        """Let a question be over: the human's cells draw from where they were before, and their
        calls go to ``calls``. A kernel that refuses is replaced when it is next used."""
        self.calls, self.held = calls, CellLimits()
        with suppress(KernelDied):  # noted: see ``_told``
            await self.seed(None)

    async def assign(self, name: str, value: str) -> str:
        """Bind a variable in the kernel, and the source that does it."""
        return await self._told(self._live.assign(name, value))

    async def _told(self, work: Awaitable[T]) -> T:
        """What our code in the kernel gives. A kernel that does not run it is of no more use."""
        try:
            return await work
        except KernelDied as error:
            self._broken = str(error)
            raise

    async def revive(self, *, context: bool = True) -> str | None:
        """Replace a kernel that has died, or that would not stop, since the last cell; why, if so.

        Without ``context`` the new one has none yet.
        """
        if self._alive and not self._broken:
            return None
        self.gone = self._broken or self.kernel.epitaph()
        await (self._reopen() if context else self._renew())
        return self.gone

    async def _reopen(self) -> list[str]:
        """A new kernel with guest and context. Returns the names that were lost."""
        lost = self._names
        await self._renew()
        if self._context is not None:
            await self.set_context(self._context)
        if self._seed is not None:
            await self._told(self._live.begin(self._seed))
        return lost

    async def _renew(self) -> None:
        self._names = []
        await self.close()
        await self._open()

    @property
    def _alive(self) -> bool:
        return self._room is not None and self._room.kernel.alive

    async def close(self) -> None:
        """End the kernel. What goes wrong then is logged: what it was for is over."""
        self._stop_calls()
        stack, self._stack = self._stack, AsyncExitStack()
        with at_no_cost("a kernel could not be ended"):
            await stack.aclose()

    # cells
    def collector(self) -> Collector:
        """For the outputs of one cell, through the filter that is set."""
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
        if self._broken:
            await self._reopen()
        collector = collector or self.collector()
        allowed = self.held.seconds if seconds is None else seconds
        self._begin(cell, allowed if author == "lm" else math.inf)
        started = time.monotonic()

        def listen(message: Message) -> None:
            output = collector.add(message["msg_type"], message["content"])
            if output is not None and on_output is not None:
                on_output(output)

        self._to_type = list(inputs)
        about = self._about(author, commands=_DONE[author])
        executing = asyncio.ensure_future(
            self.kernel.execute(
                source, on_message=listen, metadata={"rlm": about}, stdin=bool(inputs)
            )
        )
        expiring = asyncio.ensure_future(self._clock.expired())
        try:
            await asyncio.wait({executing, expiring}, return_when=asyncio.FIRST_COMPLETED)
            timed_out = not executing.done()
            if timed_out:
                await self._stop(executing)
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(executing))
            raise
        finally:
            expiring.cancel()
            self._running = None
        return await self._ran(executing, timed_out, collector, cell, time.monotonic() - started)

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
        self._begin(cell, math.inf)
        started = time.monotonic()
        told = {**request["metadata"], "rlm": self._about("human", **about)}
        request = {**request, "metadata": told}

        def listen(message: Message) -> None:
            collector.add(message["msg_type"], message["content"])
            on_message(message)

        executing = asyncio.ensure_future(self.kernel.execute_message(request, listen))
        try:
            await asyncio.wait({executing})
        except asyncio.CancelledError:
            await asyncio.shield(self._stop(executing))
            raise
        finally:
            self._running = None
        return await self._ran(executing, False, collector, cell, time.monotonic() - started)

    def _begin(self, cell: int, seconds: float) -> None:
        self._running, self._clock = cell, Clock(seconds)
        self._runs += 1
        self._typed, self._to_type = [], []

    def _about(self, author: Author, **more: Any) -> dict[str, Any]:
        """What the guest is told of the cell that is about to run."""
        most = {"prompt_chars": self.held.prompt_chars, "batch": self.held.batch}
        return {**more, "cell": self._runs, "author": author, "most": most}

    async def interrupt(self) -> None:
        """Stop the cell that runs, and the calls it waits for; see ``Kernel.interrupt``."""
        await self.kernel.interrupt()
        self._stop_calls()

    async def _stop(self, executing: asyncio.Future[Any]) -> None:
        """Interrupt the cell; if it will not end in time, leave ``executing`` cancelled."""
        await self.interrupt()
        await asyncio.wait({executing}, timeout=GRACE_SECONDS)
        if not executing.done():
            self._broken = "the last cell did not stop"
            executing.cancel()
        await asyncio.gather(executing, return_exceptions=True)

    async def _halt(self) -> None:
        """End the cell that runs, for whose outcome nobody waits any more."""
        await self.interrupt()
        self._stuck = not await self.kernel.answers(GRACE_SECONDS)

    def _stop_calls(self) -> None:
        for serving in self._serving:
            serving.cancel()

    async def _ran(
        self,
        executing: asyncio.Future[Executed],
        timed_out: bool,
        collector: Collector,
        cell: int,
        seconds: float,
    ) -> Ran:
        restarted, lost, status, count, reply = None, [], "ok", None, None
        if executing.cancelled():
            restarted = f"the cell did not stop within {GRACE_SECONDS:g} s of being interrupted"
        elif isinstance(error := executing.exception(), KernelDied):
            restarted, status = str(error), "died"
        elif error is not None:  # of one who reads its outputs or answers its calls
            await self._halt()
            raise error
        else:
            status = "ok" if executing.result().ok else "error"
            count, reply = executing.result().execution_count, executing.result().reply
        if restarted is not None:
            self.gone, lost = restarted, await self._reopen()
        report = self._reports.pop(cell, {})
        if restarted is None and report:
            self._names = as_texts(report.get("names"))
        ended_well = status == "ok" and not timed_out
        return Ran(
            status="timeout" if timed_out and status != "died" else status,  # type: ignore[arg-type]
            outputs=collector.outputs,
            notices=as_texts(report.get("notices")),
            answer=as_text(report.get("answer")) if ended_well else None,
            draft=as_text(report.get("draft"))
            or (None if ended_well else as_text(report.get("answer"))),
            execution_count=count,
            seconds=seconds,
            names=self._names,
            restarted=restarted,
            lost=lost,
            reply=reply,
            inputs=self._typed,
            concurrent=bool(report.get("concurrent")),
        )

    # calls
    def takes(self, header: dict[str, Any]) -> int:
        """As in ``broker.Answerer``: children's contexts while their cell runs, and the copy of a
        variable that was asked for."""
        if header.get("op") in CHILD_STARTING:
            mine = self._running is not None and header.get("cell") == self._runs
            return MAX_PAYLOAD if mine else 0
        copies = header.get("op") == "context" and self._room is not None
        return self._live.takes() if copies else 0

    async def answer(self, request: broker.Request) -> dict[str, Any]:
        """The broker's ``Answerer``."""
        if request.op in ("context", "find"):
            if self._room is not None:
                self._room.told(request)
            return {"value": None}
        if request.op == "ran":
            cell = request.header.get("cell")
            if self._running is not None and cell == self._runs:
                self._reports.setdefault(self._running, request.header)  # a later one is forged
            return {"value": None}
        try:
            call = check(request, self.held.prompt_chars, self.held.batch)
        except CallRefused as error:
            return refusal(str(error))
        if call is None:
            return refusal(f"a malformed call: {str(request.op)[:50]!r}")
        if self._running is None or call.cell != self._runs:
            return refusal(
                "the cell that started this code has ended: calls are served only while their "
                "cell runs. Wait for threads and tasks before the cell ends."
            )
        call = replace(call, cell=self._running)
        try:
            slots = await self._serve(call, waits=bool(request.header.get("main")))
        except RefusedCall as refused:
            return refused.slot
        except (LimitReached, CallRefused) as error:
            return refusal(str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            self.kernel.fail(error)
            return refusal(f"the run ends: {type(error).__name__}", "LMError", cause="interrupted")
        return {"value": slots} if call.op.endswith("_batched") else slots[0]

    async def _serve(self, call: Call, *, waits: bool) -> list[Slot]:
        """What the calls give; the cell's clock stands still meanwhile if the cell ``waits``."""
        serving: asyncio.Future[list[Slot]] = asyncio.ensure_future(self.calls.serve(call))
        self._serving.add(serving)
        try:
            for _ in range(AT_ONCE):  # a refusal stops no clock: there is no end to them
                if not serving.done():
                    await asyncio.sleep(0)
            with self._clock.waiting() if waits and not serving.done() else nullcontext():
                return await serving
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if serving.cancelled() and task is not None and not task.cancelling():
                raise CallRefused("the cell was interrupted") from None
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            raise
        finally:
            self._serving.discard(serving)


@asynccontextmanager
async def open_repl(
    calls: Calls, setup: KernelSetup, held: CellLimits | None = None
) -> AsyncIterator[Repl]:
    """A REPL with no context yet. Raises what ``open_kernel`` raises."""
    repl = Repl(calls, setup, held or CellLimits())
    try:
        await repl._open()
        yield repl
    finally:
        await to_the_end(repl.close())
