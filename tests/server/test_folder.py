"""The runs of a folder as pages are told of them: many, damaged, a stranger's."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from longruns import journal_of, long_run, record
from stories import run_started

from rlm_kernel.record.journal import Journal
from rlm_kernel.server import folder as told
from rlm_kernel.server.folder import Outside, Runs, as_json, inside


def rows(folder: Path, runs: Runs | None = None) -> list[dict[str, Any]]:
    runs = runs or Runs()
    return [as_json(row, folder) for row in runs.rows(runs.find(folder))]


def test_a_run_is_told_with_its_question_status_cost_and_answer(tmp_path: Path) -> None:
    run = record(long_run(2, 3), tmp_path / "rlm-runs" / "one")
    (row,) = rows(tmp_path)
    assert (row["path"], row["opens"]) == ("rlm-runs/one", True)
    assert row["question"] == "How many of the reviews are positive?"
    assert (row["status"], row["answer"], row["calls"]) == ("answered", "[1]", 6)
    assert row["spent"].startswith("$")
    for inner in (run, run.parent, run / "calls"):  # where a trajectory is open, its run is shown
        assert [each["name"] for each in rows(tmp_path, _in(inner))] == ["one"]


def _in(folder: Path) -> Runs:
    runs = Runs()
    found = runs.find(folder)
    runs.find = lambda folder: found  # type: ignore[method-assign]
    return runs


def test_a_thousand_runs_are_found_at_once_and_only_those_told_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1100):
        run = tmp_path / f"run-{number:04}"
        run.mkdir()
        path = run / "journal.jsonl"
        path.write_text("{}\n")
        os.utime(path, (number, number))
    runs, read = Runs(), []
    whole = told._read
    monkeypatch.setattr(told, "_read", lambda run: read.append(run) or whole(run))
    began = time.perf_counter()
    found = runs.find(tmp_path)
    assert time.perf_counter() - began < 1
    assert (len(found), found[0].path.name) == (1100, "run-1099")
    assert len(runs.rows(found)) == len(read) == told.MOST_ROWS
    monkeypatch.setattr(told, "MOST_SECONDS", -1.0)
    assert len(runs.rows(found)) == len(read) == told.MOST_ROWS  # nothing has changed
    assert Runs().rows(found) == []  # it takes too long, and goes on at the next look


def test_a_run_goes_on_while_it_is_written_and_was_killed_when_nobody_writes_it(
    tmp_path: Path,
) -> None:
    journal = Journal.create(tmp_path / "run" / "journal.jsonl")
    journal.write(run_started())
    runs = Runs()
    assert [row["status"] for row in rows(tmp_path, runs)] == ["running"]
    journal.close()
    assert [row["status"] for row in rows(tmp_path, runs)] == ["killed"]


@pytest.mark.parametrize(
    "record",
    [b"", b"\xff\xfe\0", b"[" * 5_000_000, b"x" * 5_000_000, b'{"sealed": 1}\n', b"{}\n" * 9],
    ids=["empty", "binary", "nested", "one line", "a seal alone", "objects"],
)
def test_what_is_no_record_is_damaged_and_hinders_no_other(tmp_path: Path, record: bytes) -> None:
    journal_of(long_run(1, 1), tmp_path / "sound")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.jsonl").write_bytes(record)
    found = {row["name"]: row for row in rows(tmp_path)}
    assert found["sound"]["status"] == "answered"
    assert (found["other"]["status"], found["other"]["opens"]) == ("damaged", False)
    assert found["other"]["note"]


def test_a_strangers_texts_are_short_plain_and_on_one_line(tmp_path: Path) -> None:
    question = "<script>\u202e\x1b[31m\n" * 200_000
    journal = Journal.create(tmp_path / "ru\x1bn" / "journal.jsonl")
    journal.write(run_started(question=question))
    journal.close()
    text = json.dumps(rows(tmp_path), ensure_ascii=False)
    assert len(text) < 3_000
    assert not {"\u202e", "\x1b", "\n"} & set(text)


def test_no_long_text_beside_a_record_is_opened(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "run" / "journal.jsonl")
    journal.write(run_started(question="y" * 100_000))
    journal.close()
    (blob,) = (tmp_path / "run" / "blobs").iterdir()
    blob.unlink()
    os.mkfifo(blob)
    (row,) = rows(tmp_path)
    assert row["question"].startswith("[100000 characters, kept in blobs/")


def test_no_link_leads_out_of_the_folder_or_counts_as_a_run(tmp_path: Path) -> None:
    run = journal_of(long_run(1, 1), tmp_path / "away" / "run")
    top = tmp_path / "top"
    (top / "fake").mkdir(parents=True)
    (top / "linked").symlink_to(run)
    (top / "rlm-runs").symlink_to(run.parent)
    (top / "fake" / "journal.jsonl").symlink_to(run / "journal.jsonl")
    assert rows(top) == []
    assert inside(top, "fake") == top / "fake"
    for path in ("linked", "rlm-runs", "../away", "fake/../../away", "/../away", "a\0b"):
        with pytest.raises(Outside):
            inside(top, path)
