"""``%rlm fork``: the LM goes on several times at once, in forks of the notebook's kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import LM, Front, RunningKernel, Withheld, block, running_kernel
from records import events, replayed, runs

from rlm_kernel.events import RunEnded, RunStarted

BEGIN = "squares = (i * i for i in range(9)); n = [next(squares), llm_query('once')]; print(n)"
LOOK = "print(len(context), next(squares))"


@pytest.fixture
def kernel_here(lm: LM, tmp_path: Path) -> Iterator[RunningKernel]:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        yield kernel


@pytest.fixture
def front(kernel_here: RunningKernel) -> Front:
    return kernel_here.front()


def _origin(run: Path) -> dict[str, Any]:
    [started] = [event for event in events(run) if isinstance(event, RunStarted)]
    return dict(started.settings["origin"])


def test_an_lm_goes_on_in_forks_of_a_live_kernel_which_stays_as_it_was(
    lm: LM, kernel_here: RunningKernel, front: Front
) -> None:
    front.run(f"context = 'abc'; {BEGIN}")
    lm.say(block(LOOK), block("FINAL_VAR(str(next(squares)))"))
    assert front.run("%%rlm\nWhich one?").result == "4"
    before = set(runs(kernel_here))
    lm.say(*[block("print(len(context))\nFINAL_VAR(str(next(squares)))")] * 2)
    said = front.run('%rlm fork --branches 2 --note "Take the next one."')
    assert said.status == "ok", said.error
    assert said.shown.count("a fork of this one") == 2
    assert front.run("next(squares)").result == "9"
    kernel_here.shut_down()
    made = set(runs(kernel_here)) - before
    assert len(made) == 2
    for run in made:
        assert _origin(run)["kind"] == "continue"
        assert "Take the next one." in (run / "journal.jsonl").read_text()
        verdict = replayed(run)
        assert (verdict.result, verdict.differences) == ("equal", [])


def test_what_a_fork_would_lose_lets_the_cells_run_again_and_is_said(
    lm: LM, kernel_here: RunningKernel, front: Front
) -> None:
    thread = "import threading; over = threading.Event(); t = threading.Thread(target=over.wait)"
    front.run(f"context = 'abc'; {BEGIN}\n{thread}\nt.daemon = True; t.start()")
    lm.say(block("print(context)\nFINAL_VAR('one')"), block("print(context)\nFINAL_VAR(str(n))"))
    assert front.run("%%rlm\nWhich one?").result == "one"
    said = front.run("%rlm fork").shown
    assert "its cells ran again: a fork would lose the thread" in said
    assert "<once>" in said


def test_there_must_be_a_question_and_a_number(front: Front) -> None:
    assert "no question here to continue" in front.run("%rlm fork").error[1]
    assert "give a number" in front.run("%rlm fork --branches many").error[1]


def test_an_interrupt_ends_all_branches_and_leaves_the_kernel(
    lm: LM, kernel_here: RunningKernel, front: Front
) -> None:
    front.run("context = 'abc'; kept = [1]")
    lm.say(block("print(context)\nFINAL_VAR('one')"))
    front.run("%%rlm\nWhich one?")
    held = [Withheld(block("1")) for _ in range(2)]
    lm.say(*held)
    identity = front.start("%rlm fork --branches 2")
    for reply in held:
        reply.wait_asked()
    front.interrupt()
    assert front.finish(identity).status == "error"
    assert front.run("kept").result == "[1]"
    kernel_here.shut_down()
    ended = [e for run in runs(kernel_here) for e in events(run) if isinstance(e, RunEnded)]
    assert sorted(each.status for each in ended) == ["answered", "interrupted", "interrupted"]
