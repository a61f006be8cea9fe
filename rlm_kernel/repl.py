"""The REPL: a kernel with the guest, the broker and the context in it.

It runs cells under a clock, comes back after the kernel's death, and turns what the guest sends
into checked ``Call`` values. What a call is answered with is the caller's business: the loop asks
LMs, replay reads the record.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from . import broker, guest
from .clock import Clock
from .contexts import Source
from .errors import CallRefused, KernelDied, LimitReached
from .events import CellStatus, ContextInfo, Output
from .inner import Kernel, open_kernel
from .outputs import Collector
from .protocol import Call, Calls, Refused, Slot, as_text, as_texts, check, refusal

LOAD_SECONDS = 600.0
"""How long the guest or a context may take to load; a context may have gigabytes."""
GRACE_SECONDS = 3.0
"""How long an interrupted cell has to end before its kernel is replaced."""
Author = Literal["lm", "human"]


@dataclass(frozen=True)
class Setup:
    """What a kernel is given besides its context. ``tools`` holds name, signature and doc of
    each function; ``data`` the sources of values under their names."""

    cwd: Path
    kernel_name: str = "python3"
    env: dict[str, str] = field(default_factory=dict)
    tools: list[dict[str, str]] = field(default_factory=list)
    data: dict[str, Source] = field(default_factory=dict)
    max_prompt_chars: int = 400_000
    max_batch: int = 10_000
    cell_seconds: float = 120.0


@dataclass(frozen=True)
class Ran:
    """How a cell ended. ``draft`` is an answer it named without ending well or being ready;
    ``lost`` the names that went with a kernel that died or was replaced."""

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


class Repl:
    """One node's REPL. Made by ``open_repl``; cells are run one at a time."""

    def __init__(self, calls: Calls, setup: Setup) -> None:
        self.calls = calls
        self._setup = setup
        self._stack = AsyncExitStack()
        self._kernel: Kernel | None = None
        self._folder = Path()
        self._context: Source | None = None
        self._info: asyncio.Future[dict[str, Any]] | None = None
        self._reports: dict[int, dict[str, Any]] = {}
        self._names: list[str] = []
        self._running: int | None = None
        self._runs = 0  # names a cell to the guest: a session's questions each count from 1
        self._stuck = False
        self._clock = Clock(setup.cell_seconds)
        self._serving: set[asyncio.Future[list[Slot]]] = set()

    @property
    def pid(self) -> int:
        assert self._kernel is not None
        return self._kernel.pid

    # life
    async def _open(self) -> None:
        setup, self._stuck = self._setup, False
        setup.cwd.mkdir(parents=True, exist_ok=True)  # a cell may have removed it before it died
        self._kernel, self._folder = await self._stack.enter_async_context(
            open_kernel(setup.cwd, kernel_name=setup.kernel_name, env=setup.env)
        )
        address = await self._stack.enter_async_context(broker.serve(self._folder, self))
        data = {name: self._placed(source, name) for name, source in setup.data.items()}
        config = {
            "address": address.where,
            "token": address.token,
            "tools": setup.tools,
            "data": {name: {**spec, "file": path} for name, (spec, path) in data.items()},
            "max_prompt_chars": setup.max_prompt_chars,
            "max_batch": setup.max_batch,
        }
        boot = self._folder / "boot.json"
        boot.write_text(json.dumps(config))
        shutil.copytree(
            Path(guest.__file__).parent,
            self._folder / "rlm_guest",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        folder = str(self._folder)
        await self._inside(
            f"__import__('sys').path.insert(0, {folder!r}); "
            f"__import__('rlm_guest').boot({str(boot)!r}); "
            f"__import__('sys').path.remove({folder!r})",
            "the guest",
        )

    async def _inside(self, source: str, what: str) -> None:
        """Run code of ours in the kernel, unseen by the guest's hooks; ``what`` names it."""
        assert self._kernel is not None
        said: list[str] = []

        def listen(kind: str, content: dict[str, Any]) -> None:
            if kind == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        try:
            async with asyncio.timeout(LOAD_SECONDS):
                done = await self._kernel.execute(source, silent=True, on_message=listen)
        except TimeoutError:
            raise KernelDied(
                f"{what} could not be loaded in the kernel within {LOAD_SECONDS:g} s"
            ) from None
        if not done.ok:
            raise KernelDied(f"{what} could not be loaded in the kernel: {' '.join(said)}")

    def _placed(self, source: Source, name: str) -> tuple[dict[str, Any], str]:
        """The source's bytes where the kernel can read them, and how it must read them."""
        if source.path is not None:
            return source.spec(), str(source.path)
        path = self._folder / f"value-{name}"
        path.write_bytes(source.data or b"")
        return source.spec(), str(path)

    async def set_context(self, source: Source) -> ContextInfo:
        """Give the kernel its ``context``; also after every restart.

        A kernel that has died, or that would not stop, since the last cell is replaced.
        """
        self._context = source
        if self._stuck or not self._alive:
            await self._renew()
        spec, path = self._placed(source, "context")
        self._info = asyncio.get_running_loop().create_future()
        await self._inside(
            f"__import__('rlm_guest').set_context({spec!r}, {path!r})", "the context"
        )
        info = await asyncio.wait_for(self._info, 10)
        return _info(info, spec, source.notice)

    async def _reopen(self) -> list[str]:
        """A new kernel with guest and context. Returns the names that were lost."""
        lost = self._names
        await self._renew()
        if self._context is not None:
            await self.set_context(self._context)
        return lost

    async def _renew(self) -> None:
        self._names = []
        await self.close()
        await self._open()

    @property
    def _alive(self) -> bool:
        return self._kernel is not None and self._kernel.alive

    async def close(self) -> None:
        self._stop_calls()
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    # cells
    async def run(
        self,
        source: str,
        *,
        cell: int,
        author: Author = "lm",
        collector: Collector | None = None,
        on_output: Callable[[Output], None] | None = None,
    ) -> Ran:
        """Run one cell under the clock. Errors of the cell are in the result, never raised.

        When cancelled, the cell is interrupted and the caller finds in ``collector`` what it had
        put out; the kernel and its names stay unless it would not stop.
        """
        if self._stuck:
            await self._reopen()
        assert self._kernel is not None
        collector = collector or Collector()
        self._running, self._clock = cell, Clock(self._setup.cell_seconds)
        self._runs += 1
        started = time.monotonic()

        def listen(kind: str, content: dict[str, Any]) -> None:
            output = collector.add(kind, content)
            if output is not None and on_output is not None:
                on_output(output)

        executing = asyncio.ensure_future(
            self._kernel.execute(
                source, on_message=listen, metadata={"rlm": {"cell": self._runs, "author": author}}
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

    async def _stop(self, executing: asyncio.Future[Any]) -> None:
        """Interrupt the cell; if it will not end in time, leave ``executing`` cancelled."""
        assert self._kernel is not None
        self._stop_calls()
        await self._kernel.interrupt()
        await asyncio.wait({executing}, timeout=GRACE_SECONDS)
        if not executing.done():
            self._stuck = True
            executing.cancel()
        await asyncio.gather(executing, return_exceptions=True)

    def _stop_calls(self) -> None:
        for serving in self._serving:
            serving.cancel()

    async def _ran(
        self,
        executing: asyncio.Future[Any],
        timed_out: bool,
        collector: Collector,
        cell: int,
        seconds: float,
    ) -> Ran:
        restarted, lost, status, count = None, [], "ok", None
        if executing.cancelled():
            restarted = f"the cell did not stop within {GRACE_SECONDS:g} s of being interrupted"
        elif isinstance(error := executing.exception(), KernelDied):
            restarted, status = str(error), "died"
        elif error is not None:
            raise error
        else:
            status = "ok" if executing.result().ok else "error"
            count = executing.result().execution_count
        if restarted is not None:
            lost = await self._reopen()
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
        )

    # calls
    async def answer(self, request: broker.Request) -> dict[str, Any]:
        """The broker's ``Answerer``."""
        if request.op == "context" and self._info is not None and not self._info.done():
            self._info.set_result(request.header.get("info") or {})
            return {"value": None}
        if request.op == "ran":
            cell = request.header.get("cell")
            if self._running is not None and cell == self._runs:
                self._reports[self._running] = request.header
            return {"value": None}
        call = check(request)
        if call is None:
            return refusal(f"a malformed call: {str(request.op)[:50]!r}")
        if self._running is None or call.cell != self._runs:
            return refusal(
                "the cell that started this code has ended: calls are served only while their "
                "cell runs. Wait for threads and tasks before the cell ends."
            )
        call = replace(call, cell=self._running)
        try:
            with self._pause(bool(request.header.get("main"))):
                slots = await self._serve(call)
        except Refused as refused:
            return refused.slot
        except (LimitReached, CallRefused) as error:
            return refusal(str(error), type(error).__name__)
        return {"value": slots} if call.op.endswith("_batched") else slots[0]

    @contextmanager
    def _pause(self, main: bool) -> Iterator[None]:
        clock = self._clock
        if not main:
            yield
            return
        with clock.waiting():
            yield

    async def _serve(self, call: Call) -> list[Slot]:
        serving: asyncio.Future[list[Slot]] = asyncio.ensure_future(self.calls.serve(call))
        self._serving.add(serving)
        try:
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


def _info(info: dict[str, Any], spec: dict[str, Any], notice: str | None) -> ContextInfo:
    """What the guest says its context is, checked, with where it came from."""
    number = {k: v if isinstance(v := info.get(k), int) else None for k in ("length", "lines")}
    return ContextInfo(
        type=as_text(info.get("type"), 100) or "unknown",
        length=number["length"],
        lines=number["lines"],
        format=as_text(info.get("format"), 500),
        head=as_text(info.get("head"), 2000) or "",
        tail=as_text(info.get("tail"), 2000) or "",
        spec=spec,
        notice=notice,
    )


@asynccontextmanager
async def open_repl(calls: Calls, setup: Setup) -> AsyncIterator[Repl]:
    """A REPL with no context yet. Raises what ``open_kernel`` raises."""
    repl = Repl(calls, setup)
    try:
        await repl._open()
        yield repl
    finally:
        await asyncio.shield(repl.close())
