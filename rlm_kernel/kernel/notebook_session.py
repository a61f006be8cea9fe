"""A notebook's session, its settings, and how a question is put together from them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..answers import Answer, answer_fields
from ..errors import ContextError, NoLM, UsageError
from ..events import ROOT, CellRan, ContextInfo, ContextSet, KernelRestarted
from ..inputs.contexts import Source
from ..inputs.forms import Form, form_of_option
from ..inputs.tools import Tools
from ..record.equality import canonical
from ..record.recorder import RUNS
from ..remote.guest.forms.type_expressions import UnknownName
from ..repl.repl import Repl
from ..repl.running_cell import Author, Ran
from ..rlm.run import small_text
from ..session import answer_cache, asked_before, handover
from ..session.asked_before import BY_CELLS
from ..session.handover import Before
from ..session.session import Reader, Result, Session
from ..settings import config
from ..settings.resolved import Layer, Resolved, Wrote, in_force
from .cell_parser import Question
from .grammar import ANSWER, Command
from .keys import Keys
from .named_contexts import NamedContexts
from .own_variables import OwnVariables
from .runs.folder import FolderRuns
from .stopped_at import StoppedAt

URLS = ("base_url", "sub_base_url")
NOT_ASKED = ("base_url", "sub_base_url", "out", "kernel", "environment", "pass_env", "exclude")
"""Settings that say where things are and not what is asked."""


class NotebookSession:
    """One notebook's session and the settings that hold in it.

    ``own`` are the variables of the human's cells, where these run in a process of their own.
    Raises ``UsageError`` where the environment or a config file is wrong.
    """

    def __init__(self, cwd: Path, own: OwnVariables | None = None) -> None:
        self.cwd = cwd
        self.own = own
        self._contexts = NamedContexts(lambda given: self.force(given).settings.exclude, own)
        self._asked_form: Form | None = None
        self.config = config.load()
        self.keys = Keys()
        self.set: dict[str, Any] = {}
        """Settings by ``%rlm`` lines."""
        self.mode = "python"
        self.replay = BY_CELLS
        self.replay_folder: Path | None = None
        self.context: ContextInfo | None = None  # what ``%rlm context`` gave last
        self.results: list[Result] = []
        self.runs = FolderRuns(cwd / RUNS)
        self.written_before: set[str] = set()
        """Sources that an LM wrote when the last question was asked before, if it was not answered
        from the record."""
        self.name = ANSWER  # the variable that the answer to the last question is for
        self._left: StoppedAt | None = None
        self.session = Session(self.force(), Tools(), persistent=True, cwd=cwd)

    def force(self, options: Mapping[str, Any] | None = None) -> Resolved:
        """Return what holds for a cell with these options."""
        written = {"--{option}": options or {}, "%rlm": self.set}
        layers = [Layer(origin, values, Wrote.NOTEBOOK) for origin, values in written.items()]
        return in_force(layers=layers, config=self.config, typed=self.keys.by_endpoint)

    def change(self, settings: Mapping[str, Any], reset: Sequence[str]) -> None:
        """Let other settings hold from now on. Raises ``UsageError``; then nothing changed."""
        before = dict(self.set)
        self.set.update(settings)
        for name in reset:
            self.set.pop(name, None)
        try:
            force = self.force()
        except UsageError:
            self.set = before
            raise
        self.session.force = force
        self.session.by_hand.relimit(force.limits)

    async def repl(self) -> Repl:
        """Return the REPL of the notebook's cells."""
        return await self.session.repl()

    @property
    def run_folder(self) -> Path | None:
        """Return the folder of the run that started last; None before the first."""
        trajectory = self.session.trajectory
        return trajectory.parent if trajectory else None

    # paths
    def link(self, path: Path) -> str:
        """Return a path as seen from the notebook, which is in our working folder; an absolute one
        where it lies elsewhere."""
        inside = path.is_relative_to(self.cwd)
        return os.path.relpath(path, self.cwd) if inside else str(path)

    def page_link(self, page: Path) -> str:
        """Return the path of a page of the last run's folder, as seen from the notebook."""
        folder = self.run_folder
        return self.link(page if folder is None else folder / page)

    # records
    def remember(self, cell: int, source: str, ran: Ran, author: Author = "human") -> None:
        """Record a cell for the questions to come. Notices are for the LM."""
        self.session.kept.remember(
            CellRan(
                node=ROOT,
                cell=cell,
                turn=0,
                source=source,
                author=author,
                status=ran.status,
                outputs=ran.outputs,
                notices=ran.notices if author == "lm" else [],
                execution_count=ran.execution_count,
                seconds=ran.seconds,
                time=time.time(),
                inputs=ran.inputs,
                wanted=None if ran.wanted is None else canonical(ran.wanted),
                **answer_fields(ran.answer),
            )
        )

    # contexts
    async def give(self, repl: Repl, command: Command) -> ContextInfo:
        """Give the kernel a context for the cells to come, the human's too."""
        about = await self._contexts.about(repl, command.value, command.encoding, command.settings)
        if isinstance(about, str):
            await self._contexts.check(repl, about)
            info, source = await repl.adopt(about)
        else:
            info, source = await repl.set_context(about), about
        if self.own is not None:
            self.own.pass_over()
        return await self.given(info, source)

    async def given(self, info: ContextInfo, source: Source | None) -> ContextInfo:
        """Note what the kernel has as its context now, with a copy of it if there is one."""
        if source is not None:
            text = await asyncio.to_thread(small_text, source)
            info = replace(info, spec=info.spec if text is None else {**info.spec, "text": text})
        self.context = info
        self.session.kept.remember(ContextSet(ROOT, info, time.time()))
        return info

    async def renew_kernel(self, settings: Mapping[str, Any], reset: Sequence[str]) -> bool:
        """Start another kernel, by other settings, for the cells to come. Return whether
        ``context`` could be carried over to it. Where it does not start, all stays as it is."""
        source = await self._carried(await self.repl())
        before = dict(self.set)
        self.change(settings, reset)
        try:
            repl = await self.session.renew_kernel()
        except BaseException:
            self.set = before
            self.session.force = self.force()
            raise
        self.context = None
        if source is None:
            return False
        await self.given(await repl.set_context(source), source)
        return True

    async def go_back(self, cell: int) -> tuple[KernelRestarted, str]:
        """See ``KeptKernel.go_back``; the LM of the last question may go on from there."""
        went = await self.session.kept.go_back(cell)
        if self._left is not None:
            self._left = self._left.within(len(self.session.prelude.events))
        return went

    async def _carried(self, repl: Repl) -> Source | None:
        """Return a copy of what ``context`` is now; None where there is none, or no copy of it."""
        try:
            _, source = await repl.adopt("context")
        except ContextError:
            return None
        return source

    # questions
    async def ask(self, question: Question, repl: Repl, readers: Sequence[Reader]) -> Result:
        """Ask the LM, or a recorded run where replay is on."""
        self.name = question.name
        about = await self._contexts.about(
            repl, question.context, question.encoding, question.settings
        )
        if isinstance(about, str):
            await self._contexts.check(repl, about)
        force, form = self.force(question.settings), await self._form(repl, question.form)
        self._asked_form = form
        asked = {
            name: value
            for name, value in {**self.set, **question.settings}.items()
            if name not in NOT_ASKED
        }
        asked |= {} if form is None else {"answer": form.recorded}
        mode = question.replay or self.replay
        out = question.settings.get("out")
        found = await self._recorded(
            mode,
            about,
            answer_cache.AskedBefore(question=question.text, context=None, asked=asked),
            out,
            repl,
        )
        try:
            if found.recording is not None:
                result = await self.session.recall(
                    found.recording, about, question.text, readers, force=force
                )
            else:
                result = await self.session.ask(
                    about, question.text, readers, force=force, asked=asked, form=form
                )
        except NoLM as error:
            raise NoLM(f"{error}{found.sentence}") from error
        finally:
            self._leave()
        if result.status != "answered":
            result = replace(result, reason=f"{result.reason}{found.sentence}")
        return self._took(result)

    def _took(self, result: Result) -> Result:
        self.results.append(result)
        return result

    def _leave(self) -> None:
        """Note that a question has ended, answered or not."""
        if self.run_folder is not None:
            mark = len(self.session.prelude.events)
            self._left = StoppedAt(self.run_folder, None, mark)

    async def go_on(
        self,
        question: Question,
        left: StoppedAt | None,
        repl: Repl,
        readers: Sequence[Reader],
        edited: Callable[[str], list[tuple[int, str]]],
    ) -> Result:
        """Let the LM go on from where it left off: in a replay, or else with the last question. The
        text is a word to it; ``edited`` gives its cells of a run that the human has changed."""
        force = self.force(question.settings)
        before = await self.before(left, question.text, force, repl, edited)
        self._asked_form = before.form
        wanted = answer_cache.AskedBefore(
            question=before.question, context=None, asked={}, before=before
        )
        found = await self._recorded(self.replay, "context", wanted, None, repl)
        try:
            if found.recording is not None:
                result = await self.session.recall(
                    found.recording, "context", before.question, readers
                )
            else:
                result = await self.session.ask(
                    "context",
                    before.question,
                    readers,
                    force=force,
                    before=before,
                    form=before.form,
                )
        finally:
            self._leave()
        return self._took(result)

    async def before(
        self,
        left: StoppedAt | None,
        note: str,
        force: Resolved,
        repl: Repl,
        edited: Callable[[str], list[tuple[int, str]]],
    ) -> Before:
        """Return what the LM is told when it goes on from there, or with the last question."""
        left = left or self._left
        if left is None:
            raise UsageError(
                "there is no question here to continue: ask one with %%rlm, or begin with "
                "%rlm replay in a trajectory"
            )
        began = await asyncio.to_thread(handover.before, left.folder, left.cell)
        events = self.session.prelude.events
        lost = len(events) < left.mark
        since = events if lost else events[left.mark :]
        cells = [e for e in since if isinstance(e, CellRan) and e.author == "human"]
        changed = edited(left.folder.name)
        opening = handover.opened(began, cells, note, force.limits, lost=lost, edited=changed)
        await self._contexts.check(repl, "context")
        return replace(began, opening=opening)

    async def _recorded(
        self, mode: str, about: Source | str, wanted: answer_cache.AskedBefore, out: Any, repl: Repl
    ) -> answer_cache.CachedAnswer:
        """Return the recorded run that answers; see ``asked_before.look``."""
        self.written_before = set()
        folders = [self.cwd / RUNS, self.replay_folder, out]
        looked = await asked_before.look(mode, wanted, about, [f for f in folders if f], repl)
        self.written_before = looked.written
        return looked.found

    async def _form(self, repl: Repl, text: str | None) -> Form | None:
        """Return the form that a question asks for; the kernel knows its own classes."""
        if text is None:
            return None
        try:
            return await asyncio.to_thread(form_of_option, text)
        except UnknownName:
            if self.own is not None:
                return await asyncio.to_thread(self.own.form, text)
            return Form(await repl.form(text), text)

    async def bind(self, repl: Repl, name: str, answer: Answer) -> None:
        """Bind the answer in the kernel, a copy of it where the human's cells run elsewhere, and
        let later questions know."""
        source = await repl.assign(name, answer)
        if self.own is not None:
            await asyncio.to_thread(self.own.take, name, answer, self._asked_form)
        bound = Ran(
            status="ok",
            outputs=[],
            notices=[],
            answer=None,
            draft=None,
            execution_count=None,
            seconds=0.0,
        )
        self.remember(next(self.session.prelude.numbers.cells), source, bound)
        self.session.conversation.bound(name)
        self._leave()
