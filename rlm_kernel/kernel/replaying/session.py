"""A trajectory that runs again in the notebook that it is: ``%rlm replay`` to ``%rlm verdict``.

Between the two the workbench hands each Python cell in. One that is in the record runs as whoever
wrote it, and its calls answer from the record. With ``context_path`` set above, the same cells run
on another input, and their calls are live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ...environments.places import Kernels, check, kernels_of
from ...errors import ReplayDiffers, UsageError
from ...inputs import contexts
from ...inputs.contexts import Source
from ...record.filters import for_terminal
from ...record.markdown import one_line, shorten
from ...record.numbers import counted, spent
from ...record.outputs import cut
from ...record.trajectory import RecordedCell, RecordedContext
from ...repl.repl import Ran, Repl
from ...replay.replay import Replay, children_compared, recorded_kernels, replay_nodes
from ...replay.verdict import Verdict
from ...rlm.run import ROOT
from ...session.session import Session
from ..display.card import answer_bundle
from ..execute_replies import cell_ran
from ..grammar import Command
from ..notebook_session import NotebookSession, StoppedAt
from . import locate
from .answers import Answers
from .locate import Located, Wanted
from .outputs import Send, Showing
from .parameters import Parameters
from .progress import ReplayProgress

SHOWN = 20
SENTENCE_CHARS = 2_000
"""How many sentences of a verdict are told, and how much of each."""
Tell = Callable[[str], None]
Shown = dict[str, str]
"""A MIME bundle."""


class NotebookReplay:
    """What a notebook knows of the replay that goes on in it, if one does."""

    def __init__(self, desk: NotebookSession) -> None:
        self._desk = desk
        self._now: _Now | None = None
        self._parameters = Parameters()

    @property
    def on(self) -> bool:
        return self._now is not None

    def note(self, source: str) -> None:
        """Take in a cell that is not in the record and is about to be run."""
        self._parameters.note(source)
        if self._now is not None and source:
            self._now.note(source)

    def answered(self, answer: str) -> None:
        """A cell of the notebook gave an answer."""
        if self._now is not None:
            self._now.answer = answer

    # %rlm replay
    async def begin(self, command: Command, repl: Repl, tell: Tell) -> bool:
        """Find the trajectory, say what it is and where its code will run, and start afresh: its
        children, then a new kernel with its context. False where nothing is named and there is
        none. Raises ``RecordError`` and ``UsageError``."""
        wanted = self._wanted(command)
        found = await asyncio.to_thread(locate.find, wanted, self._desk.cwd)
        if found is None:
            return False
        await self._end(repl)
        kernels = _kernels(found, self._desk)
        await check(kernels.spot(Path()))
        now, where = await self._prepared(found, command)
        for line in [*_about(now.found), *where, _place(kernels)]:
            tell(for_terminal(line))
        if now.input is None:
            await self._replay_children(now, kernels, tell)
        await self._open(now, kernels)
        self._now = now
        return True

    async def _prepared(self, found: Located, command: Command) -> tuple[_Now, list[str]]:
        """The replay that is about to begin, and what to say of its context or other input."""
        path, cwd = self._parameters.path("context_path"), self._desk.cwd
        if path is None:
            given = command.options.get("context")
            whole, where = await asyncio.to_thread(locate.with_contexts, found, given, cwd)
            return _Now(whole, self._desk.session), where
        if found.recorded.nodes[found.node].context is None:
            raise UsageError(
                "context_path takes the place of what a question is about, and in this trajectory "
                "none is asked: set it to None, and change the cell that makes the context"
            )
        source = await asyncio.to_thread(contexts.from_path, cwd / Path(path).expanduser())
        told = f"another input: {path}. Calls of the cells are live and are paid for"
        return _Now(found, self._desk.session, source), [told]

    async def _end(self, repl: Repl) -> None:
        self._now = None
        await repl.hand_back(self._desk.session.by_hand)

    def _wanted(self, command: Command) -> Wanted:
        path = command.value or self._parameters.path("trajectory_path")
        return Wanted(path, command.options.get("run"), command.options.get("node"))

    async def _replay_children(self, now: _Now, kernels: Kernels, tell: Tell) -> None:
        recorded = now.found.recorded
        children = [node for name, node in recorded.nodes.items() if name != now.node]
        await replay_nodes(recorded, children, now.verdict, tell, kernels)

    async def _open(self, now: _Now, kernels: Kernels) -> None:
        """A fresh kernel for the notebook's cells, with what was there before the first one."""
        session = self._desk.session
        repl = await session.renew_kernel(now.replay.opened(kernels, session.by_hand))
        for context in now.course.begin():
            await self._give(now, repl, context)
        now.mark = len(session.prelude.events)
        if now.input is None:
            repl.calls = now.answers

    async def _give(self, now: _Now, repl: Repl, context: RecordedContext) -> None:
        if now.input is not None and context is now.replay.node.context:
            await self._desk.given(await repl.set_context(now.input), now.input)
        elif (got := await now.replay.give(repl, context.spec)) is not None:
            await self._desk.given(*got)
        if context is now.replay.node.context:
            await now.replay.seed(repl)

    # cells
    def find(self, source: str) -> int | None:
        """The place of a cell in the record that is run again, None if it has none."""
        return None if self._now is None else self._now.course.find(source)

    async def run(self, place: int, repl: Repl, send: Send) -> Ran | None:
        """Run the recorded cell of this place; None if it is one that is not run again."""
        now = self._now
        assert now is not None
        cell, due, late = now.course.take(place)
        if late is not None:
            now.differ(late)
        for context in due:
            await self._give(now, repl, context)
        if cell.status == "interrupted":
            return None
        number = next(self._desk.session.prelude.numbers.cells)
        try:
            ran = await self._ran(now, repl, cell, number, send)
        except asyncio.CancelledError:
            now.differ(f"cell {cell.cell} was interrupted")
            raise
        await self._remember(number, cell, ran)
        now.mark = len(self._desk.session.prelude.events)
        if cell.turn:
            now.last = cell.cell
        if ran.answer is not None:
            self.answered(ran.answer)
        return ran

    async def _ran(self, now: _Now, repl: Repl, cell: RecordedCell, number: int, send: Send) -> Ran:
        trusted = cell.author == "lm" and now.replay.trust_html
        shown = Showing(
            send,
            recorded_html=trusted,
            shown_html=self._desk.session.trust_html,
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
        """For the records of questions that are asked in this kernel later."""
        session = self._desk.session
        session.remember(cell_ran(number, cell.source, ran, cell.author))  # type: ignore[arg-type]
        if ran.restarted is not None:
            await session.restarted(ran.restarted, ran.lost)

    # %rlm continue
    async def leave(self, repl: Repl) -> StoppedAt | None:
        """End the replay and say where it was left; None where none goes on."""
        now = self._now
        if now is None:
            return None
        if now.input is not None:
            raise UsageError(
                "the cells run on another input here, which the LM knows nothing of: ask it anew"
            )
        if now.node != ROOT or now.found.source.suffix == ".ipynb":
            raise UsageError(
                "what the LM was told is in the record beside the root's notebook only: open that "
                "one, in its run's folder"
            )
        await self._end(repl)
        return StoppedAt(now.found.recorded.folder, now.last, now.mark)

    # %rlm verdict
    async def verdict(self, repl: Repl) -> Shown:
        """End the replay and say what it found. Raises ``ReplayDiffers`` where something differed,
        and ``UsageError`` where none goes on."""
        now = self._now
        if now is None:
            raise UsageError("no replay goes on here: %rlm replay begins one, in a trajectory")
        await self._end(repl)
        return now.compared() if now.input is None else self._new_answer(now)

    def _new_answer(self, now: _Now) -> Shown:
        by_hand = self._desk.session.by_hand
        calls = spent(by_hand.recorded_usage)
        if now.answer is None:
            raise ReplayDiffers(f"the cells gave no answer for this input; calls: {calls}")
        by_hand.answered(now.answer)
        shown = answer_bundle(now.answer)
        return {mime: f"{text}\n\n{calls}" for mime, text in shown.items()}


class _Now:
    """One replay that goes on."""

    def __init__(self, found: Located, session: Session, other: Source | None = None) -> None:
        recorded = found.recorded
        self.found = found
        self.node = found.node
        self.verdict = Verdict(differences=list(recorded.problems), notes=list(recorded.notes))
        self.replay = Replay(recorded, recorded.nodes[found.node], self.verdict)
        self.course = ReplayProgress(self.replay.node.steps)
        self.answers = Answers(self.replay, session)
        self.input = other
        """What the cells run on, where that is another input."""
        self.answer: str | None = None
        self.last = 0
        """The last cell of the LM's that was run, as the record numbers it."""
        self.mark = 0
        """How much had happened in the kernel then."""

    def differ(self, text: str) -> None:
        self.verdict.differences.append(f"node {self.node}: {text}")

    def note(self, source: str) -> None:
        """A cell that is not in the record."""
        after = self.course.expected
        where = "after the last one" if after is None else f"where cell {after.cell} comes"
        line = shorten(one_line(source[:2000]), 80)
        self.differ(f"a cell that is not in the record was run {where}: {line}")
        self.answers.instead(0 if after is None else after.cell)

    def compared(self) -> Shown:
        left_out = self.course.left_out
        for cell in left_out:
            line = shorten(one_line(cell.source[:2000]), 80)
            self.differ(f"cell {cell.cell} was not run: {line}")
        self.replay.finish([cell.cell for cell in left_out])
        verdict = self.verdict
        verdict.differences += children_compared(self.found.recorded)
        found = [*verdict.differences, *verdict.ambiguities, *verdict.notes]
        sentences = [cut(text, SENTENCE_CHARS) for text in found]
        more = [f"and {len(sentences) - SHOWN:,} more"] if len(sentences) > SHOWN else []
        lines = [verdict.sentence, *(f"- {text}" for text in [*sentences[:SHOWN], *more])]
        if verdict.differences:
            raise ReplayDiffers(for_terminal("\n".join(lines)))
        return {"text/plain": for_terminal("\n".join(lines))}


def _kernels(found: Located, desk: NotebookSession) -> Kernels:
    """As recorded, without its network and mounts; what is set here wins."""
    force, recorded = desk.force(), recorded_kernels(found.recorded)
    if "environment" in force.origins:
        return kernels_of(force)
    if "kernel" in force.origins:
        return replace(recorded, kernel_name=force.settings.kernel)
    return recorded


def _about(found: Located) -> list[str]:
    recorded = found.recorded
    node = recorded.nodes[found.node]
    below = len(recorded.nodes) - 1
    children = f", {counted(below, 'node')} below" if below else ""
    size = f"{counted(len(node.cells), 'cell')}, {counted(len(node.calls), 'call')}{children}"
    return [
        f"replay of node {found.node}, {size}: from {found.source}",
        *(f"changed: {text}" for text in recorded.problems[:SHOWN]),
        *(f"note: {text}" for text in recorded.notes[:SHOWN]),
    ]


def _place(kernels: Kernels) -> str:
    if kernels.environment == "local":
        where = "on this machine, with your rights"
    else:
        network = kernels.sandbox.get("network") or "none"
        where = f"in {kernels.environment}, network: {network}"
    return f"the trajectory's code is executed now: {where}"
