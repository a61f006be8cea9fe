"""Runs whose sandbox ends in the middle, and what they cost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, calls, cells, check_whole, events, of, script, told

from rlm_kernel import Limits, cli
from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.environments.modal.prices import per_second
from rlm_kernel.events import KernelRestarted, NodeEnded
from rlm_kernel.record import loading
from rlm_kernel.testing import FakeEndpoint, ScriptedLM
from tests.modals import TRANSPORTS
from tests.plane import ControlPlane

pytestmark = pytest.mark.needs("plane")
LAST = "print('kept' in globals(), context)\nFINAL_VAR(context + llm_query('last'))"


class Attacked:
    """An LM in whose run the sandbox is killed once: before the second turn, while a batch is
    answered, or while a cell computes."""

    def __init__(self, plane: ControlPlane, moment: str) -> None:
        self.lm = ScriptedLM(self._turn, self._sub)
        self._plane = plane
        self._moment = moment
        self._turns = iter(
            [
                "kept = len(context)\nprint(kept)",
                {
                    "between turns": "print(kept)",
                    "in a batch": "while True: llm_query_batched([f'item {n}' for n in range(40)])",
                    "in a cell": "llm_query('now')\nwhile True: pass",
                }[moment],
                LAST,
            ]
        )
        self._turn_number = 0
        self._begun = threading.Event()

    def _kill(self) -> None:
        [running] = self._plane.running()
        self._plane.kill(running)

    def _turn(self, messages: list[dict[str, Any]]) -> str:
        self._turn_number += 1
        if self._moment == "between turns" and self._turn_number == 2:
            self._kill()
        return block(next(self._turns))

    def _sub(self, prompt: str) -> str:
        if prompt in ("item 20", "now") and not self._begun.is_set():
            self._begun.set()
            threading.Thread(target=self._kill).start()
        return f"<{prompt}>"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("moment", ["between turns", "in a batch", "in a cell"])
def test_a_run_goes_on_in_a_new_sandbox_and_the_lm_is_told(
    plane: ControlPlane, tmp_path: Path, moment: str, transport: str
) -> None:
    attacked = Attacked(plane, moment)
    result = ask(
        attacked.lm, tmp_path / "run", "the text", environment="modal", transport=transport
    )
    assert (result.status, result.response) == ("answered", "the text<last>")
    notice = told(attacked.lm, 3)
    assert "the sandbox was killed (exit code 137)" in notice
    assert "these variables are lost: kept" in notice
    [restart] = of(KernelRestarted, events(result))
    assert (restart.cell, restart.lost) == (2, ["kept"])
    assert [cell.status for cell in cells(result)] == ["ok", "died", "ok"]
    assert {call.prompt for call in calls(result) if call.cell == 3} == {"last"}
    check_whole(result)


def test_what_a_sandbox_costs_is_in_the_account_of_the_run(
    plane: ControlPlane, tmp_path: Path
) -> None:
    lm = ScriptedLM(
        lambda messages: block(
            "print(context)\nFINAL_VAR('of the child')"
            if ": child?" in messages[1]["content"]
            else "print(rlm_query('child?', 'its text'), context)\nFINAL_VAR(context)"
        )
    )
    result = ask(lm, tmp_path / "run", "the text", environment="modal", memory="512m", cpus=0.25)
    ends = {end.node: end.usage.cost for end in of(NodeEnded, events(result))}
    rate = per_second(0.25, 512 << 20)
    assert rate.whole
    assert 0 < ends["0.1"] < ends["0"] <= rate.known * 60
    assert result.usage.cost == pytest.approx(ends["0"] + ends["0.1"])
    tree = loading.load(result.trajectory.parent).tree
    assert tree.usage.cost == pytest.approx(result.usage.cost)


def test_a_sandbox_that_costs_too_much_ends_the_run_at_its_limit(
    plane: ControlPlane, tmp_path: Path
) -> None:
    lm = script("print(len(context))", "llm_query('more')", "FINAL_VAR('never')")
    result = ask(
        lm,
        tmp_path / "run",
        "the text",
        environment="modal",
        limits=Limits(cost=1e-9),
    )
    assert result.status == "limit"
    assert "cost" in str(result.reason)


def test_the_commands_run_look_and_clean_up(
    plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("some text")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "note").write_text("of the host")
    turn = block("FINAL_VAR(context + ', ' + open('/mnt/data/note').read())")
    where = ["--context", str(tmp_path / "text"), "--out", str(tmp_path / "run")]
    place = ["--env", "modal", "--mounts", str(tmp_path / "data"), "--secrets", "shop"]
    with FakeEndpoint(lambda request: turn) as lm:
        endpoint = ["--base-url", lm.base_url, "--model", "fake-model"]
        assert cli.main(["run", "What?", *place, *where, *endpoint]) == 0
        assert capsys.readouterr().out == "some text, of the host\n"
        assert cli.main(["doctor", "--env", "modal", *endpoint]) == 0
    said = capsys.readouterr().out
    assert "kernel in modal: starts and runs a cell" in said
    assert "sandboxes: none left behind" in said
    assert cli.main(["clean", "--env", "modal"]) == 0
    assert capsys.readouterr().out == "0 removed\n"
    assert cli.main(["replay", str(tmp_path / "run"), "--env", "local"]) == 1
    assert "it ended as error, in the record as ok" in capsys.readouterr().out


def test_a_secret_that_is_named_is_there_and_no_other(plane: ControlPlane, tmp_path: Path) -> None:
    look = "import os\nprint(context)\nFINAL_VAR([os.environ.get(n) for n in ('SHOP', 'BANK')])"
    place = {"environment": "modal", "secrets": ("shop",)}
    assert ask(script(look), tmp_path / "run", "x", **place).response == "['open', None]"


def test_a_batch_has_a_sandbox_for_each_live_run_and_leaves_none(
    plane: ControlPlane, tmp_path: Path
) -> None:
    seen: set[int] = set()

    def turn(messages: list[dict[str, Any]]) -> str:
        seen.add(len(plane.running()))
        return block("print(context)\nFINAL_VAR(context.upper())")

    tasks = [
        {"question": "Loud?", "context": f"text {n}", "expected": f"TEXT {n}"} for n in range(7)
    ]
    plan = Plan(concurrency=3, notebook=False)
    lm = ScriptedLM(turn)
    summary = run_batch(tasks, tmp_path / "results", plan, model=lm, environment="modal")
    results = summary.results.results
    assert [(result.status, result.correct) for result in results] == [("answered", True)] * 7
    assert 1 < max(seen) <= 3
    assert all(result.cost for result in results)
