"""Questions asked one after another with the same settings: the core under every face."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

from ..endings import to_the_end
from ..environments.kernel_config import kernel_template
from ..environments.owner_tag import host_mark
from ..environments.registry import check
from ..events import ROOT, Event
from ..inputs.contexts import Source
from ..inputs.forms import Form, form_in
from ..inputs.tools import Tools
from ..lm.model import LM
from ..lm.models import Models
from ..record.checks import checks_of
from ..record.notebooks.metadata import page
from ..record.recorder import Recorder
from ..record.recording import Recording
from ..repl.repl import Repl, open_repl
from ..replay.continuation import Continuation
from ..replay.prelude import Prelude
from ..rlm.boundary import boundary
from ..rlm.cell_runner import OpenRunner
from ..rlm.human import AskHuman
from ..rlm.memory import NoMemory, Numbers
from ..rlm.prompts import STYLES
from ..rlm.run import Run
from ..rlm.task import Task
from ..settings.limits import Budget
from ..settings.resolved import Resolved
from .answer_cache import again
from .conversation import QUESTION, Conversation
from .handover import Before
from .human_calls import HumanCalls
from .kept_kernel import KeptKernel
from .lending import Lender
from .one_at_a_time import OneAtATime
from .recorded_run import RecordedRun
from .result import Result, recalled
from .run_folders import begin_record

__all__ = ["Reader", "Result", "Session"]

Reader = Callable[[Event], None]


class Session:
    """LMs, and with ``persistent`` a kernel, kept between questions. For one event loop.

    ``root`` and ``sub`` are LMs handed in as objects. ``cwd`` is the persistent kernel's working
    folder, by default one in the first run's folder; runs are recorded under it. A ``budget`` is
    what all its questions may use together. ``open_runner`` opens what the cells of a question run
    in, where the session keeps no kernel. Close it, or connections, the kernel and the embedded
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
        open_runner: OpenRunner = open_repl,
    ) -> None:
        self.force = force
        """The settings for the next question; may be changed between two."""
        self.prelude = Prelude()
        """The events of the persistent kernel since it was started."""
        self._lms = Lender(root, sub)
        lend = lambda: self._lms.lend(self.force)  # noqa: E731
        self.by_hand = HumanCalls(self._begin_by_hand, lend, self.prelude)
        self.conversation = Conversation(kept=persistent)
        self.trust_html = False
        """If true, HTML that the LM's cells show in the persistent kernel passes as it is."""
        self.noted: Mapping[str, Any] = {}
        """What a face notes in the settings of a question's record."""
        self.ask_human: AskHuman | None = None
        """Asks the human who sits there, if one does."""
        self.trajectory: Path | None = None
        """The root notebook of the run that started last."""
        self.budget = budget or Budget()
        """The money and time that all questions together may use, and have used."""
        self._kernel = KeptKernel(lambda: self.force, cwd, self.prelude, self.by_hand)
        self._tools = tools
        self._persistent = persistent
        self._cwd = cwd
        self._open_runner = open_runner
        self._alone = OneAtATime(kept=persistent)

    async def close(self) -> None:
        """End the persistent kernel, and close the LMs that were opened here."""
        try:
            await self._kernel.close()
        finally:
            await self._lms.close()

    # the persistent kernel
    async def repl(self) -> Repl:
        """Return the persistent kernel, started if there is none; one that died is replaced."""
        return await self._kernel.repl()

    async def renew_kernel(self, opening: AbstractAsyncContextManager[Repl] | None = None) -> Repl:
        """Put another kernel in place of the persistent one; see ``KeptKernel.renew``."""
        return await self._kernel.renew(opening)

    async def close_kernel(self) -> None:
        """End the persistent kernel; the next question or ``repl`` starts a new one."""
        await self._kernel.close()

    def remember(self, event: Event) -> None:
        """Take what the human did in the persistent kernel into what later questions record."""
        self._kernel.remember(event)

    async def restarted(self, reason: str, lost: list[str]) -> None:
        """Note that the persistent kernel is a new one: a record of the old one ends."""
        await self._kernel.restarted(reason, lost)

    # what is asked
    async def check(self) -> None:
        """Find out that LMs and kernels can be had, before anything is asked; raises what ``ask``
        does."""
        await check(kernel_template(self.force).config(Path()))
        async with self._lms.using(self.force):
            pass

    def models(self, force: Resolved | None = None) -> AbstractAsyncContextManager[Models]:
        """Lend the LMs for other uses than questions; raises what ``ask`` does."""
        return self._lms.using(force or self.force)

    async def ask(
        self,
        about: Source | str,
        question: str | None,
        readers: Sequence[Reader] = (),
        *,
        force: Resolved | None = None,
        asked: Mapping[str, Any] | None = None,
        before: Before | None = None,
        form: Form | None = None,
    ) -> Result:
        """Answer a question about a source, or about a variable of the persistent kernel.

        ``readers`` get each event as it happens. ``force`` holds for this question instead of the
        session's; ``asked`` are the settings in the notebook itself, for ``recall``; ``before`` is
        what the LM goes on with, where the question is no new one; ``form`` is that of the answer,
        if it must have one. Cancelling ends the run, whose trajectory stays, and is raised again.
        With a persistent kernel questions wait for one another. Raises ``RLMError`` only:
        ``RunFailed`` for what nobody foresaw outside of nodes.
        """
        force, text = force or self.force, question if question and question.strip() else QUESTION
        with boundary():
            await check(kernel_template(force).config(Path()))
            async with self._lms.using(force) as models, self._alone.turn():
                begun = self._begin(models, force, await self._recorder(force), readers)
                return await self._run(begun, force, about, text, asked, before, form)

    async def _recorder(self, force: Resolved | None = None) -> Recorder:
        return await begin_record(force.settings.out if force else None, self._cwd)

    async def _run(
        self,
        begun: RecordedRun,
        force: Resolved,
        about: Source | str,
        question: str,
        asked: Mapping[str, Any] | None,
        before: Before | None,
        form: Form | None,
    ) -> Result:
        self._alone.now = begun.run
        past: Sequence[Event] = ()
        try:
            told: dict[str, Any] = {"asked": asked, "form": form, "noted": self.noted}
            told["origin"] = None if before is None else before.origin
            await begun.announce(force, question, trust_html=self.trust_html, **told)
            repl = await self._kernel.for_question(begun.run) if self._persistent else None
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
                numbers=self.prelude.numbers if self._persistent else Numbers(),
                form=form,
                conversation=begun.conversation,
            )
            await begun.solve(task, repl)
        finally:
            await to_the_end(self._end(begun, past))
        return self.conversation.take(begun.result(question, form))

    async def _end(self, begun: RecordedRun, past: Sequence[Event]) -> None:
        """Hand the kernel back, in which ``past`` had happened before, and seal the record."""
        try:
            await self._kernel.hand_back(past)
        finally:
            await begun.seal(ROOT if self._persistent else None)

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

        async with self._alone.asking:
            past, repl = self.prelude.events, await self.repl()
            self.trajectory = folder / page(ROOT, root=True)
            try:
                numbers = self.prelude.numbers
                answer = await again(recording, repl, about, numbers, emit, seconds)
            finally:
                await to_the_end(self._kernel.hand_back(past))
        started = recording.started
        form = None if started is None else form_in(started.settings)
        unsure = recording.ended.reason if recording.ended is not None else None
        checks = checks_of(recording.events, recording.root.id)
        told = recalled(answer, form, self.trajectory, question, unsure, checks)
        return self.conversation.take(told)

    # what goes on
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
                await check(kernel_template(force).config(Path()))
                models = await lending.enter_async_context(self._lms.using(force))
                tools = await asyncio.to_thread(onward.tools, self._tools)
                recorder = recorder or await self._recorder(force)
            except BaseException:
                if recorder is not None:
                    recorder.abandon()
                raise
            begun = self._begin(models, force, recorder, readers, onward)
            begun.run.tools = tools
            return await self._run_on(begun, force, onward)

    async def _run_on(self, begun: RecordedRun, force: Resolved, onward: Continuation) -> Result:
        try:
            if onward.origin is None:
                begun.resume(onward.events, since=onward.started.time)
            else:
                await begun.announce(
                    force,
                    onward.question,
                    trust_html=self.trust_html,
                    origin=onward.origin,
                    form=onward.form,
                )
            task = Task(
                onward.question,
                onward.source,
                variable=onward.variable,
                prelude=onward.prelude,
                form=onward.form,
                conversation=begun.conversation,
            )
            await begun.solve(task)
        finally:
            await to_the_end(begun.seal(ROOT if self._persistent else None))
        return begun.result(onward.question, onward.form)

    # records
    def _begin(
        self,
        models: Models,
        force: Resolved,
        recorder: Recorder,
        readers: Sequence[Reader],
        onward: Continuation | None = None,
    ) -> RecordedRun:
        self.trajectory = recorder.trajectory
        folder = recorder.folder
        keep = recorder if onward is None else onward.keep(recorder)

        def emit(event: Event) -> None:
            keep(event)
            if self._persistent and onward is None:
                self.prelude(event, folder)
                self.conversation(event)
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
            kernels=kernel_template(force),
            seed=secrets.randbelow(1 << 32) if onward is None else onward.seed,
            memory=NoMemory if onward is None else onward.earlier.of,
            budget=self.budget,
            open_runner=self._open_runner,
            ask_human=self.ask_human,
            vision=force.settings.vision == "on",
        )
        told = self.conversation.told if onward is None else onward.conversation
        return RecordedRun(run, recorder, told, host_mark() if self._persistent else None)

    async def _begin_by_hand(self, models: Models) -> RecordedRun:
        """Begin the record of the human's own cells and their calls."""
        begun = self._begin(models, self.force, await self._recorder(), [])
        begun.run.sandbox = lambda: self._kernel.sandbox
        try:
            await begun.announce(self.force, HumanCalls.QUESTION, trust_html=self.trust_html)
        except BaseException:
            begun.recorder.abandon()
            raise
        return begun
