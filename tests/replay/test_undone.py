"""Records of runs in which a cell ended its kernel, with a snapshot before it and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, block, cells, events, of, script, told

from rlm_kernel import RLM, Result
from rlm_kernel.events import KernelRestarted
from rlm_kernel.record import trajectory
from rlm_kernel.record.provenance import trace
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM

TURNS = (
    "import random\nkept = [context]; squares = (i * i for i in range(9)); print(next(squares))",
    "kept.append(llm_query('dying')); next(squares); random.random()\nimport os; os._exit(3)",
    "print(kept, next(squares), llm_query('after'), random.random())\nFINAL_VAR(len(kept))",
)


def _lm() -> ScriptedLM:
    """The LM writes for a while, in which a snapshot is taken."""
    return ScriptedLM([block(turn) for turn in TURNS], lambda prompt: "", latency_s=0.25)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run whose second cell of three ends its kernel, which goes back to its snapshot."""
    return ask(_lm(), tmp_path_factory.mktemp("undone") / "run", snapshots="on")


def _verdict(path: Path) -> Verdict:
    return engine().run(replay(trajectory.load(path), lambda text: None))


def test_a_cell_that_ends_its_kernel_costs_that_cell(run: Result) -> None:
    assert (run.status, run.response) == ("answered", "1")
    [restart] = of(KernelRestarted, events(run))
    assert (restart.cell, restart.back_to, restart.by, restart.lost) == (2, 1, "snapshot", [])
    assert [cell.status for cell in cells(run)] == ["ok", "died", "ok"]


def test_the_lm_is_told_what_was_lost_and_why(tmp_path: Path) -> None:
    lm = _lm()
    ask(lm, tmp_path / "run", snapshots="on")
    assert "exit code 3" in told(lm, 3)
    assert "back to where it was before this cell" in told(lm, 3)
    assert "are lost" not in told(lm, 3)


@pytest.mark.parametrize("name", ["", "trajectory.ipynb"])
def test_it_replays_equal_without_running_that_cell_again(run: Result, name: str) -> None:
    verdict = _verdict(run.trajectory.parent / name)
    assert (verdict.result, verdict.differences) == ("equal", [])
    assert (verdict.cells, verdict.calls) == (2, 1)


def test_a_fork_after_it_finds_the_kernel_as_it_was(run: Result, tmp_path: Path) -> None:
    lm = script("print(kept, next(squares), llm_query('after'))\nFINAL_VAR('forked')")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory, 3)
    assert fork.response == "forked"
    assert [cell.status for cell in cells(fork)] == ["ok", "died", "ok"]
    assert "['some text'] 1 " in str(cells(fork)[-1].outputs)
    assert _verdict(fork.trajectory.parent).result == "equal"


def test_a_fork_before_it_runs_what_the_lm_writes_there(run: Result, tmp_path: Path) -> None:
    with RLM(model=script("print(kept)\nFINAL_VAR('other')"), out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory, 2)
    assert [cell.status for cell in cells(fork)] == ["ok", "ok"]
    assert _verdict(fork.trajectory.parent).result == "equal"


def test_the_provenance_of_the_answer_leaves_it_out(run: Result) -> None:
    [origin] = trace(events(run))
    assert 2 not in [step.cell for step in origin.steps]
