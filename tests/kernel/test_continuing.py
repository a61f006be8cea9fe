"""``%rlm continue``: the LM goes on in the same kernel, after the human had a hand in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from harness import LM, Front, RunningKernel, Withheld, block, running_kernel
from records import check_equal, runs
from replay_helpers import small

from rlm_kernel.events import CellRan, RunStarted
from rlm_kernel.record import journal

END = block("print(len(context))\nFINAL_VAR(f'{made} and {mine}')")


@pytest.fixture
def kernel(lm: LM, tmp_path: Path) -> Iterator[RunningKernel]:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        yield kernel


@pytest.fixture
def front(kernel: RunningKernel) -> Front:
    return kernel.front()


def _turns(lm: LM) -> list[list[dict[str, Any]]]:
    """What the LM was told before each of its turns."""
    return [exchange.messages for exchange in lm.endpoint.log if exchange.stream]


def _last(lm: LM) -> list[str]:
    """The contents of what the LM was last told, message by message."""
    return [str(message["content"]) for message in _turns(lm)[-1]]


def _origin(run: Path) -> dict[str, object]:
    events = journal.read(run / "journal.jsonl").events
    return next(e for e in events if isinstance(e, RunStarted)).settings["origin"]


def test_after_a_limit_the_lm_goes_on_with_what_the_human_did(
    lm: LM, kernel: RunningKernel, front: Front
) -> None:
    front.run("context = 'some text'")
    lm.say(block("made = len(context)\nprint('made', made)"))
    assert front.run("%%rlm --max-turns 1\nWhat is it?").error[0] == "LimitReached"
    front.run("made = 'changed'\nmine = 7\nprint('by hand')")
    lm.say(END)
    done = front.run("%rlm continue\nmind the prices")
    assert done.result == "changed and 7"
    *_, told = _last(lm)
    assert "Output:\nmade 9" in told
    assert "made = 'changed'\nmine = 7" in told
    assert "by hand" in told
    assert "The human says: mind the prices" in told
    assert [m["role"] for m in _turns(lm)[-1]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    first, second = runs(kernel)
    assert _origin(second)["run"] == first.name
    assert _origin(second)["kind"] == "continue"
    check_equal(second)
    authors = [
        (e.author, e.source.split("\n")[0])
        for e in journal.read(second / "journal.jsonl").events
        if isinstance(e, CellRan)
    ]
    assert ("lm", "made = len(context)") in authors
    assert ("human", "made = 'changed'") in authors
    header = nbformat.read(second / "trajectory.ipynb", as_version=4).cells[0].source
    assert "Goes on from run" in header


def test_an_interrupted_question_goes_on(lm: LM, kernel: RunningKernel, front: Front) -> None:
    front.run("context = 'some text'")
    held = Withheld(END)
    lm.say(block("made = 1\nprint('made')"), held)
    asked = front.start("%%rlm\nWhat is it?")
    held.wait_asked()
    front.interrupt()
    assert front.finish(asked).error[0] == "KeyboardInterrupt"
    held.release()
    front.run("mine = made + 1")
    lm.say(END)
    assert front.run("%rlm continue").result == "1 and 2"
    assert "mine = made + 1" in _last(lm)[-1]
    for run in runs(kernel):
        check_equal(run)


def test_a_kernel_that_died_meanwhile_is_told(lm: LM, front: Front) -> None:
    front.run("context = 'some text'")
    lm.say(block("made = 1\nprint('made')"))
    front.run("%%rlm --max-turns 1\nWhat is it?")
    front.run("import os; os._exit(1)", stop_on_error=False)
    front.run("context = 'some text'\nmade = mine = 3")
    lm.say(END)
    assert front.run("%rlm continue").result == "3 and 3"
    assert "the variables that you made are gone" in _last(lm)[-1]


def test_a_recorded_run_goes_on_from_a_cell_that_the_human_edits(
    lm: LM, kernel: RunningKernel, front: Front, tmp_path: Path
) -> None:
    cells = ("made = len(context)\nprint(made)", "mine = 1\nprint(mine)", "FINAL_VAR('all done')")
    recorded = small(tmp_path / "first", "some text", cells)
    shutil.copytree(recorded.trajectory.parent, kernel.cwd, dirs_exist_ok=True)
    front.run("%rlm replay")
    assert front.run(cells[0]).stream() == "9\n"
    assert front.run("mine = 'edited'").status == "ok"
    assert front.run("%%rlm\nWhat else?").error[0] == "UsageError"
    lm.say(END)
    assert front.run("%rlm continue\ngo on").result == "9 and edited"
    *_, told = _last(lm)
    assert "Output:\n9" in told
    assert "mine = 'edited'" in told
    [run] = [run for run in runs(kernel) if run != kernel.cwd]
    assert _origin(run) == {"kind": "continue", "run": "first", "cell": 1}
    check_equal(run)
    assert front.run("%rlm verdict").error[0] == "UsageError"


def test_a_recorded_run_goes_on_from_its_beginning(
    lm: LM, kernel: RunningKernel, front: Front, tmp_path: Path
) -> None:
    recorded = small(tmp_path / "first", "some text", ("print(context)", "FINAL_VAR('all done')"))
    shutil.copytree(recorded.trajectory.parent, kernel.cwd, dirs_exist_ok=True)
    front.run("%rlm replay")
    front.run("made = mine = 'by hand'")
    lm.say(END)
    assert front.run("%rlm continue").result == "by hand and by hand"
    _, told = _last(lm)
    assert "Question:" in told
    assert "made = mine = 'by hand'" in told


def test_a_notebook_alone_does_not_go_on(
    kernel: RunningKernel, front: Front, tmp_path: Path
) -> None:
    recorded = small(tmp_path / "first", "some text", ("print(context)", "FINAL_VAR('all done')"))
    shutil.copy(recorded.trajectory, kernel.cwd / "mailed.ipynb")
    front.run("%rlm replay")
    assert "in the record beside the root's notebook" in front.run("%rlm continue").error[1]


def test_with_nothing_to_go_on_from_it_says_so(front: Front) -> None:
    assert "there is no question here to continue" in front.run("%rlm continue").error[1]


def test_after_a_limit_the_lm_is_told_that_it_was_one_and_what_it_may_use_now(
    lm: LM, front: Front
) -> None:
    front.run("context = 'some text'")
    lm.say(block("made = len(context)\nprint('made', made)"))
    limited = front.run("%%rlm oslo --max-turns 1\nWhat is it?")
    assert "`%rlm continue --max-turns 2` goes on" in limited.error[1]
    lm.say(block("print(context)"), block("FINAL_VAR(made)"))
    assert front.run("%rlm continue --max-turns 2").result == "9"
    told = "\n".join(str(message["content"]) for message in _turns(lm)[-2])
    assert "Your run was ended here by a limit (limit reached: turns: spent 1, allowed 1)" in told
    assert "The human stopped you here" not in told
    assert "You have 2 turns, 2,000 sub-calls" in told
    assert front.run("oslo").result == "9", "bound to the name of the question"


@pytest.mark.parametrize("wrong", ["--context x", "oslo", "--max-turns no"])
def test_continue_takes_settings_only(front: Front, wrong: str) -> None:
    assert front.run(f"%rlm continue {wrong}").error[0] == "UsageError"


def test_a_follow_up_is_told_the_question_before_it_and_where_its_answer_is(
    lm: LM, front: Front
) -> None:
    front.run("context = 'some text'")
    lm.say(block("FINAL_VAR(len(context))"))
    front.run("%%rlm size\nHow long is it?")
    lm.say(block("FINAL_VAR(context)"))
    front.run("%%rlm\nAnd what is it?")
    first = _turns(lm)[-1][1]["content"]
    assert "- How long is it? -> 9 (in `size`)" in first
    assert "Variables that are there already: size: int." in first
