"""A trajectory that runs again in the notebook that it is: ``%rlm replay`` to ``%rlm verdict``.

Between the two each Python cell is handed in. One that is in the record runs as whoever
wrote it, and its calls answer from the record. With ``context_path`` set above, the same cells run
on another input, and their calls are live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...answers import Answer
from ...environments.kernel_config import KernelTemplate, kernel_template
from ...environments.registry import ENVIRONMENTS, check
from ...errors import ReplayDiffers, UsageError
from ...events import ROOT
from ...inputs import contexts
from ...inputs.contexts import Source
from ...record.filters import for_terminal
from ...record.markdown import one_line, shorten
from ...record.nodes import RecordedCell, RecordedContext
from ...record.numbers import counted, spent
from ...record.outputs import cut
from ...repl.repl import Repl
from ...repl.running_cell import Ran
from ...replay.replay import Replay, children_compared, recorded_kernels, replay_nodes
from ...replay.verdict import Verdict
from ...session.session import Session
from ..display.card import answer_bundle
from ..grammar import Command
from ..notebook_session import NotebookSession
from ..stopped_at import StoppedAt
from . import locate
from .answers import Answers
from .locate import Located, Wanted
from .outputs import Send, Showing
from .parameters import Parameters
from .progress import ReplayProgress

SHOWN = 20
"""How many sentences of a verdict are told."""
SENTENCE_CHARS = 2_000
"""How much of each."""
Tell = Callable[[str], None]
Shown = dict[str, str]
"""A MIME bundle."""


class NotebookReplay:
    """The replay that is under way in a notebook, if one is."""

    def __init__(self, notebook: NotebookSession) -> None:
        self._notebook = notebook
        self._current: _Current | None = None
        self._parameters = Parameters()

    @property
    def on(self) -> bool:
        return self._current is not None

    def note(self, source: str) -> None:
        """Take in a cell that is not in the record and is about to be run."""
        self._parameters.note(source)
        if self._current is not None and source:
            self._current.note(source)

    def answered(self, answer: Answer) -> None:
        """Take the answer that a cell of the notebook gave."""
        if self._current is not None:
            self._current.answer = answer

    # %rlm replay
    async def begin(self, command: Command, repl: Repl, tell: Tell) -> bool:
        """Find the trajectory, say what it is and where its code will run, and start afresh: its
        children, then a new kernel with its context. Return False where nothing is named and there
        is none. Raises ``RecordError`` and ``UsageError``."""
        wanted = self._wanted(command)
        located = await asyncio.to_thread(locate.find, wanted, self._notebook.cwd)
        if located is None:
            return False
        await self._end(repl)
        kernels = _kernels(located, self._notebook)
        await check(kernels.config(Path()))
        now, where = await self._prepared(located, command)
        for line in [*_about(now.located), *where, _where(kernels)]:
            tell(for_terminal(line))
        if now.input is None:
            await self._replay_children(now, kernels, tell)
        await self._open(now, kernels)
        self._current = now
        return True

    async def _prepared(self, located: Located, command: Command) -> tuple[_Current, list[str]]:
        """Return the replay that is about to begin, and what to say of its context or other
        input."""
        path, cwd = self._parameters.path("context_path"), self._notebook.cwd
        if path is None:
            given = command.options.get("context")
            whole, where = await asyncio.to_thread(locate.with_contexts, located, given, cwd)
            return _Current(whole, self._notebook.session), where
        if located.recorded.nodes[located.node].context is None:
            raise UsageError(
                "context_path takes the place of what a question is about, and in this trajectory "
                "none is asked: set it to None, and change the cell that makes the context"
            )
        exclude = self._notebook.force().settings.exclude
        source = await asyncio.to_thread(
            contexts.from_path, cwd / Path(path).expanduser(), exclude=exclude
        )
        told = f"another input: {path}. Calls of the cells are live and are paid for"
        return _Current(located, self._notebook.session, source), [told]

    async def _end(self, repl: Repl) -> None:
        self._current = None
        await repl.hand_back(self._notebook.session.by_hand)

    def _wanted(self, command: Command) -> Wanted:
        path = command.value or self._parameters.path("trajectory_path")
        return Wanted(path, command.options.get("run"), command.options.get("node"))

    async def _replay_children(self, now: _Current, kernels: KernelTemplate, tell: Tell) -> None:
        recorded = now.located.recorded
        children = [node for name, node in recorded.nodes.items() if name != now.node]
        await replay_nodes(recorded, children, now.verdict, tell, kernels)

    async def _open(self, now: _Current, kernels: KernelTemplate) -> None:
        """Start a fresh kernel for the notebook's cells, with what was there before the first
        one."""
        session = self._notebook.session
        repl = await session.renew_kernel(now.replay.opened(kernels, session.by_hand))
        for context in now.progress.begin():
            await self._give(now, repl, context)
        now.mark = len(session.prelude.events)
        if now.input is None:
            repl.calls = now.answers

    async def _give(self, now: _Current, repl: Repl, context: RecordedContext) -> None:
        if now.input is not None and context is now.replay.node.context:
            await self._notebook.given(await repl.set_context(now.input), now.input)
        elif (got := await now.replay.give(repl, context.spec)) is not None:
            await self._notebook.given(*got)
        if context is now.replay.node.context:
            await now.replay.seed(repl)

    # cells
    def find(self, source: str) -> int | None:
        """Return the index of a cell in the record that is run again; None if it has none."""
        return None if self._current is None else self._current.progress.find(source)

    async def run(self, index: int, repl: Repl, send: Send) -> Ran | str:
        """Run the recorded cell at this index; return why not, if it is not run again."""
        now = self._current
        assert now is not None
        cell, due, late = now.progress.take(index)
        if late is not None:
            now.differ(late)
        for context in due:
            await self._give(now, repl, context)
        if cell.ended_kernel:
            await repl.restart()
        if not cell.runs_again:
            return _NOT_AGAIN[cell.ended_kernel, cell.undone]
        number = next(self._notebook.session.prelude.numbers.cells)
        try:
            ran = await self._ran(now, repl, cell, number, send)
        except asyncio.CancelledError:
            now.differ(f"cell {cell.cell} was interrupted")
            raise
        await self._remember(number, cell, ran)
        now.mark = len(self._notebook.session.prelude.events)
        if cell.turn:
            now.last = cell.cell
        if ran.answer is not None:
            self.answered(ran.answer)
        return ran

    async def _ran(
        self, now: _Current, repl: Repl, cell: RecordedCell, number: int, send: Send
    ) -> Ran:
        trusted = cell.author == "lm" and now.replay.trust_html
        shown = Showing(
            send,
            recorded_html=trusted,
            shown_html=self._notebook.session.trust_html,
            fails=cell.status != "ok",
        )
        if now.input is None:
            now.answers.under(cell.cell)
            ran = await now.replay.run(repl, cell, number=number, collector=shown)
        else:
            ran = await repl.run(
                cell.source,
                cell=number,
                author=cell.author,  # type: ignore[arg-type]
                collector=shown,
                inputs=cell.inputs,
            )
        shown.settle()
        return ran

    async def _remember(self, number: int, cell: RecordedCell, ran: Ran) -> None:
        """Record the cell for the questions that are asked in this kernel later."""
        session = self._notebook.session
        self._notebook.remember(number, cell.source, ran, cell.author)  # type: ignore[arg-type]
        if ran.restarted is not None:
            await session.kept.ended_by(number, ran)

    # %rlm continue
    async def leave(self, repl: Repl) -> StoppedAt | None:
        """End the replay and return where it was left; None where none is under way."""
        now = self._current
        if now is None:
            return None
        if now.input is not None:
            raise UsageError(
                "the cells run on another input here, which the LM knows nothing of: ask it anew"
            )
        if now.node != ROOT or now.located.source.suffix == ".ipynb":
            raise UsageError(
                "what the LM was told is in the record beside the root's notebook only: open that "
                "one, in its run's folder"
            )
        await self._end(repl)
        return StoppedAt(now.located.recorded.folder, now.last, now.mark)

    # %rlm verdict
    async def verdict(self, repl: Repl) -> Shown:
        """End the replay and return what it found. Raises ``ReplayDiffers`` where something
        differed, and ``UsageError`` where none is under way."""
        now = self._current
        if now is None:
            raise UsageError("no replay is under way here: %rlm replay begins one, in a trajectory")
        await self._end(repl)
        return now.compared() if now.input is None else self._new_answer(now)

    def _new_answer(self, now: _Current) -> Shown:
        by_hand = self._notebook.session.by_hand
        calls = spent(by_hand.recorded_usage)
        if now.answer is None:
            raise ReplayDiffers(f"the cells gave no answer for this input; calls: {calls}")
        by_hand.answered(now.answer)
        shown = answer_bundle(now.answer.text)
        return {mime: f"{text}\n\n{calls}" for mime, text in shown.items()}


_NOT_AGAIN = {
    (False, False): "it was interrupted when it was recorded",
    (False, True): "the kernel went back from it when it was recorded",
    (True, False): "it ended its kernel when it was recorded; a new one was started here",
}
"""The reason why a cell is not run, by whether it ended its kernel, and was undone."""


class _Current:
    """One replay that is under way."""

    def __init__(self, located: Located, session: Session, other: Source | None = None) -> None:
        recorded = located.recorded
        self.located = located
        self.node = located.node
        self.verdict = Verdict(differences=list(recorded.problems), notes=list(recorded.notes))
        self.replay = Replay(recorded, recorded.nodes[located.node], self.verdict)
        self.progress = ReplayProgress(self.replay.node.steps)
        self.answers = Answers(self.replay, session)
        self.input = other
        """Another input for the cells; None where they run on the recorded one."""
        self.answer: Answer | None = None
        self.last = 0
        """The LM's cell that was run last, as the record numbers it."""
        self.mark = 0
        """How many events the kernel's session had by then."""

    def differ(self, text: str) -> None:
        self.verdict.differences.append(f"node {self.node}: {text}")

    def note(self, source: str) -> None:
        """Note a cell that is not in the record as a difference."""
        after = self.progress.expected
        where = "after the last cell" if after is None else f"before cell {after.cell}"
        line = shorten(one_line(source[:2000]), 80)
        self.differ(f"a cell that is not in the record was run {where}: {line}")
        self.answers.instead(0 if after is None else after.cell)

    def compared(self) -> Shown:
        left_out = self.progress.left_out
        for cell in left_out:
            line = shorten(one_line(cell.source[:2000]), 80)
            self.differ(f"cell {cell.cell} was not run: {line}")
        self.replay.finish([cell.cell for cell in left_out])
        verdict = self.verdict
        verdict.differences += children_compared(self.located.recorded)
        found = [*verdict.differences, *verdict.ambiguities, *verdict.notes]
        sentences = [cut(text, SENTENCE_CHARS) for text in found]
        more = [f"and {len(sentences) - SHOWN:,} more"] if len(sentences) > SHOWN else []
        lines = [verdict.sentence, *(f"- {text}" for text in [*sentences[:SHOWN], *more])]
        if verdict.differences:
            raise ReplayDiffers(for_terminal("\n".join(lines)))
        return {"text/plain": for_terminal("\n".join(lines))}


def _kernels(located: Located, notebook: NotebookSession) -> KernelTemplate:
    """Return kernels as recorded, without network and mounts; what is set here wins."""
    force, recorded = notebook.force(), recorded_kernels(located.recorded)
    if "environment" in force.origins:
        return kernel_template(force)
    if "kernel" in force.origins:
        return replace(recorded, kernel_name=force.settings.kernel)
    return recorded


def _about(located: Located) -> list[str]:
    recorded = located.recorded
    node = recorded.nodes[located.node]
    below = len(recorded.nodes) - 1
    children = f", {counted(below, 'node')} below" if below else ""
    size = f"{counted(len(node.cells), 'cell')}, {counted(len(node.calls), 'call')}{children}"
    return [
        f"replay of node {located.node}, {size}: from {located.source}",
        *(f"changed: {text}" for text in recorded.problems[:SHOWN]),
        *(f"note: {text}" for text in recorded.notes[:SHOWN]),
    ]


def _where(kernels: KernelTemplate) -> str:
    where = ENVIRONMENTS[kernels.environment].describe(kernels.sandbox)
    return f"the trajectory's code now runs {where}"
