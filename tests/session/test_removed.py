"""A run whose folder is taken away while it runs: the answer is given, and that it is not recorded
is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import block
from batching import number, results_of, tasks, turn

from rlm_kernel import RLM, cli
from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.record import journal
from rlm_kernel.testing import FakeEndpoint, ScriptedLM

Take = Callable[[Path], object]


def move(run: Path) -> None:
    run.rename(run.with_name("moved"))


def replace(run: Path) -> None:
    shutil.rmtree(run)
    run.write_text("a file")


def replace_record(run: Path) -> None:
    (run / "journal.jsonl").unlink()
    (run / "journal.jsonl").write_text("another")


def block_notebook(run: Path) -> None:
    (run / "trajectory.ipynb").unlink(missing_ok=True)
    (run / "trajectory.ipynb").mkdir()
    (run / "trajectory.ipynb" / "x").touch()


TAKEN: dict[str, Take] = {
    "removed": shutil.rmtree,
    "moved": move,
    "a file now": replace,
    "without its record": lambda run: (run / "journal.jsonl").unlink(),
    "with another record": replace_record,
    "without a place for its notebook": block_notebook,
}


def taking(take: Take, run: Path, when: Callable[[list[dict[str, Any]]], bool]) -> Any:
    """Turns of an LM that looks at the context, and answers after the run's folder was taken."""

    def turns(messages: list[dict[str, Any]]) -> str:
        if not any(message["role"] == "assistant" for message in messages):
            return block("print(len(context))")
        if when(messages):
            take(run)
        return block("FINAL_VAR(context)")

    return turns


@pytest.fixture(scope="module")
def rlm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RLM, dict[str, Any]]]:
    """An RLM with one kernel, in whose second turn something is done to its run's folder."""
    what: dict[str, Any] = {}
    home = tmp_path_factory.mktemp("home")

    def take(run: Path) -> None:
        newest = max((home / "rlm-runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        what["take"](newest)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        lm = ScriptedLM(taking(take, home, lambda messages: True))
        with RLM(model=lm, persistent=True) as asking:
            yield asking, what


@pytest.mark.parametrize("name", TAKEN)
def test_the_answer_is_given_and_it_is_said_that_it_is_not_recorded(
    rlm: tuple[RLM, dict[str, Any]], name: str
) -> None:
    asking, what = rlm
    what["take"] = TAKEN[name]
    result = asking.completion("some text", "What is it?")
    assert (result.status, result.response) == ("answered", "some text")
    assert str(result.trajectory.parent) in str(result.unrecorded)
    assert "\n" not in str(result.unrecorded)
    shutil.rmtree(result.trajectory.parents[1])
    what["take"] = lambda run: None
    result = asking.completion("some text", "What is it?")
    assert (result.response, result.unrecorded) == ("some text", None)


def test_the_command_gives_the_answer_and_another_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "a.txt"
    text.write_text("some text")
    turns = taking(shutil.rmtree, tmp_path / "run", lambda messages: True)
    for name in list(os.environ):
        if name.startswith(("RLM_", "OPENAI_")):
            monkeypatch.delenv(name)

    def said(request: dict[str, Any]) -> str:
        return str(turns(request["messages"]))

    with FakeEndpoint(said) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
        words = ["run", "What?", "--context", str(text), "--out", str(tmp_path / "run")]
        assert cli.main([*words, "--model", "fake", "--quiet"]) == 1
    told = capsys.readouterr()
    assert told.out == "some text\n"
    assert "rlm: the run is not recorded: " in told.err
    assert "was removed, moved or replaced" in told.err
    assert not (tmp_path / "run").exists()


def test_in_a_batch_it_is_a_failed_run_with_its_answer_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    out = tmp_path / "results"

    def turns(messages: list[dict[str, Any]]) -> str:
        if number(messages) == 2 and any(m["role"] == "assistant" for m in messages):
            shutil.rmtree(out / "runs" / "2")
        return turn(messages)

    lm = ScriptedLM(turns, lambda prompt: f"<{prompt}>")
    run_batch(tasks(3), out, Plan(notebook=False), model=lm)
    found = results_of(out)
    assert [found[n].status for n in "123"] == ["answered", "failed", "answered"]
    assert (found["2"].answer, found["2"].trajectory) == ("2", None)
    assert "was removed, moved or replaced" in str(found["2"].reason)
    again = ScriptedLM(turn, lambda prompt: f"<{prompt}>")
    run_batch(tasks(3), out, Plan(notebook=False, retry_failed=True), model=again)
    assert {found.status for found in results_of(out).values()} == {"answered"}
    assert journal.read(out / "runs" / "2" / "journal.jsonl").sealed


def test_an_answer_that_the_record_cannot_take_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long answer is a blob: its folder is gone."""
    monkeypatch.chdir(tmp_path)
    source = "import shutil\nprint(len(context))\nx = 'x' * 100_000"

    def turns(messages: list[dict[str, Any]]) -> str:
        if not any(message["role"] == "assistant" for message in messages):
            return block(source)
        (tmp_path / "run" / "blobs").write_text("no folder")
        return block("FINAL_VAR(x)")

    with RLM(model=ScriptedLM(turns), out=tmp_path / "run") as asking:
        result = asking.completion("some text", "What is it?")
    assert result.status == "failed"
    assert result.response == "x" * 100_000
    assert "blobs" in str(result.unrecorded)
