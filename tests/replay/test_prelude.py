"""What ran in a kernel before a question is in the question's record, which replays alone."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking import block, of, script, told
from nobody import Nobody
from stories import call, cell, context_set, lived_in, started

from rlm_kernel import Limits
from rlm_kernel.answers import Answer
from rlm_kernel.environments.kernel_config import KernelConfig, KernelTemplate
from rlm_kernel.errors import ContextError
from rlm_kernel.events import (
    CallEnded,
    CellRan,
    ContextSet,
    Event,
    KernelRestarted,
    NodeStarted,
    RunEnded,
    RunStarted,
    Usage,
)
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.contexts import Source
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.lm.client import Sampling
from rlm_kernel.lm.model import Model
from rlm_kernel.record import journal, trajectory
from rlm_kernel.record.recorder import Recorder
from rlm_kernel.record.recording import Recording
from rlm_kernel.repl.execution import Written, execute
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.repl import Repl, open_repl
from rlm_kernel.replay.prelude import Prelude
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict
from rlm_kernel.rlm.kernel_setup import carry
from rlm_kernel.rlm.prompts import STYLES
from rlm_kernel.rlm.run import Run
from rlm_kernel.rlm.task import Task
from rlm_kernel.rlm.tree import Outcome, solve_tree
from rlm_kernel.testing import ScriptedLM

pytestmark = pytest.mark.anyio
SECONDS = 120.0
LONG = "a line of a long text\n" * 5000


def heard(*events: Event, folder: Path | None = None) -> Prelude:
    prelude = Prelude()
    for event in events:
        prelude(event, folder)
    return prelude


# what is kept
def test_cells_are_of_turn_0_and_their_calls_are_free() -> None:
    asked = call("0", 0, op="rlm_query", child="0.1")
    kept = heard(asked, cell("0", 1, turn=3)).events
    assert kept == [dataclasses.replace(asked, usage=Usage(), child=None), cell("0", 1, turn=0)]


def test_the_context_of_a_question_is_kept_as_set() -> None:
    began = started("0")
    assert heard(began).events == [ContextSet("0", began.context, began.time)]  # type: ignore[arg-type]
    assert heard(started("0", context=None)).events == []


def test_children_live_in_kernels_of_their_own() -> None:
    assert heard(started("0.1"), call("0.1", 0), cell("0.1", 1)).events == []


def test_what_is_told_twice_is_kept_once() -> None:
    prelude = heard(*lived_in())
    once = prelude.events
    for event in [*once, *lived_in()]:
        prelude(event)
    assert prelude.events == once
    assert [e.cell for e in of(CellRan, once)] == [1, 2, 3, 4]


def test_calls_of_a_cell_that_still_runs_wait_for_it() -> None:
    prelude = heard(call("0", 0))
    assert prelude.events == []
    prelude(cell("0", 1))
    assert [type(event) for event in prelude.events] == [CallEnded, CellRan]


def test_a_new_kernel_has_only_the_context_of_the_old_one() -> None:
    died = cell("0", 1, status="died"), KernelRestarted("0", 1, "killed", [], 7.0)
    assert heard(context_set(3.0), context_set(4.0), *died).events == [context_set(4.0)]
    other = dataclasses.replace(died[1], node="0.1")
    assert len(heard(context_set(3.0), died[0], other).events) == 2


def test_after_a_restart_a_variable_that_was_the_context_is_its_copy() -> None:
    restarted = KernelRestarted("0", 1, "killed", [], 7.0)
    assert heard(context_set(4.0, variable="x"), restarted).events == [context_set(4.0)]
    lost = context_set(4.0, variable="x", kind="variable", sha256=None)
    assert heard(lost, restarted).events == []


def test_a_cleared_prelude_is_empty_and_numbers_go_on() -> None:
    prelude = heard(*lived_in())
    assert next(prelude.numbers.cells) == 1
    prelude.clear()
    assert prelude.events == []
    assert next(prelude.numbers.cells) == 2


# contexts in other runs' folders
async def carried(past: Sequence[Event], folder: Path) -> list[Event]:
    events: list[Event] = []
    await carry(past, folder, events.append)
    return events


async def test_a_context_in_the_blobs_of_one_run_comes_along_to_the_next(tmp_path: Path) -> None:
    digest = "a" * 64
    blob = tmp_path / "one" / "blobs" / digest
    blob.parent.mkdir(parents=True)
    blob.write_text("the bytes")
    past = heard(context_set(sha256=digest), cell("0", 1), folder=tmp_path / "one").events
    (tmp_path / "two").mkdir()
    [carried_over, _] = await carried(past, tmp_path / "two")
    assert carried_over == context_set(sha256=digest)  # without a path: runs may move
    shutil.rmtree(tmp_path / "one")
    assert (tmp_path / "two" / "blobs" / digest).read_text() == "the bytes"


async def test_a_context_at_a_path_of_the_user_stays_there(tmp_path: Path) -> None:
    past = [context_set(path=str(tmp_path / "notes.txt")), cell("0", 1)]
    assert await carried(past, tmp_path / "run") == past


async def test_a_context_that_no_cell_saw_is_left_out(tmp_path: Path) -> None:
    first, second, rows = context_set(1.0), context_set(2.0), context_set(3.0, variable="rows")
    assert await carried([first, second, rows, cell("0", 1)], tmp_path) == [
        second,
        rows,
        cell("0", 1),
    ]


async def test_a_question_about_the_context_as_it_was_sets_none(tmp_path: Path) -> None:
    first, same = context_set(1.0), context_set(2.0, variable="context")
    assert await carried([first, same, cell("0", 1)], tmp_path) == [first, cell("0", 1)]


# questions in a kernel that is lived in
class Life:
    """A kernel with a human's cells and questions in it, each recorded in a folder of its own."""

    def __init__(self, repl: Repl, folder: Path) -> None:
        self.repl = repl
        self.prelude = Prelude()
        self.folder = folder

    async def by_hand(self, source: str) -> str:
        written = Written("0", next(self.prelude.numbers.cells), 1, source, "human")
        ran = await execute(self.repl, written, self.prelude, lambda ran: ran)
        return ran.status

    async def ask(
        self, name: str, lm: ScriptedLM, about: Source | str, question: str = "What is it?"
    ) -> Outcome:
        folder = self.folder / name
        recorder = Recorder(folder)

        def emit(event: Event) -> None:
            recorder(event)
            self.prelude(event, folder)

        model = Model(lm, "scripted", Sampling(), 100_000)
        run = Run(
            root=model,
            sub=model,
            limits=Limits(),
            style=STYLES["strong"],
            emit=emit,
            folder=folder,
            tools=Tools(),
            kernels=KernelTemplate(),
        )
        past, numbers = self.prelude.events, self.prelude.numbers
        source, variable = (None, about) if isinstance(about, str) else (about, None)
        task = Task(question, source, variable=variable, prelude=past, numbers=numbers)
        emit(RunStarted(name, question, settings(run), {}, time.time()))
        try:
            return await solve_tree(run, task, self.repl)
        finally:
            self.repl.calls = Nobody()
            await recorder.close()

    def events(self, name: str) -> list[Event]:
        return journal.read(self.folder / name / "journal.jsonl").events

    async def replayed(self, name: str) -> Verdict:
        """From the run's folder alone, and from its notebook alone if nothing is in a blob."""
        folder = Path(shutil.move(self.folder / name, self.folder / f"moved-{name}"))
        verdict = await replay(trajectory.load(folder), lambda text: None)
        assert Recording.open(folder).problems == []
        if not (folder / "blobs").exists():
            alone = Path(shutil.copy(folder / "trajectory.ipynb", self.folder / f"{name}.ipynb"))
            seen = await replay(trajectory.load(alone), lambda text: None)
            assert seen.differences == verdict.differences
        return verdict

    async def equal(self, name: str) -> Verdict:
        verdict = await self.replayed(name)
        assert (verdict.differences, verdict.ambiguities) == ([], [])
        return verdict


def settings(run: Run) -> dict[str, Any]:
    return {
        "kernel": "python3",
        "tools": [],
        "prompt_chars": run.prompt_chars,
        "max_batch": run.sub.max_batch,
        "limits": dataclasses.asdict(run.limits),
    }


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    async with (
        asyncio.timeout(SECONDS),
        open_repl(Nobody(), KernelSetup(KernelConfig(tmp_path / "cwd"))) as repl,
    ):
        yield Life(repl, tmp_path)


TEXT = contexts.from_value("some text")


async def test_a_question_about_a_humans_variable_replays_alone(life: Life) -> None:
    await life.by_hand("words = ['one', 'two']\nprint('made')")
    lm = script("print(context)\nFINAL_VAR(len(words) + len(context))")
    assert (await life.ask("one", lm, "words")).answer == Answer("4", "int", "4")
    assert "Variables that are there already: words: list of length 2." in told(lm, 1)
    assert "`context`: type list" in told(lm, 1)
    [began] = of(NodeStarted, life.events("one"))
    assert began.context is not None
    assert began.context.spec["variable"] == "words"
    assert (await life.equal("one")).cells == 2


async def test_a_second_question_has_the_first_ones_cells_and_replies(life: Life) -> None:
    first = script("print(context)\nfound = llm_query('one')\nFINAL_VAR(found)")
    await life.ask("one", first, TEXT)
    await life.by_hand("found += '!'")
    await life.ask("two", script("FINAL_VAR(found + llm_query('two'))"), TEXT)
    kept = life.events("two")
    assert [(c.cell, c.turn, c.author) for c in of(CellRan, kept)] == [
        (1, 0, "lm"),
        (2, 0, "human"),
        (3, 1, "lm"),
    ]
    assert [c.call for c in of(CallEnded, kept)] == [1, 2]
    [ended] = of(RunEnded, kept)
    assert (ended.calls, ended.answer) == (1, "<one>!<two>")
    verdict = await life.equal("two")
    assert (verdict.cells, verdict.calls) == (3, 2)
    [node] = Recording.open(life.folder / "moved-two").tree.nodes
    assert (node.turns, node.cells, node.calls) == (1, 1, 1)


async def test_a_child_of_an_earlier_question_is_a_reply_in_the_next_ones_record(
    life: Life,
) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "child?" in messages[1]["content"]:
            return block("FINAL_VAR(context * 2)")
        return block("r = rlm_query('child?', 'ab')\nprint(context)\nFINAL_VAR(r)")

    await life.ask("one", ScriptedLM(turn), TEXT)
    await life.ask("two", ScriptedLM(turn), TEXT)
    assert [e.node for e in of(NodeStarted, life.events("one"))] == ["0", "0.1"]
    assert [e.node for e in of(NodeStarted, life.events("two"))] == ["0", "0.2"]
    assert (await life.equal("two")).calls == 2


async def test_a_long_context_of_an_earlier_question_is_found_again(life: Life) -> None:
    long = contexts.from_value(LONG)
    await life.ask("one", script("n = len(context)\nprint(n)\nFINAL_VAR(n)"), long)
    await life.ask("two", script("print(context)\nFINAL_VAR(n)"), TEXT)
    await life.ask("three", script("print(context[:5])\nFINAL_VAR(n)"), "context")
    shutil.rmtree(life.folder / "one")
    assert len(of(ContextSet, life.events("two"))) == 1
    await life.equal("two")
    await life.equal("three")


async def test_a_long_variable_is_copied_into_the_record(life: Life) -> None:
    await life.by_hand(f"text = {LONG!r}")
    await life.ask("one", script("FINAL_VAR(len(text) == len(context))"), "text")
    [began] = of(NodeStarted, life.events("one"))
    assert began.context is not None
    assert began.context.spec["path"] is None
    assert len(list((life.folder / "one" / "blobs").iterdir())) >= 1
    await life.equal("one")


async def test_a_variable_that_cannot_be_copied_is_taken_by_name(life: Life) -> None:
    await life.by_hand("import threading\nlock = threading.Lock()")
    await life.ask("one", script("FINAL_VAR(context is lock)"), "lock")
    [began] = of(NodeStarted, life.events("one"))
    assert began.context is not None
    assert (began.context.spec["kind"], began.context.spec["sha256"]) == ("variable", None)
    await life.equal("one")


async def test_a_variable_that_is_another_now_is_a_difference(life: Life) -> None:
    await life.by_hand("import time\nnow = str(time.time_ns())")
    await life.ask("one", script("n = len(context)\nFINAL_VAR(n)"), "now")
    verdict = await life.replayed("one")
    assert verdict.differences == [
        "node 0: the variable now, which was the context, is not what it was"
    ]


async def test_a_variable_of_an_interrupted_cell_is_its_copy(life: Life) -> None:
    await life.by_hand("left = 'over'")
    prelude = life.prelude.events  # as if the cell had been interrupted after its assignment
    [made] = of(CellRan, prelude)
    life.prelude = Prelude()
    life.prelude(dataclasses.replace(made, status="interrupted"))
    next(life.prelude.numbers.cells)
    await life.ask("one", script("FINAL_VAR(context)"), "left")
    assert (await life.equal("one")).cells == 1


async def test_a_variable_without_a_copy_that_is_not_made_again_is_a_difference(
    life: Life,
) -> None:
    await life.by_hand("import threading\nlock = threading.Lock()")
    life.prelude.clear()
    await life.ask("one", script("n = 1\nprint(context is not None)\nFINAL_VAR(n)"), "lock")
    verdict = await life.replayed("one")
    assert "node 0: there is no variable 'lock'; there are: none" in verdict.differences


async def test_a_variable_that_is_not_there_is_the_askers_error(life: Life) -> None:
    await life.by_hand("words = 1")
    with pytest.raises(ContextError, match="no variable 'wrods'; there are: words"):
        await life.ask("one", script(), "wrods")
    read = journal.read(life.folder / "one" / "journal.jsonl")
    assert read.sealed
    ended = read.events[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.status, "wrods" in (ended.reason or "")) == ("failed", True)
    assert of(NodeStarted, read.events) == []


async def test_cells_of_a_kernel_that_died_are_not_told_again(life: Life) -> None:
    await life.by_hand("gone = 1")
    await life.ask("one", script("print(context)\nFINAL_VAR(gone)"), TEXT)
    assert await life.by_hand("import os; os._exit(1)") == "died"
    await life.by_hand("print(context)")
    lm = script("FINAL_VAR(context + ' again')", "FINAL_VAR(context)")
    await life.ask("two", lm, TEXT)
    assert [c.source for c in of(CellRan, life.events("two")) if c.turn == 0] == ["print(context)"]
    assert "gone" not in told(lm, 1)
    await life.equal("two")


async def test_a_kernel_found_dead_by_a_question_has_no_prelude(life: Life) -> None:
    await life.by_hand("gone = 1")
    os.kill(life.repl.kernel.pid, signal.SIGKILL)
    while life.repl.kernel.alive:
        await asyncio.sleep(0.01)
    await life.ask("one", script("FINAL_VAR(context)"), TEXT)
    kept = life.events("one")
    assert len(of(KernelRestarted, kept)) == 1
    assert [c.turn for c in of(CellRan, kept)] == [1]
    await life.equal("one")
    assert [c.source for c in of(CellRan, life.prelude.events)] == ["FINAL_VAR(context)"]


async def test_an_answer_from_an_earlier_variable_is_not_doubted(life: Life) -> None:
    await life.by_hand("seen = 'before'")
    lm = script("FINAL_VAR(seen)")
    assert (await life.ask("one", lm, TEXT)).answer == Answer.of_text("before")
    assert len(lm.asked) == 1
