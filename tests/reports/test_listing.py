"""Many runs in one list, read from the ends of their records."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from resealed import resealed
from rich.console import Console
from stories import started, story

from rlm_kernel import cli
from rlm_kernel.events import Event, NodeEnded, RunEnded, RunStarted, Usage, to_dict
from rlm_kernel.record import journal
from rlm_kernel.record.journal import Journal
from rlm_kernel.reports import listing, run_table
from rlm_kernel.reports.listing import MAX_LEVELS


def write(folder: Path, events: list[Event], *, seal: bool = True) -> Path:
    """A run's folder with this record."""
    record = Journal.create(folder / "journal.jsonl")
    for event in events:
        record.write(event)
    if seal:
        record.seal()
    else:
        record.close()
    return folder


def write_anything(folder: Path, events: list[Event]) -> None:
    """The same of events that a journal would not take."""
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_bytes(resealed([to_dict(event) for event in events]))


def run(name: str, time: float = 9.0, **ended: Any) -> list[Event]:
    first, *events, last = story(3)
    assert isinstance(first, RunStarted)
    assert isinstance(last, RunEnded)
    first = dataclasses.replace(first, run=name, time=time)
    return [first, *events, dataclasses.replace(last, **ended)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four runs and three that did not end well."""
    write(tmp_path / "old", run("old", 100.0, turns=3, usage=Usage(1, 10, 5, 0, 0.5)))
    write(tmp_path / "new", run("new", 300.0, turns=9, usage=Usage(1, 1, 1, 0, 0.1)))
    failed: dict[str, Any] = {"status": "failed", "answer": None, "confirmed": False}
    write(tmp_path / "failed", run("failed", 200.0, reason="the endpoint said 500", **failed))
    write(tmp_path / "goes-on", run("goes-on", 400.0)[:8], seal=False)
    write(tmp_path / "unsealed", run("unsealed", 50.0), seal=False)
    cut = write(tmp_path / "cut", run("cut", 60.0)) / "journal.jsonl"
    cut.write_bytes(cut.read_bytes()[:-400])
    write(tmp_path / "empty", [], seal=False)
    return tmp_path


def listed(path: Path, by: str = "time", *, reverse: bool = False) -> list[listing.Row]:
    return listing.ordered(map(listing.read, listing.find([path])), by, reverse=reverse)


def names(rows: list[listing.Row]) -> list[str]:
    return [row.path.name for row in rows]


def test_runs_are_listed_newest_first_and_what_is_not_known_last(folder: Path) -> None:
    rows = listed(folder)
    assert names(rows) == ["goes-on", "new", "failed", "old", "cut", "unsealed", "empty"]
    assert names(listed(folder, reverse=True))[0] == "unsealed"
    assert names(listed(folder, reverse=True))[-1] == "empty"


def test_each_row_says_how_its_run_ended(folder: Path) -> None:
    rows = {row.path.name: row for row in listed(folder)}
    assert {name: row.status for name, row in rows.items()} == {
        "old": "answered",
        "new": "answered",
        "failed": "failed",
        "goes-on": "running",
        "unsealed": "answered",
        "cut": "damaged",
        "empty": "damaged",
    }
    new = rows["new"]
    assert (new.run, new.answer, new.turns, new.tokens, new.began) == ("new", "17", 9, 2, 300.0)
    assert new.model == "qwen2.5-coder-1.5b"
    assert "cut" in run_table.note(rows["cut"])
    assert "the run was stopped before it began" in run_table.note(rows["empty"])
    assert run_table.note(rows["goes-on"]).startswith("goes on or was killed; last written 20")
    assert run_table.note(rows["failed"]) == "the endpoint said 500"


def test_a_running_run_is_counted_as_far_as_it_goes(folder: Path) -> None:
    [row] = listed(folder / "goes-on")
    assert (row.turns, row.calls, row.answer) == (1, 3, None)


@pytest.mark.parametrize(
    ("by", "first", "last"),
    [("turns", "new", "empty"), ("cost", "failed", "empty"), ("status", "new", "goes-on")],
)
def test_a_list_is_sorted_by_words_or_from_the_greatest(
    folder: Path, by: str, first: str, last: str
) -> None:
    rows = names(listed(folder, by))
    assert (rows[0], rows[-1]) == (first, last)


@pytest.mark.parametrize("by", listing.KEYS)
def test_every_order_has_every_run(folder: Path, by: str) -> None:
    assert set(names(listed(folder, by))) == set(names(listed(folder)))


def test_the_middle_of_an_ended_record_is_not_read(tmp_path: Path) -> None:
    record = write(tmp_path / "run", run("run")) / "journal.jsonl"
    first, second, *middle, last, seal = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(
        b"".join([first, second, b"\xff" * len(b"".join(middle)), b"\n", last, seal])
    )
    [row] = listed(tmp_path)
    assert (row.status, row.answer) == ("answered", "17")


def test_hidden_folders_links_deep_ones_and_what_is_in_a_run_are_not_searched(
    tmp_path: Path,
) -> None:
    write(tmp_path / "seen", run("seen"))
    write(tmp_path / "seen" / "files" / "inner", run("inner"))
    write(tmp_path / ".hidden" / "run", run("hidden"))
    deep = tmp_path.joinpath(*"12345"[:MAX_LEVELS])
    write(deep, run("deep enough"))
    write(tmp_path.joinpath(*"abcde"[:MAX_LEVELS], "f"), run("too deep"))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert listing.find([tmp_path, tmp_path / "seen"]) == [deep, tmp_path / "seen"]


@pytest.mark.parametrize("size", [0, 1, 4000, 4096, 8192, 32_000, 40_000])
def test_the_end_of_a_record_is_what_reading_it_all_gives(tmp_path: Path, size: int) -> None:
    record = write(tmp_path, run("run", answer="ä" * size)) / "journal.jsonl"
    whole, end = journal.read(record), journal.ending(record, 3)
    assert (end.sealed, whole.sealed) == (True, True)
    assert end.events[0] == whole.events[-2]
    [ended] = [event for event in end.events if isinstance(event, RunEnded)]
    if size <= 32_768:
        assert ended == whole.events[-1]
    else:  # a blob, which is named and not read
        assert str(ended.answer).startswith(f"[{size} characters, kept in blobs/")


def test_the_end_of_a_record_without_a_last_line_break_is_read(tmp_path: Path) -> None:
    record = write(tmp_path, story()[:-1], seal=False) / "journal.jsonl"
    record.write_bytes(record.read_bytes()[:-1])
    [event] = journal.ending(record, 1).events
    assert isinstance(event, NodeEnded)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": "yesterday"},
        {"time": 1e300},
        {"time": float("nan")},
        {"question": ["a list"]},
    ],
)
def test_values_of_a_wrong_type_are_damage(tmp_path: Path, wrong: dict[str, Any]) -> None:
    first, *events = run("run")
    write_anything(tmp_path / "bad", [dataclasses.replace(first, **wrong), *events])
    write(tmp_path / "good", run("good"))
    rows = listed(tmp_path)
    assert {row.path.name: row.status for row in rows} == {"bad": "damaged", "good": "answered"}


@pytest.mark.parametrize(
    "wrong",
    [{"usage": Usage(1, cached_tokens="many")}, {"turns": -1}, {"seconds": 10**400}],  # type: ignore[arg-type]
)
def test_numbers_that_are_none_are_damage(tmp_path: Path, wrong: dict[str, Any]) -> None:
    write_anything(tmp_path / "bad", run("bad", **wrong))
    [row] = listed(tmp_path)
    assert row.status == "damaged"
    assert listing.totals([row]).runs == 1


# -- shown ----------------------------------------------------------------------------------------
def table(folder: Path, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    rows = listed(folder)
    run_table.render(rows, listing.totals(rows), console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_table_has_one_line_a_run_that_fits(folder: Path, width: int) -> None:
    head, *lines = table(folder, width)
    assert head.split()[:2] == ["began", "status"]
    rows = lines[:7]
    assert max(len(line) for line in [head, *rows]) <= width
    assert ("tokens" in head) == (width >= 90)
    assert lines[7].startswith("7 runs: 3 answered, 2 damaged, ")
    assert [line.split(":")[0] for line in lines[8:]] == ["damaged", "damaged"]


def test_wide_characters_do_not_widen_the_table(tmp_path: Path) -> None:
    first, _, *events = run("run")
    node = started("0", question="評価はいくつ肯定的ですか" * 9)
    write(tmp_path / "run", [dataclasses.replace(first, question=node.question), node, *events])
    line = table(tmp_path, 80)[1]
    assert len(line) < 80  # each of them takes two columns
    assert "評価" in line


def test_a_table_that_is_piped_is_complete(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", str(folder), "--sort", "turns"]) == 0
    said = capsys.readouterr()
    head, *lines, last = [line.split("\t") for line in said.out.splitlines()]
    assert said.err == ""
    assert {len(line) for line in lines} == {len(head)}
    first = dict(zip(head, lines[0], strict=True))
    assert first["path"] == str(folder / "new")
    assert (first["turns"], first["tokens"], first["cost"]) == ("9", "2", "0.1")
    assert first["question"] == "How many of the reviews are positive?"
    assert last[-1].startswith("7 runs: ")
    assert dict(zip(head, last, strict=True))["turns"] == str(
        sum(int(line[2]) for line in lines if line[2])
    )


def test_lines_mark_a_price_that_is_not_known_and_round_numbers(tmp_path: Path) -> None:
    parts = (Usage(2, unpriced=2), Usage(2, cost=0.1 + 0.2, unpriced=1), Usage(1, cost=1e-5))
    for number, usage in enumerate(parts):
        write(tmp_path / f"run-{number}", run("run", usage=usage, seconds=1.23456))
    rows = [listing.read(path) for path in listing.find([tmp_path])]
    head, *lines, _ = [x.split("\t") for x in run_table.lines(rows, listing.totals(rows))]
    told = [dict(zip(head, line, strict=True)) for line in lines]
    assert {line["cost"] for line in told} == {"?", "0.3+", "0.00001"}
    assert {line["seconds"] for line in told} == {"1.23"}


def test_json_is_one_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(folder), "--json", "--reverse"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [Path(row["path"]).name for row in rows][-2:] == ["goes-on", "empty"]
    assert rows[0]["usage"]["requests"] > 0


def test_several_paths_are_listed_and_a_missing_one_is_no_end(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [folder / "new", folder / "no-such", folder / "failed" / "journal.jsonl"]
    assert cli.main(["show", *map(str, paths)]) == 2
    out, err = capsys.readouterr()
    assert "3 runs: 1 answered, 1 failed, 1 damaged" in out
    assert "No such file" in out
    assert err == f"rlm: {folder / 'no-such'}: there is no such file or folder\n"


def test_one_run_is_shown_as_a_tree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(folder / "new")]) == 0
    assert "└── 0.1 · answered" in capsys.readouterr().out


def test_a_folder_without_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no run is there, nor 5 folders below" in said.err.replace("\n", " ")


def test_controls_and_markup_stay_text(tmp_path: Path) -> None:
    evil = "[bold]\x1b]0;owned\x07\ttab\nline"
    write(tmp_path / "run", run("run", answer=evil))
    assert "[bold] ]0;owned tab line" in table(tmp_path, 160)[1]
