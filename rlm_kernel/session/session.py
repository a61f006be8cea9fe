"""Questions asked one after another with the same settings: the core under every face."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..endings import at_no_cost, to_the_end
from ..environments.places import check, kernels_of
from ..errors import RecordError, UsageError
from ..events import (
    ROOT,
    ContextInfo,
    Event,
    KernelRestarted,
    NodeStarted,
    RunStarted,
    Status,
    Usage,
)
from ..inputs.contexts import Source
from ..inputs.tools import Tools
from ..lm.model import LM
from ..lm.models import Models
from ..record.notebooks.metadata import page
from ..record.recorder import Recorder
from ..record.recording import Recording
from ..record.summary import summarise
from ..record.versions import versions
from ..repl.guest_client import KernelSetup
from ..repl.repl import Repl, open_repl
from ..replay.continuation import Continuation
from ..replay.prelude import Numbers, Prelude
from ..rlm.boundary import boundary
from ..rlm.loop import Outcome, Task, solve_tree
from ..rlm.prompts import STYLES
from ..rlm.run import CALLED_BY, Run
from ..settings.limits import Budget
from ..settings.resolved import Resolved
from .answer_cache import again
from .handover import Before
from .human_calls import HumanCalls
from .lending import Lender
from .run_folders import begin_record, drop_empty
from .settings_record import announced

QUESTION = (
    "`context` holds a question or a task together with what is needed for it. Find it there "
    "and answer it."
)
RESUMED = "the run was stopped here, and goes on from its record"
Reader = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """How a run ended.

    ``response`` is the answer; of a run whose ``status`` is not ``answered`` it is the best
    answer so far, unconfirmed, or None. ``reason`` says why there is no confirmed one. ``usage``
    sums the tree. ``trajectory`` is the root's notebook, in the run's folder. ``may_pass`` says of
    a run that failed that its cause may be gone a little later. ``unrecorded`` says why
    its record or a notebook of it is not on the disk, if so.
    """

    response: str | None
    status: Status
    confirmed: bool
    reason: str | None
    usage: Usage
    trajectory: Path
    question: str = ""
    may_pass: bool = False
    unrecorded: str | None = None

    @property
    def cost(self) -> float | None:
        """US dollars; None where the price of a request is not known."""
        return None if self.usage.unpriced else self.usage.cost


class Session:
    """LMs, and with ``persistent`` a kernel, kept between questions. For one event loop.

    ``root`` and ``sub`` are LMs handed in as objects. ``cwd`` is the persistent kernel's working
    folder, by default one in the first run's folder; runs are recorded under it. A ``budget`` is
    what all its questions may use together. Close it, or connections, the kernel and the embedded
    LM's process stay.
    """

    def __init__(
        self,
        force: Resolved,
        tools: Tools,
        *,
        persistent: bool = False,
        cwd: Path | None = None,
        root: LM | None = None,
        sub: LM | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.force = force
        """What holds for the next question; may be changed between two."""
        self.prelude = Prelude()
        """What has happened in the persistent kernel since it was started."""
        self._lms = Lender(root, sub)
        self.by_hand = HumanCalls(
            self._begin_by_hand, lambda: self._lms.lend(self.force), self.prelude
        )
        self.trust_html = False
        """Whether HTML that the LM's cells show in the persistent kernel passes as it is."""
        self.trajectory: Path | None = None
        """The root notebook of the run that started last."""
        self._tools = tools
        self._persistent = persistent
        self._cwd = cwd
        self.budget = budget or Budget()
        """What all questions together may use, and have used."""
        self._kernel_stack = AsyncExitStack()
        self._repl: Repl | None = None
        self._now: Run | None = None
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        try:
            await self.close_kernel()
        finally:
            await self._lms.close()

    async def close_kernel(self) -> None:
        """End the persistent kernel; the next question or ``repl`` starts a new one."""
        self._repl = None
        stack, self._kernel_stack = self._kernel_stack, AsyncExitStack()
        try:
            await self.by_hand.close()
        finally:
            self.prelude.clear()
            await stack.aclose()

    # what is asked
    async def check(self) -> None:
        """Find out that LMs and kernels can be had, before anything is asked; raises what ``ask``
        does."""
        await check(kernels_of(self.force).spot(Path()))
        async with self._lms.using(self.force):
            pass

    async def ask(
        self,
        about: Source | str,
        question: str | None,
        readers: Sequence[Reader] = (),
        *,
        force: Resolved | None = None,
        asked: Mapping[str, Any] | None = None,
        before: Before | None = None,
    ) -> Result:
        """Answer a question about a source, or about a variable of the persistent kernel.

        ``readers`` get each event as it happens. ``force`` holds for this question instead of the
        session's; ``asked`` are the settings in the notebook itself, for ``recall``; ``before`` is
        what the LM goes on with, where the question is no new one. Cancelling
        ends the run, whose trajectory stays, and is raised again. With a persistent kernel
        questions wait for one another. Raises ``RLMError`` only: for an error that nobody foresaw,
        outside of the run's nodes, ``RunFailed``.
        """
        force, text = force or self.force, question or QUESTION
        with boundary():
            await check(kernels_of(force).spot(Path()))
            async with self._lms.using(force) as models, self._turn():
                return await self._run(models, force, about, text, readers, asked, before)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """With a persistent kernel a question is alone in it. Raises ``UsageError`` for one that
        would wait for itself."""
        if not self._persistent:
            yield
            return
        if self._asking.locked() and self._now in CALLED_BY.get():
            raise UsageError(
                "this question is asked by a tool of the one that is being answered in the same "
                "kernel, and would wait for it for ever: ask it of another RLM(...)"
            )
        async with self._asking:
            yield

    async def _recorder(self, force: Resolved | None = None) -> Recorder:
        return await begin_record(force.settings.out if force else None, self._cwd)

    async def _run(
        self,
        models: Models,
        force: Resolved,
        about: Source | str,
        question: str,
        readers: Sequence[Reader],
        asked: Mapping[str, Any] | None,
        before: Before | None,
    ) -> Result:
        run, recorder = self._begin(models, force, await self._recorder(force), readers)
        self._now = run
        past: Sequence[Event] = ()
        outcome: Outcome | None = None
        unrecorded: str | None = None
        try:
            origin = None if before is None else before.origin
            await self._announce(run, force, question, asked, origin)
            repl = await self._kept_repl(run)
            past = self.prelude.events
            if repl is not None:
                repl.trust_html = self.trust_html
            source, variable = (None, about) if isinstance(about, str) else (about, None)
            task = Task(
                question,
                source,
                variable=variable,
                prelude=past,
                opening=None if before is None else before.opening,
                numbers=self._numbers(),
            )
            outcome = await recorder.attended(solve_tree(run, task, repl))
        finally:
            unrecorded = await to_the_end(self._ended(recorder, outcome, past))
        return _result(outcome, run, recorder, question, unrecorded)

    async def _ended(
        self, recorder: Recorder, outcome: Outcome | None, past: Sequence[Event] | None
    ) -> str | None:
        """Hand the kernel back, in which ``past`` had happened before, and seal the record; why it
        cannot be sealed. Raises that as ``RecordError`` where there is no outcome."""
        try:
            if past is not None:
                await self._handed_back(past)
            with at_no_cost("a working folder that no cell wrote to is still there"):
                drop_empty(recorder.folder / "files", ROOT if self._persistent else None)
        finally:
            unrecorded = await _seal(recorder, outcome)
        return unrecorded

    async def _handed_back(self, past: Sequence[Event]) -> None:
        if self._repl is not None:
            await self._repl.hand_back(self.by_hand)
            with at_no_cost("the record of the cells by hand lacks what the question did"):
                await self._followed(past)

    async def go_on(
        self, onward: Continuation, readers: Sequence[Reader] = (), *, force: Resolved | None = None
    ) -> Result:
        """Go on from a record. The kernel is a new one, which ends with the run.

        ``force`` holds instead of the session's. Raises as ``ask`` does, and ``RecordError``.
        """
        with boundary():
            return await self._go_on(onward, readers, force or self.force)

    async def _go_on(
        self, onward: Continuation, readers: Sequence[Reader], force: Resolved
    ) -> Result:
        recorder = onward.recorder
        async with AsyncExitStack() as lending:
            try:
                await check(kernels_of(force).spot(Path()))
                models = await lending.enter_async_context(self._lms.using(force))
                tools = await asyncio.to_thread(onward.tools, self._tools)
                recorder = recorder or await self._recorder(force)
            except BaseException:
                if recorder is not None:
                    recorder.abandon()
                raise
            run, recorder = self._begin(models, force, recorder, readers, onward)
            run.tools = tools
            return await self._run_on(run, recorder, force, onward)

    async def _run_on(
        self, run: Run, recorder: Recorder, force: Resolved, onward: Continuation
    ) -> Result:
        outcome: Outcome | None = None
        unrecorded: str | None = None
        try:
            await self._begin_again(run, force, onward)
            task = Task(
                onward.question,
                onward.source,
                variable=onward.variable,
                prelude=onward.prelude,
                numbers=onward.earlier.numbers(ROOT),
            )
            outcome = await recorder.attended(solve_tree(run, task))
        finally:
            unrecorded = await to_the_end(self._ended(recorder, outcome, None))
        return _result(outcome, run, recorder, onward.question, unrecorded)

    async def _begin_again(self, run: Run, force: Resolved, onward: Continuation) -> None:
        if onward.origin is not None:
            await self._announce(run, force, onward.question, None, onward.origin)
            return
        spent = summarise(onward.events)
        last = max(getattr(event, "time", 0.0) for event in onward.events)
        run.ledger.carry(spent.usage, spent.turns, spent.calls, last - onward.started.time)
        run.emit(KernelRestarted(ROOT, 0, RESUMED, [], time.time()))

    async def recall(
        self,
        recording: Recording,
        about: Source | str,
        question: str,
        readers: Sequence[Reader] = (),
        *,
        force: Resolved | None = None,
    ) -> Result:
        """Answer from a recorded run, in the persistent kernel and with no LM; see
        ``answer_cache``. ``force`` holds for this question instead of the session's."""
        seconds, folder = (force or self.force).limits.cell_seconds, recording.folder

        def emit(event: Event) -> None:
            self.prelude(event, folder)
            for reader in readers:
                reader(event)

        async with self._asking:
            past, repl = self.prelude.events, await self.repl()
            self.trajectory = folder / page(ROOT, root=True)
            try:
                info = await _given(repl, about)
                opened = NodeStarted(ROOT, None, 0, None, "", "", info, time.time())
                answer = await again(recording, repl, self.prelude.numbers, emit, opened, seconds)
            finally:
                await to_the_end(self._handed_back(past))
        return Result(answer, "answered", True, None, Usage(), self.trajectory, question)

    async def _followed(self, past: Sequence[Event]) -> None:
        """Tell the record of the human's cells what the question did in their kernel."""
        now = self.prelude.events
        if now[: len(past)] != past:  # the kernel was restarted
            await self.by_hand.close()
            past = ()
        await self.by_hand.follow_all(now[len(past) :])

    def _numbers(self) -> Numbers:
        return self.prelude.numbers if self._persistent else Numbers()

    def remember(self, event: Event) -> None:
        """Take what the human did in the persistent kernel into what later questions record."""
        self.prelude(event)
        self.by_hand.follow(event)

    async def restarted(self, reason: str, lost: list[str]) -> None:
        """Note that the persistent kernel is a new one: a record of the old one ends."""
        self.remember(KernelRestarted(ROOT, 0, reason, lost, time.time()))
        await self.by_hand.close()

    # records
    def _begin(
        self,
        models: Models,
        force: Resolved,
        recorder: Recorder,
        readers: Sequence[Reader],
        onward: Continuation | None = None,
    ) -> tuple[Run, Recorder]:
        self.trajectory = recorder.trajectory
        folder = recorder.folder
        keep = recorder if onward is None else onward.keep(recorder)

        def emit(event: Event) -> None:
            keep(event)
            if self._persistent and onward is None:
                self.prelude(event, folder)
            for reader in readers:
                reader(event)

        run = Run(
            root=models.root,
            sub=models.sub,
            limits=force.limits,
            style=STYLES[models.style],
            emit=emit,
            folder=folder,
            tools=self._tools,
            kernels=kernels_of(force),
            seed=secrets.randbelow(1 << 32) if onward is None else onward.seed,
            earlier=None if onward is None else onward.earlier,
            budget=self.budget,
        )
        return run, recorder

    async def _begin_by_hand(self, models: Models) -> tuple[Run, Recorder]:
        """The record of the human's own cells and their calls."""
        force = self.force
        run, recorder = self._begin(models, force, await self._recorder(), [])
        run.sandbox = lambda: self._repl.sandbox if self._repl is not None else ""
        try:
            await self._announce(run, force, HumanCalls.QUESTION, None)
        except BaseException:
            recorder.abandon()
            raise
        return run, recorder

    async def _announce(
        self,
        run: Run,
        force: Resolved,
        question: str,
        asked: Mapping[str, Any] | None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        settings = await asyncio.to_thread(announced, run, force, trust_html=self.trust_html)
        if origin is not None:
            settings["origin"] = dict(origin)
        if asked is not None:
            settings["asked"] = dict(asked)
        run.emit(RunStarted(run.folder.name, question, settings, versions(), time.time()))

    # the persistent kernel
    async def repl(self) -> Repl:
        """The persistent kernel, started if there is none; one that died is replaced."""
        if self._repl is None:
            assert self._cwd is not None
            setup = KernelSetup(kernels_of(self.force).spot(self._cwd, history=True))
            await self._keep(open_repl(self.by_hand, setup))
        repl = self._repl
        assert repl is not None
        lost = repl.names
        if (reason := await repl.revive()) is not None:
            await self.restarted(reason, lost)
        return repl

    async def _keep(self, opening: AbstractAsyncContextManager[Repl]) -> Repl:
        self._repl = await self._kernel_stack.enter_async_context(opening)
        return self._repl

    async def renew_kernel(self, opening: AbstractAsyncContextManager[Repl] | None = None) -> Repl:
        """Another kernel in place of the persistent one, which stays where that does not start.

        ``opening`` gives one that is made otherwise than the settings say.
        """
        before = self._kernel_stack, self._repl
        self._kernel_stack, self._repl = AsyncExitStack(), None
        try:
            repl = await (self.repl() if opening is None else self._keep(opening))
        except BaseException:
            self._kernel_stack, self._repl = before
            raise
        new, self._kernel_stack = self._kernel_stack, before[0]
        try:
            await self.close_kernel()
        finally:
            self._kernel_stack, self._repl = new, repl
        return repl

    async def _kept_repl(self, run: Run) -> Repl | None:
        if not self._persistent or self._cwd is not None:
            return await self.repl() if self._persistent else None
        if self._repl is None:
            return await self._keep(open_repl(self.by_hand, run.setup(ROOT)))
        return self._repl


async def _seal(recorder: Recorder, outcome: Outcome | None) -> str | None:
    """Seal the record; why that cannot be, which hides no outcome that is there."""
    try:
        await recorder.close()
    except RecordError as error:
        if outcome is None:
            raise
        return str(error)
    return None


def _result(
    outcome: Outcome, run: Run, recorder: Recorder, question: str, unrecorded: str | None
) -> Result:
    return Result(
        outcome.answer,
        outcome.status,
        outcome.confirmed,
        outcome.reason,
        run.ledger.usage,
        recorder.trajectory,
        question,
        outcome.may_pass,
        unrecorded,
    )


async def _given(repl: Repl, about: Source | str) -> ContextInfo:
    if isinstance(about, str):
        info, _ = await repl.adopt(about)
        return info
    return await repl.set_context(about)
