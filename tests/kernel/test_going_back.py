"""``%rlm back``: a notebook's kernel put back to where it was after one of its cells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, block, running_kernel
from records import events, replayed, runs

from rlm_kernel.events import KernelRestarted


@pytest.fixture
def kernel_here(lm: LM, tmp_path: Path) -> Iterator[RunningKernel]:
    """A kernel of the test's own, whose cells are numbered from 1."""
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        yield kernel


@pytest.fixture
def front(kernel_here: RunningKernel) -> Front:
    return kernel_here.front()


def _back(front: Front, cell: int) -> str:
    shown = front.run(f"%rlm back {cell}")
    assert shown.status == "ok", shown.error
    return shown.shown


def test_a_kernel_goes_back_by_its_snapshot_and_by_replay(front: Front) -> None:
    front.run("squares = (i * i for i in range(9)); n = [next(squares)]")  # no snapshot
    front.run("%rlm snapshots on\nn.append(next(squares))")
    assert front.run("n.append(next(squares)); later = 1; n").result == "[0, 1, 4]"
    said = _back(front, 2)
    assert "after cell 2" in said
    assert "by its snapshot" in said
    assert "gone: later" in said
    assert front.run("n.append(next(squares)); n").result == "[0, 1, 4]"
    said = _back(front, 1)
    assert "by replay (there is no snapshot of it)" in said
    assert front.run("n, next(squares)").result == "([0], 1)"
    listed = front.run("%rlm back").shown
    assert "n.append" not in listed


def test_a_cell_that_is_not_there_is_refused_with_those_that_are(front: Front) -> None:
    front.run("x = 1")
    refused = front.run("%rlm back 7")
    assert refused.error[0] == "UsageError"
    assert "no cell 7" in refused.error[1]
    assert front.run("%rlm back nowhere").error[0] == "UsageError"
    assert front.run("x").result == "1"


def test_a_record_of_undone_cells_replays_equal(
    lm: LM, kernel_here: RunningKernel, front: Front
) -> None:
    front.run("%rlm snapshots on\nn = [llm_query('first')]; print(n)")
    front.run("n.append(llm_query('undone')); print(n)")
    front.run("n.append(3)")
    _back(front, 1)
    front.run("n.append(llm_query('second')); print(len(n))")
    lm.say(block("print(n, context)\nFINAL_VAR(str(len(n)))"))
    assert front.run("context = 'abc'").status == "ok"
    assert front.run("%%rlm\nHow many?").result == "2"
    kernel_here.shut_down()
    by_hand, question = runs(kernel_here)
    [went] = [e for e in events(by_hand) if isinstance(e, KernelRestarted)]
    assert (went.back_to, went.lost) == (1, [])
    for folder in (by_hand, question):
        verdict = replayed(folder)
        assert (verdict.result, verdict.differences) == ("equal", [])
    assert "undone" not in (question / "journal.jsonl").read_text()


def test_a_cell_of_ones_own_that_kills_the_kernel_costs_that_cell(
    kernel_here: RunningKernel, front: Front
) -> None:
    front.run("%rlm snapshots on\nn = [llm_query('first')]; print(n)")
    died = front.run("n.append(llm_query('dying'))\nimport os; os._exit(3)")
    assert died.error[0] == "KernelDied"
    assert "as after cell 1" in died.error[1]
    after = front.run("print(len(n), llm_query('after'))")
    assert after.stream("stdout") == "1 <after>\n"
    kernel_here.shut_down()
    [by_hand] = runs(kernel_here)
    [went] = [e for e in events(by_hand) if isinstance(e, KernelRestarted)]
    assert (went.cell, went.back_to, went.by) == (2, 1, "snapshot")
    assert replayed(by_hand).differences == []


SLOW_HISTORY = """
import time
history = get_ipython().history_manager
real = history.writeout_cache
def slow(*given):
    time.sleep(0.3)
    real(*given)
history.writeout_cache = slow
"""


def test_a_snapshot_that_comes_while_the_history_is_written_does_not_stop_the_kernel(
    front: Front,
) -> None:
    front.run("%rlm snapshots on")
    front.run(SLOW_HISTORY)
    assert [front.run(f"{n}").result for n in range(3)] == ["0", "1", "2"]
