"""``rlm spend``: what runs have used, by day, model and folder."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from asking import ask_here, block, events, of

from rlm_kernel import Result
from rlm_kernel.cli import main
from rlm_kernel.events import RunEnded
from rlm_kernel.testing import ScriptedLM


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Three runs in two folders, one of them with a child that asks too."""
    folder = tmp_path_factory.mktemp("spent")
    return [
        ask_here(ScriptedLM(_turn), folder / place / name, "one two three", question)
        for place, name, question in (
            ("here", "a", "plain"),
            ("here", "b", "deep"),
            ("there", "c", "plain"),
        )
    ]


def _turn(messages: list[dict[str, str]]) -> str:
    deep = "deep" in messages[1]["content"]
    return block("FINAL_VAR(rlm_query('plain'))" if deep else "FINAL_VAR(llm_query('sub-call'))")


def _folder(runs: list[Result]) -> Path:
    return runs[0].trajectory.parents[2]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_its_sums_are_those_of_the_runs(
    runs: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spend", str(_folder(runs)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("requests", "input_tokens", "output_tokens", "cost"):
        ended = [of(RunEnded, events(result))[0].usage for result in runs]
        assert sum(row["usage"][name] for row in found) == sum(getattr(u, name) for u in ended)
    assert {row["model"] for row in found} == {"scripted", "scripted-sub"}
    ended = {date.fromtimestamp(of(RunEnded, events(result))[0].time) for result in runs}
    assert {row["day"] for row in found} >= set(map(str, ended))


def test_a_table_has_a_row_a_key_and_the_sum(
    runs: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _folder(runs)
    assert main(["spend", str(folder), "--by", "folder"]) == 0
    head, *rows, whole = _lines(capsys)
    assert head == ["folder", "runs", "requests", "tokens in", "tokens out", "cost"]
    assert [row[:2] for row in rows] == [[str(folder / "here"), "2"], [str(folder / "there"), "1"]]
    assert whole[:2] == ["all", "3"]
    assert int(whole[2]) == sum(int(row[2]) for row in rows)
    assert main(["spend", str(folder)]) == 0
    lines = _lines(capsys)
    assert [line[0] for line in lines if line[1:2] == ["runs"]] == ["day", "model", "folder"]


def test_a_damaged_record_is_named_and_the_others_are_counted(
    runs: list[Result], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged" / "journal.jsonl"
    damaged.parent.mkdir()
    damaged.write_text("no record\n")
    assert main(["spend", str(damaged.parent), str(_folder(runs)), "--by", "model"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith("all\t3\t")
    assert f"not all of it is counted: {damaged.parent}" in said.err.replace("\n", " ")


def test_a_path_that_is_not_there_and_a_folder_without_runs_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["spend", str(tmp_path / "nope")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
    assert main(["spend", str(tmp_path)]) == 1
    assert "no run is there" in capsys.readouterr().err
