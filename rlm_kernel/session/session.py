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
from ..inputs.forms import Form
from ..inputs.tools import Tools
from ..lm.model import LM
from ..lm.models import Models
from ..record.masking import masking
from ..record.notebooks.metadata import page
from ..record.recorder import Recorder
from ..record.recording import Recording
from ..repl.repl import Repl, open_repl
from ..replay.continuation import Continuation
from ..replay.prelude import Prelude
from ..reports.spans import telemetry
from ..rlm.boundary import boundary
from ..rlm.cell_runner import OpenRunner
from ..rlm.consent import Decide
from ..rlm.human import AskHuman
from ..rlm.memory import NoMemory, Numbers
from ..rlm.prompts import STYLES
from ..rlm.run import Run
from ..rlm.task import Task
from ..rlm.words import Words
from ..settings.limits import Budget
from ..settings.resolved import Resolved
from .answer_cache import again
from .consenting import check_consent, consent_by
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
    what all its questions may use together. ``open_runner`` opens what a question's cells run in,
    where no kernel is kept; ``lms`` are those of another session. Close it, or connections, kernel
    and the embedded LM's process stay.
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
        lms: Lender | None = None,
    ) -> None:
        self.force = force
        """The settings for the next question; may be changed between two."""
        self.prelude = Prelude()  # the events of the persistent kernel since it was started
        self.lms = lms or Lender(root, sub)
        lend = lambda: self.lms.lend(self.force)  # noqa: E731
        self.by_hand = HumanCalls(self._begin_by_hand, lend, self.prelude)
        self.conversation = Conversation(kept=persistent)
        self.trust_html = False
        """If true, HTML that the LM's cells show in the persistent kernel passes as it is."""
        self.words = Words()
        self.noted: Mapping[str, Any] = {}
        """What a face notes in the settings of a question's record."""
        self.ask_human: AskHuman | None = None
        self.decide: Decide | None = None
        """Asks the human who sits there, if one does: for a line, and whether a cell may run."""
        self.trajectory: Path | None = None  # of the run that started last
        self.budget = budget or Budget()
        self.kept = KeptKernel(lambda: self.force, cwd, self.prelude, self.by_hand)
        self._tools, self._open_runner, self._cwd = tools, open_runner, cwd
        self._persistent = persistent
        self._alone = OneAtATime(kept=persistent)

    async def close(self) -> None:
        """End the persistent kernel, and close the LMs that were opened here."""
        try:
            await self.kept.close()
        finally:
            await self.lms.close()

    # the persistent kernel
    async def repl(self) -> Repl:
        """Return the persistent kernel, started if there is none; one that died is replaced."""
        return await self.kept.repl()

    async def renew_kernel(self, opening: AbstractAsyncContextManager[Repl] | None = None) -> Repl:
        """Put another kernel in place of the persistent one; see ``KeptKernel.renew``."""
        return await self.kept.renew(opening)

    async def close_kernel(self) -> None:
        """End the persistent kernel; the next question or ``repl`` starts a new one."""
        await self.kept.close()

    # what is asked
    async def check(self) -> None:
        """Find out that LMs and kernels can be had; raises what ``ask`` does."""
        check_consent(self.force, self.decide)
        await check(kernel_template(self.force).config(Path()))
        async with self.lms.using(self.force):
            pass

    def models(self, force: Resolved | None = None) -> AbstractAsyncContextManager[Models]:
        """Lend the LMs for other uses than questions; raises what ``ask`` does."""
        return self.lms.using(force or self.force)

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
        first: str | None = None,
    ) -> Result:
        """Answer a question about a source, or about a variable of the persistent kernel.

        ``readers`` get each event as it happens. ``force`` holds instead of the session's;
        ``asked`` are the settings in the notebook itself, for ``recall``; ``before`` is what the LM
        goes on with, where the question is no new one; ``form`` is that of the answer, if it must
        have one; ``first`` is a cell that runs before the LM is asked. Cancelling ends the run,
        whose trajectory stays, and is raised again. With a persistent kernel questions wait for one
        another. Raises ``RLMError`` only: ``RunFailed`` for what nobody foresaw.
        """
        force, text = force or self.force, question if question and question.strip() else QUESTION
        with boundary():
            check_consent(force, self.decide)
            await check(kernel_template(force).config(Path()))
            readers = [*readers, *telemetry(force.settings.telemetry)]
            async with self.lms.using(force) as models, self._alone.turn():
                begun = self._begin(models, force, await self._recorder(force), readers)
                more = {"opening": before and before.opening, "form": form, "first": first}
                return await self._run(begun, force, about, text, asked, before, more)

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
        more: Mapping[str, Any],
    ) -> Result:
        self._alone.now = begun.run
        past: Sequence[Event] = ()
        try:
            told: dict[str, Any] = {"asked": asked, "form": more["form"], "noted": self.noted}
            told |= {"origin": before and before.origin, "trust_html": self.trust_html}
            await begun.announce(force, question, **told)
            repl = await self.kept.for_question(begun.run) if self._persistent else None
            past = self.prelude.events
            if repl is not None:
                repl.trust_html = self.trust_html
            source, variable = (None, about) if isinstance(about, str) else (about, None)
            task = Task(
                question,
                source,
                variable=variable,
                prelude=past,
                numbers=self.prelude.numbers if self._persistent else Numbers(),
                conversation=begun.conversation,
                **more,
            )
            await begun.solve(task, repl)
        finally:
            await to_the_end(self._end(begun, past))
        return self.conversation.take(begun.result(question, more["form"]))

    async def _end(self, begun: RecordedRun, past: Sequence[Event]) -> None:
        """Hand the kernel back, in which ``past`` had happened before, and seal the record."""
        try:
            await self.kept.hand_back(past)
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
                await to_the_end(self.kept.hand_back(past))
        return self.conversation.take(recalled(recording, answer, self.trajectory, question))

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
                check_consent(force, self.decide)
                await check(kernel_template(force).config(Path()))
                readers = [*readers, *telemetry(force.settings.telemetry)]
                models = await lending.enter_async_context(self.lms.using(force))
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
            emit=masking(emit, models.secrets),
            folder=folder,
            tools=self._tools,
            kernels=kernel_template(force),
            seed=secrets.randbelow(1 << 32) if onward is None else onward.seed,
            memory=NoMemory if onward is None else onward.earlier.of,
            budget=self.budget,
            open_runner=(onward and onward.open_runner) or self._open_runner,
            ask_human=self.ask_human,
            words=self.words,
            refused_model=force.caps.refused_model,
            consent=lambda: consent_by(force, self.decide),
            vision=force.settings.vision == "on",
            batches_loops=force.settings.loops == "batched",
        )
        told = self.conversation.told if onward is None else onward.conversation
        return RecordedRun(run, recorder, told, host_mark() if self._persistent else None)

    async def _begin_by_hand(self, models: Models) -> RecordedRun:
        """Begin the record of the human's own cells and their calls."""
        readers = telemetry(self.force.settings.telemetry)
        begun = self._begin(models, self.force, await self._recorder(), readers)
        begun.run.sandbox = lambda: self.kept.sandbox
        begun.run.consent = lambda: consent_by(self.force, self.decide)
        try:
            await begun.announce(self.force, HumanCalls.QUESTION, trust_html=self.trust_html)
        except BaseException:
            begun.recorder.abandon()
            raise
        return begun
