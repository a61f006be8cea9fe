"""Branches: several continuations of a run from one cell at once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from asking import ask, block, cells, check_whole, events, of, script

from rlm_kernel import RLM, Result, UsageError
from rlm_kernel.events import CallEnded, KernelRestarted
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM
from tests.modals import image

FIRST = """
import random
squares = (i * i for i in range(99)); print(next(squares), random.random(), llm_query('once'))
open('note.txt', 'w').write('begun')
"""
LAST = "print(next(squares), random.random(), open('note.txt').read())\nFINAL_VAR(next(squares))"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return ask(script(FIRST, "half = 1", LAST), tmp_path_factory.mktemp("branches") / "run")


def _result(folder: Path) -> str:
    verdict = engine().run(replay(trajectory.load(folder), lambda text: None))
    return f"{verdict.result} {verdict.differences}"


def test_branches_go_on_from_one_live_kernel_and_each_replays_equal(
    run: Result, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = iter(range(9))

    def turn(messages: object) -> str:
        return block(f"open('note.txt', 'a').write(' {next(asked)}')\n{LAST}")

    lm = ScriptedLM(turn, lambda prompt: "")
    with caplog.at_level(logging.INFO), RLM(model=lm, out=tmp_path / "out") as rlm:
        results = rlm.branches(run.trajectory, 3, 4)
    assert "the branches are forks of one live kernel" in caplog.text
    assert [result.response for result in results] == ["4"] * 4
    assert len({result.trajectory for result in results}) == 4
    assert lm.prompts == []  # the call before the branch is answered from the record
    assert sorted(map(_note, results)) == [f"begun {n}" for n in range(4)]
    for result in results:
        check_whole(result)
        assert [cell.status for cell in cells(result)] == ["ok"] * 3
        assert "begun" in str(cells(result)[-1].outputs)
        assert [call.usage.requests for call in of(CallEnded, events(result))] == [0]
        assert _result(result.trajectory.parent) == "equal []"


def test_a_branch_that_kills_its_kernel_leaves_the_others_alone(
    run: Result, tmp_path: Path
) -> None:
    said = (
        "kept = 1",
        "import os, random, time\ntime.sleep(0.5 * random.random())\nos._exit(3)",
        "print(context)\nFINAL_VAR('alive')",
    )

    def turn(messages: list[dict[str, object]]) -> str:
        return block(said[sum(m["role"] == "assistant" for m in messages) - 2])

    lm = ScriptedLM(turn, lambda prompt: "")
    with RLM(model=lm, out=tmp_path / "out", snapshots="on") as rlm:
        results = rlm.branches(run.trajectory, 3, 2)
    assert [result.response for result in results] == ["alive"] * 2
    for result in results:
        assert [cell.status for cell in cells(result)][2:] == ["ok", "died", "ok"]
        [died] = of(KernelRestarted, events(result))
        assert "exit code 3" in died.reason


def _note(result: Result) -> str:
    return (result.trajectory.parent / "files" / "0" / "note.txt").read_text()


def test_branches_of_a_kernel_that_cannot_be_forked_run_its_cells_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begin = "import threading; over = threading.Event()\nthreading.Thread(target=over.wait).start()"
    first = ask(script(begin, "over.set(); FINAL_VAR(context)"), tmp_path / "run")
    with caplog.at_level(logging.INFO), RLM(model=_answers(), out=tmp_path / "out") as rlm:
        results = rlm.branches(first.trajectory, 2, 2)
    assert "each branch runs the cells before it again" in caplog.text
    assert "the thread" in caplog.text
    assert [result.response for result in results] == ["some text"] * 2


@pytest.mark.needs("docker")
def test_a_branch_of_a_run_in_a_container_has_one_of_its_own_and_says_so(
    run: Result, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lm = ScriptedLM(lambda messages: block(LAST), lambda prompt: "")
    docker = {"environment": "docker", "image": image()}
    with caplog.at_level(logging.INFO), RLM(model=lm, out=tmp_path / "out", **docker) as rlm:
        [result] = rlm.branches(run.trajectory, 3, 1)
    said = "each branch runs the cells before it again, in a sandbox of its own (docker)"
    assert said in caplog.text
    assert [cell.status for cell in cells(result)][:3] == ["ok"] * 3


def _answers() -> ScriptedLM:
    return ScriptedLM(lambda messages: block("over.set(); FINAL_VAR(context)"), lambda prompt: "")


def test_too_many_branches_are_refused(run: Result) -> None:
    with RLM(model=_answers()) as rlm, pytest.raises(UsageError, match="from 1 to 64"):
        rlm.branches(run.trajectory, 3, 65)
