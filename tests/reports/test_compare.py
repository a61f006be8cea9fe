"""Two runs compared: what makes them different, where they part, and what is said about it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask, script
from resealed import resealed
from stories import OUTPUTS, call, cell, lived_in, replied, run_started, started, story

from rlm_kernel import cli
from rlm_kernel.events import (
    CallEnded,
    CellRan,
    Event,
    NodeEnded,
    NodeStarted,
    Replied,
    RunStarted,
    Usage,
    to_dict,
)
from rlm_kernel.record.journal import Journal
from rlm_kernel.record.nodes import RecordedCell
from rlm_kernel.record.notebooks import ipynb
from rlm_kernel.record.notebooks.metadata import NotebookContext
from rlm_kernel.record.notebooks.notebook import build
from rlm_kernel.record.summary import summarise
from rlm_kernel.reports import comparable_run
from rlm_kernel.reports.cell_diff import MAX_CELLS, MAX_CHARS, CellDiff
from rlm_kernel.reports.compare import Comparison, compare
from rlm_kernel.reports.first_difference import Parting


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


def between(tmp_path: Path, a: list[Event], b: list[Event]) -> Comparison:
    return compare(
        comparable_run.load(write(tmp_path / "a", a)), comparable_run.load(write(tmp_path / "b", b))
    )


def changed(events: list[Event], kind: type[Event], at: int, **fields: Any) -> list[Event]:
    """The events with the one of a kind that is at that place changed."""
    places = [place for place, event in enumerate(events) if isinstance(event, kind)]
    made = list(events)
    made[places[at]] = dataclasses.replace(made[places[at]], **fields)
    return made


def run(*turns: list[Event]) -> list[Event]:
    """A run of one node."""
    ended = NodeEnded("0", "answered", "3", True, None, 18.0)
    return [run_started(), started("0"), *(event for turn in turns for event in turn), ended]


def turn(number: int, source: str, *calls: Event, **fields: Any) -> list[Event]:
    made = cell("0", number, turn=number, source=source, **fields)
    return [replied("0", number, f"```python\n{source}\n```"), *calls, made]


def where(found: Comparison) -> tuple[str, int | None, int | None]:
    parting = found.parting
    assert isinstance(parting, Parting)
    return parting.node_a, parting.turn, parting.cell


def test_times_costs_names_settings_and_versions_make_no_difference(tmp_path: Path) -> None:
    again = [run_started(run="b", time=1.0, settings={"model": "x"}, versions={"python": "4"})]
    for event in story()[1:]:
        fields = {"usage": Usage(9, 9, 9, 9, 9.0)} if hasattr(event, "usage") else {}
        times = {name: 99.0 for name in ("time", "seconds") if hasattr(event, name)}
        again.append(dataclasses.replace(event, **fields, **times))
    found = between(tmp_path, story(), again)
    assert (found.same, found.parting) == (True, None)
    assert [pair.name for pair in found.settings] == ["environment", "model"]
    assert [pair.name for pair in found.versions] == ["python", "rlm-kernel"]
    assert {pair.name for pair in found.used if not pair.same} >= {"tokens", "cost"}


def test_a_cost_that_is_not_known_is_no_zero(tmp_path: Path) -> None:
    unpriced = [
        dataclasses.replace(event, usage=Usage(requests=1, unpriced=1))
        if hasattr(event, "usage")
        else event
        for event in story()
    ]
    found = between(tmp_path, story(), unpriced)
    [cost] = [pair for pair in found.used if pair.name == "cost"]
    assert (cost.a is None, cost.b) == (False, None)


def test_what_was_done_before_the_question_is_compared_too(tmp_path: Path) -> None:
    assert between(tmp_path / "1", lived_in(), lived_in()).same
    other = changed(lived_in(), CellRan, 0, source="n = [1, 2, 4]")
    assert where(between(tmp_path / "2", lived_in(), other)) == ("0", 0, 1)


def test_addresses_and_the_cutting_of_prints_make_no_difference(tmp_path: Path) -> None:
    def printed(*texts: str) -> list[Event]:
        outputs = [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]
        return run(turn(1, "print(f)", outputs=outputs))

    assert between(tmp_path, printed("<f at 0x7f01>\n"), printed("<f at ", "0x7f02>\n")).same


@pytest.mark.parametrize(
    ("other", "different"),
    [
        (changed(story(), CellRan, 0, source="pass"), ("course",)),
        ([run_started(), started("0", question="Why?"), *story()[2:]], ("question",)),
        (changed(story(), NodeEnded, 1, answer="18"), ("answer", "course")),
        (changed(story(), NodeEnded, 1, confirmed=False), ("answer", "course")),
        (changed(story(), NodeEnded, 1, status="limit"), ("status", "course")),
    ],
)
def test_what_matters_makes_a_difference(
    tmp_path: Path, other: list[Event], different: tuple[str, ...]
) -> None:
    found = between(tmp_path, story(), other)
    assert found.different == different


def test_another_context_is_a_difference_and_another_path_to_it_is_none(tmp_path: Path) -> None:
    def about(sha256: str, path: str) -> list[Event]:
        context = dataclasses.replace(
            started("0").context,
            spec={"kind": "text", "sha256": sha256, "size": 9, "path": path},
        )
        return [run_started(), started("0", context=context), *story()[2:]]

    assert between(tmp_path / "1", about("1" * 64, "/a"), about("1" * 64, "/b")).same
    assert between(tmp_path / "2", about("1" * 64, "/a"), about("2" * 64, "/a")).different == (
        "context",
    )


SECOND = turn(2, "print(2)", call("0", 0, cell=2), call("0", 1, cell=2))


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ([replied("0", 2, "I count.\n```python\nprint(2)\n```"), *SECOND[1:]], "another reply"),
        (turn(2, "print(2)", call("0", 0, cell=2), call("0", 1, cell=2, reply="no")), "same call"),
        (turn(2, "print(2)", call("0", 0, cell=2)), "only A made"),
        (turn(2, "print(2)", *SECOND[1:3], call("0", 2, cell=2)), "only B made"),
        (turn(2, "print(2)", *SECOND[1:3], outputs=list(OUTPUTS)), "other outputs"),
        (turn(2, "print(2)", *SECOND[1:3], status="timeout"), "another end of the cell"),
    ],
)
def test_the_first_difference_is_found(tmp_path: Path, other: list[Event], what: str) -> None:
    first = turn(1, "print(1)")
    found = between(tmp_path, run(first, SECOND, turn(3, "x")), run(first, other, turn(3, "y")))
    assert where(found) == ("0", 2, 2)
    assert found.parting is not None
    assert what in found.parting.what


def test_replies_of_a_batch_in_another_order_make_no_difference(tmp_path: Path) -> None:
    batch = [call("0", index, count=9) for index in range(9)]
    a, b = turn(1, "print(1)", *batch), turn(1, "print(1)", *reversed(batch))
    assert between(tmp_path, run(a), run(b)).same


def test_a_run_that_goes_on_parts_where_the_other_ends(tmp_path: Path) -> None:
    found = between(tmp_path, run(turn(1, "x")), run(turn(1, "x"), turn(2, "y")))
    assert found.parting is not None
    assert "its end, B has a reply of the LM" in found.parting.what


def child(name: str, question: str, answer: str) -> list[Event]:
    asked = started(name, question=question, context=None)
    ended = NodeEnded(name, "answered", answer, True, None, 14.0)
    return [asked, cell(name, 1, source=f"FINAL_VAR({answer})", answer=answer), ended]


def asks(*children: tuple[str, str, str]) -> list[Event]:
    """A cell that asks children: their node, question and answer."""
    made: list[Event] = []
    for number, (name, question, answer) in enumerate(children):
        made += child(name, question, answer)
        about: dict[str, Any] = {"op": "rlm_query", "child": name, "reply": answer}
        made.append(call("0", 0, call=number, key=f"{question:>24}", prompt=question, **about))
    return run(turn(1, "ask()", *made))


def test_a_difference_in_a_child_is_found_before_what_its_parent_was_given(
    tmp_path: Path,
) -> None:
    found = between(
        tmp_path,
        asks(("0.1", "one?", "1"), ("0.2", "two?", "2")),
        asks(("0.1", "one?", "1"), ("0.2", "two?", "3")),
    )
    assert where(found) == ("0.2", 1, 1)


def test_children_that_started_in_another_order_are_matched_by_their_questions(
    tmp_path: Path,
) -> None:
    found = between(
        tmp_path,
        asks(("0.1", "one?", "1"), ("0.2", "two?", "2")),
        asks(("0.2", "one?", "1"), ("0.1", "two?", "2")),
    )
    assert found.same
    assert [(pair.a, pair.b) for pair in found.nodes] == [
        ("0", "0"),
        ("0.1", "0.2"),
        ("0.2", "0.1"),
    ]


def test_a_child_that_one_run_has_is_a_difference(tmp_path: Path) -> None:
    one, two = ("0.1", "one?", "1"), ("0.2", "two?", "2")
    found = between(tmp_path, asks(one), asks(one, two))
    assert [pair.b for pair in found.nodes if pair.a is None] == ["0.2"]
    assert found.different == ("course",)


# -- the command ----------------------------------------------------------------------------------
Diff = Callable[..., tuple[int, str, str]]


@pytest.fixture
def diff(capsys: pytest.CaptureFixture[str]) -> Diff:
    """``rlm diff``: its exit status, standard output and standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        status = cli.main(["diff", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real runs whose child counts otherwise, each with its notebooks."""
    folder = tmp_path_factory.mktemp("runs")
    for name, source in (("a", "context.count('o')"), ("b", "len(context.split('o')) - 1")):
        turns = ("got = rlm_query('Count', context)", f"n = {source}", "FINAL_VAR(str(n))")
        ask(script(*turns, "print(object())\nFINAL_VAR(got)"), folder / name, "foo")
    return folder


def test_two_runs_and_one_with_itself(runs: Path, diff: Diff) -> None:
    status, out, _ = diff(runs / "a", runs / "b")
    assert (status, out.splitlines()[-1]) == (1, "different: course")
    assert "they first differ in node 0.1, turn 1, cell 1: another reply of the LM" in out
    assert "A │ n = context.count('o')" in out
    assert "B │ n = len(context.split('o')) - 1" in out
    status, out, _ = diff(runs / "a", runs / "a" / "journal.jsonl")
    assert (status, out.splitlines()[-1]) == (0, "the same in what matters")


def test_a_run_and_its_notebook_sent_alone_are_the_same(
    runs: Path, diff: Diff, tmp_path: Path
) -> None:
    alone = tmp_path / "mailed.ipynb"
    alone.write_bytes((runs / "a" / "trajectory.ipynb").read_bytes())
    status, out, _ = diff(alone, runs / "a")
    assert status == 0, out
    assert "its cells are not known in A" in out
    assert "the cells of node 0.1 are not compared: A is a notebook without a record" in out


@pytest.mark.parametrize("what", ["source", "outputs"])
def test_a_notebook_that_was_edited_is_different(tmp_path: Path, diff: Diff, what: str) -> None:
    events = run(turn(1, "print(1)", outputs=list(OUTPUTS)))
    folder = write(tmp_path / "run", events)
    alone = tmp_path / "mailed.ipynb"
    made = build(events, NotebookContext(events[0], summarise(events).nodes))  # type: ignore[arg-type]
    alone.write_bytes(ipynb.dumps(made))
    assert diff(folder, alone)[0] == 0
    [edited] = [c for c in made["cells"] if "cell" in c["metadata"].get("rlm", {})]
    edited[what] = "print(7)" if what == "source" else edited["outputs"][:1]
    alone.write_bytes(ipynb.dumps(made))
    status, out, _ = diff(folder, alone)
    assert status == 1
    assert ("another cell" if what == "source" else "other outputs") in out


def test_a_notebook_without_its_outputs_is_still_the_same(tmp_path: Path, diff: Diff) -> None:
    events = run(turn(1, "print(1)"))
    folder = write(tmp_path / "run", events)
    made = build(events, NotebookContext(events[0], summarise(events).nodes))  # type: ignore[arg-type]
    for stripped in made["cells"]:
        stripped |= {"outputs": []} if stripped["cell_type"] == "code" else {}
    (tmp_path / "stripped.ipynb").write_bytes(ipynb.dumps(made))
    assert diff(folder, tmp_path / "stripped.ipynb")[0] == 0


def test_an_unfinished_record_is_compared_as_far_as_it_goes(tmp_path: Path, diff: Diff) -> None:
    whole, half = run(turn(1, "x"), turn(2, "y")), run(turn(1, "x"))[:-1]
    write(tmp_path / "whole", whole)
    write(tmp_path / "half", half, seal=False)
    status, out, _ = diff(tmp_path / "whole", tmp_path / "half")
    assert status == 1
    assert "problem in B: the record was not finished: the run goes on or was killed" in out
    assert "B ends here, the other goes on with a reply of the LM" in out


def test_a_damaged_record_is_compared_and_its_damage_told(tmp_path: Path, diff: Diff) -> None:
    for name in ("good", "bad"):
        write(tmp_path / name, story())
    record = tmp_path / "bad" / "journal.jsonl"
    record.write_bytes(record.read_bytes().replace(b'"reply":"yes"', b'"reply":"no"', 1))
    status, out, _ = diff(tmp_path / "good", tmp_path / "bad")
    assert status == 1
    assert "problem in B: line 5" in out
    assert "the same call, another reply" in out


def test_what_is_no_run_ends_with_2(tmp_path: Path, diff: Diff) -> None:
    good = write(tmp_path / "good", story())
    (tmp_path / "text").write_text("no record\n")
    for other in ("missing", "text", "."):
        status, out, err = diff(good, tmp_path / other)
        assert (status, out) == (2, ""), other
        assert str(tmp_path) in err.replace("\n", "")


@pytest.mark.parametrize(
    "wrong",
    [
        changed(story(), RunStarted, 0, settings=["a"]),
        changed(story(), RunStarted, 0, versions={"python": 3}),
        changed(story(), NodeStarted, 1, question=7),
        changed(story(), Replied, 0, text=["a"]),
        changed(story(), CellRan, 0, turn="1"),
        changed(story(), CellRan, 0, outputs=[1]),
        changed(story(), CallEnded, 0, index=None),
        changed(story(), NodeEnded, 1, time="late"),
    ],
)
def test_values_of_a_wrong_type_are_damage(tmp_path: Path, diff: Diff, wrong: list[Event]) -> None:
    good, bad = write(tmp_path / "good", story()), tmp_path / "bad"
    bad.mkdir()
    (bad / "journal.jsonl").write_bytes(resealed([to_dict(event) for event in wrong]))
    status, out, err = diff(good, bad)
    assert (status, out) == (2, "")
    assert "the record is damaged" in err.replace("\n", " ")


@pytest.mark.timeout(30)
def test_a_node_below_itself_is_compared_once(tmp_path: Path) -> None:
    events = run(turn(1, "x"))
    events[2:2] = [started("0", parent="0")]
    assert between(tmp_path, events, events).same


def test_json_tells_the_same(tmp_path: Path, diff: Diff) -> None:
    write(tmp_path / "a", run(turn(1, "x = 1")))
    write(tmp_path / "b", run(turn(1, "x = 2")))
    status, out, _ = diff(tmp_path / "a", tmp_path / "b", "--json", "--cells")
    data = json.loads(out)
    assert (status, data["same"], data["different"]) == (1, False, ["course"])
    assert data["parting"]["a"] == "```python\nx = 1\n```"
    assert data["outcome"]["answer"] == {"a": "3", "b": "3", "same": True}
    [node] = data["cells"]
    assert node["diff"][0]["key"] == "cells"


def test_the_cells_are_compared_by_nbdime(tmp_path: Path, diff: Diff) -> None:
    same = turn(1, "print(1)")
    write(tmp_path / "a", run(same, turn(2, "x = 1\ny = 2"), turn(3, "print('end')")))
    write(tmp_path / "b", run(same, turn(2, "x = 1\ny = 3"), turn(3, "print('end')")))
    status, out, _ = diff(tmp_path / "a", tmp_path / "b", "--cells")
    assert status == 1
    shown = out.partition("the cells of node 0, from A (-) to B (+):\n")[2]
    assert shown.splitlines()[0] == "## modified /cells/2/source:"
    assert [line for line in shown.splitlines() if line[0] in "-+"] == ["-  y = 2", "+  y = 3"]


def test_without_nbdime_only_the_cells_are_missing(
    tmp_path: Path, diff: Diff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nbdime.diffing.notebooks", None)
    write(tmp_path / "a", run(turn(1, "x = 1")))
    write(tmp_path / "b", run(turn(1, "x = 2")))
    assert diff(tmp_path / "a", tmp_path / "b")[0] == 1
    status, _, err = diff(tmp_path / "a", tmp_path / "b", "--cells")
    assert status == 2
    assert 'pip install "rlm_kernel[diff]"' in err.replace("\n", "")


def test_nothing_that_a_terminal_obeys_is_printed(tmp_path: Path, diff: Diff) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b2J"
    output = {"output_type": "stream", "name": "stdout", "text": f"{evil}\n"}
    a = run(turn(1, f"x = '{evil}'", outputs=[output]))
    write(tmp_path / "a", changed(a, NodeEnded, 0, answer=f"a{evil}"))
    b = run(turn(1, f"y = '{evil}'", outputs=[{**output, "text": f"other{evil}\n"}]))
    write(tmp_path / "b", changed(b, NodeEnded, 0, answer=f"b{evil}"))
    _, out, _ = diff(tmp_path / "a", tmp_path / "b", "--cells")
    assert "y = " in out
    assert {char for char in out if ord(char) < 32 or 127 <= ord(char) < 160} == {"\n"}


def recorded(number: int, source: str) -> RecordedCell:
    return RecordedCell(number, 1, source, "lm", "ok", None, source, [])


def test_what_nbdime_is_given_is_bounded() -> None:
    ours = [recorded(n, f"a{n}") for n in range(MAX_CELLS + 5)]
    theirs = [recorded(n, f"b{n}") for n in range(MAX_CELLS + 7)]
    assert CellDiff(ours, theirs).left_out == 12


def test_a_difference_in_what_is_cut_is_still_seen() -> None:
    long = "x" * MAX_CHARS
    found = CellDiff([recorded(1, f"{long}a{long}")], [recorded(1, f"{long}b{long}")])
    assert "sha256" in found.text(color=False)
