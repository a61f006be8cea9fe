"""Runs as rows to learn from: the messages as they were sent, and nothing twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from asking import ask, ask_here, events, of, script

from rlm_kernel import LMError, cli
from rlm_kernel.cli.record_parsers import ROWS
from rlm_kernel.events import Prompted
from rlm_kernel.reports import dialogues

CONTEXT = "".join(f"line {number}\n" for number in range(100))
COLUMNS = {"run", "node", "model", "question", "answer", "status", "confirmed", "right", "turns",
           "calls"}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: with sub-calls, the same again, one that is doubted, one that failed."""
    folder = tmp_path_factory.mktemp("runs")
    turns = ("print(len(context))", "x = llm_query('a')\nprint(x)", "FINAL_VAR(x)")
    ask_here(script(*turns), folder / "asking", CONTEXT)
    shutil.copytree(folder / "asking", folder / "again")
    zero = "print(len(context))\nFINAL_VAR(0)"
    ask_here(script(zero, zero), folder / "doubted", CONTEXT, "How many?")
    boom = LMError("boom", cause="server", attempts=1)
    ask_here(script("print(context[:9])", boom), folder / "failed", CONTEXT, "Who?")
    return folder


def exported(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    cli.main(["export", *map(str, arguments)])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_turn_has_the_messages_as_they_were_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = script("print(len(context))", "FINAL_VAR(context[:4])")
    ask_here(lm, tmp_path / "run", CONTEXT)
    rows = exported(capsys, tmp_path / "run", "--format", "sft")
    assert [row["prompt"] for row in rows] == lm.asked
    assert [row["turn"] for row in rows] == [1, 2]
    assert rows[1]["completion"] == [
        {"role": "assistant", "content": "```python\nFINAL_VAR(context[:4])\n```"}
    ]
    assert (rows[0]["answer"], rows[0]["status"], rows[0]["right"]) == (
        "line",
        "answered",
        "unknown",
    )
    [chat] = exported(capsys, tmp_path / "run", "--format", "chat")
    assert chat["messages"] == [*lm.asked[-1], *rows[1]["completion"]]


def test_a_history_that_was_shortened_is_as_it_was_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [f"```python\npage{n} = '{n}' * 3000\nprint(page{n})\n```" for n in range(9)]
    lm = script(*long, "FINAL_VAR(context[:4])")
    result = ask_here(lm, tmp_path / "run", CONTEXT, window=4000)
    assert any(event.compacted for event in of(Prompted, events(result)))
    rows = exported(capsys, tmp_path / "run", "--format", "sft")
    assert [row["prompt"] for row in rows] == lm.asked


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ([], 6),
        (["--only", "accepted"], 3),
        (["--ended"], 5),
        (["--with-calls"], 3),
        (["--only", "right"], 0),
        (["--only", "accepted", "--ended", "--with-calls"], 3),
    ],
)
def test_filters_take_runs_and_what_came_before_is_left_out(
    runs: Path, options: list[str], turns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(exported(capsys, runs, "--format", "sft", *options)) == turns


def test_all_rows_have_the_same_fields_of_the_same_types(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, own in (("sft", {"prompt", "completion", "turn"}), ("chat", {"messages"})):
        rows = exported(capsys, runs, "--format", form)
        assert {frozenset(row) for row in rows} == {frozenset(COLUMNS | own)}
        kinds = {tuple((name, type(value)) for name, value in row.items()) for row in rows}
        assert len(kinds) == 1
        assert None not in [value for row in rows for value in row.values()]
        said = [m for row in rows for key in own - {"turn"} for m in row[key]]
        assert {tuple(message) for message in said} == {("role", "content")}
        assert {type(message["content"]) for message in said} == {str}


def test_a_run_of_a_batch_is_right_by_its_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for name, correct in (("a", True), ("b", False), ("c", None), ("d", 0.5), ("e", 1.0)):
        reply = f"print(context[:2])\nFINAL_VAR('it is {name}')"
        ask_here(script(reply), tmp_path / "runs" / name, CONTEXT)
        row = {"id": name, "question": "?", "status": "answered", "correct": correct}
        results.append({**row, "trajectory": f"runs/{name}/trajectory.ipynb"})
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in results))
    rows = exported(capsys, tmp_path, "--format", "chat")
    assert [row["right"] for row in rows] == ["right", "wrong", "unknown", "wrong", "right"]
    rows = exported(capsys, tmp_path, "--format", "chat", "--only", "right")
    assert [row["answer"] for row in rows] == ["it is a", "it is e"]


def test_children_are_rows_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lm = script(
        "print(rlm_query('What is it?', 'a part of the text'))",
        "print(context)\nFINAL_VAR(context)",
        "FINAL_VAR('done with it')",
    )
    ask(lm, tmp_path / "run", CONTEXT)
    rows = exported(capsys, tmp_path / "run", "--format", "chat")
    assert sorted(row["node"] for row in rows) == ["0", "0.1"]
    assert {len(row["messages"]) for row in rows} == {3, 5}


def test_no_key_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLM_API_KEY", 'sk-a-"secret"-key')
    ask_here(script("print('sk-a-\"secret\"-key')", "FINAL_VAR('it')"), tmp_path / "run", CONTEXT)
    cli.main(["export", str(tmp_path / "run"), "--format", "sft"])
    told = capsys.readouterr()
    assert "secret" not in told.out
    assert "1 row" in told.err or "2 rows" in told.err
    assert "a key of yours" in told.err


def test_what_cannot_be_read_is_named_and_the_rest_is_written(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "runs" / "doubted" / "journal.jsonl").write_text("no record\n")
    target = tmp_path / "rows.jsonl"
    command = ["export", str(tmp_path / "runs"), "--format", "chat", "-o", str(target)]
    assert cli.main(command) == 0
    told = capsys.readouterr().err
    assert "1 run that cannot be read" in told
    assert "1 row that came before" in told
    assert len(target.read_text().splitlines()) == 2
    assert cli.main(command) == 2  # it is there already
    assert cli.main([*command, "--force"]) == 0
    assert cli.main([*command, "--force", "--only", "right"]) == 1
    assert target.read_text() == ""


def test_a_page_is_of_one_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [str(runs / "asking"), str(runs / "again")]
    for command in (both, [both[0], "--ended"], [both[0], "--only", "right"]):
        assert cli.main(["export", *command]) == 2
        assert "--format" in capsys.readouterr().err


def test_the_command_has_the_formats_that_there_are() -> None:
    assert get_args(dialogues.Format) == ROWS
