"""Totals over the tree, and how they are shown."""

from __future__ import annotations

import io
import json
import random
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console
from stories import call, cell, lived_in, replied, run_started, started, story

from rlm_kernel.errors import RecordError
from rlm_kernel.events import CallEnded, Event, NodeEnded, Replied, Usage
from rlm_kernel.record import loading
from rlm_kernel.record.journal import Journal
from rlm_kernel.record.notebooks import ipynb
from rlm_kernel.record.notebooks.metadata import NotebookContext
from rlm_kernel.record.notebooks.notebook import build
from rlm_kernel.record.numbers import price
from rlm_kernel.record.summary import RUNNING, summarise
from rlm_kernel.reports import show


def test_a_tree_adds_up_to_what_its_turns_and_calls_used() -> None:
    spent = [e.usage for e in story() if isinstance(e, (Replied, CallEnded))]
    tree = summarise(story())
    root, child = tree.nodes
    assert tree.usage == root.total
    assert tree.usage.tokens == sum(usage.tokens for usage in spent)
    assert tree.usage.unpriced == sum(usage.unpriced for usage in spent)
    assert tree.usage.cost == float(sum(Fraction(usage.cost) for usage in spent))
    assert (root.children, child.parent, child.own) == (("0.1",), "0", child.total)
    assert (tree.turns, tree.calls) == (4, 26)
    assert (root.turns, root.cells, root.calls, root.seconds) == (2, 3, 26, 8.0)


def test_the_sum_of_money_does_not_depend_on_the_order() -> None:
    rng = random.Random(7)
    calls: list[Event] = [
        call("0", i, usage=Usage(1, cost=rng.random() * 10 ** rng.randint(-9, 3)))
        for i in range(200)
    ]
    one = summarise([started("0"), *calls])
    rng.shuffle(calls)
    assert summarise([started("0"), *calls]).usage.cost == one.usage.cost


def test_three_levels_add_up() -> None:
    events: list[Event] = [started(name) for name in ("0", "0.1", "0.1.1", "0.2")]
    events += [replied(node, 3, "x") for node in ("0", "0.1", "0.1.1", "0.2")]
    tree = summarise(events)
    assert [node.total.requests for node in tree.nodes] == [4, 2, 1, 1]
    assert [node.id for node in tree.below("0.1")] == ["0.1", "0.1.1"]


def test_every_beginning_of_a_run_can_be_summarised() -> None:
    for size in range(len(story())):
        tree = summarise(story()[:size])
        assert all(node.status in (RUNNING, "answered") for node in tree.nodes)


def test_a_tool_is_not_a_sub_call() -> None:
    tree = summarise([started("0"), call("0", 0, op="tool", usage=Usage())])
    assert tree.calls == 0


def test_what_ran_before_the_question_is_not_counted() -> None:
    [node] = summarise(lived_in()).nodes
    assert (node.turns, node.cells, node.calls, node.own.requests) == (1, 1, 1, 2)


def test_calls_that_a_humans_cells_paid_for_are_counted() -> None:
    [node] = summarise([started("0", context=None), call("0", 0), cell("0", 1, turn=0)]).nodes
    assert (node.cells, node.calls) == (0, 1)


def test_an_unknown_price_is_said() -> None:
    assert price(Usage(3, cost=0.0123, unpriced=2)) == "$0.0123 (2 requests unpriced)"
    assert price(Usage(3, unpriced=3)) == "price unknown"
    assert price(Usage(3, cost=0.0)) == "$0.00"


def shown(path: Path) -> str:
    console = Console(file=io.StringIO(), width=160)
    show.render(loading.load(path), console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = Journal.create(tmp_path / "journal.jsonl")
    for event in story():
        written.write(event)
    written.seal()
    return tmp_path


def test_a_tree_is_shown_with_its_totals(folder: Path) -> None:
    text = shown(folder)
    assert "0 · answered · 2 turns · 26 calls · " in text
    assert "└── 0.1 · answered · 2 turns · 0 calls · 206 tokens" in text
    assert "17 of 24 reviews are positive." in text
    assert "all · 4 turns · 26 calls" in text
    assert ": sealed" in text
    assert "problem" not in text


def test_a_changed_record_is_shown_with_its_problem(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"17 of', b'"18 of'))
    assert "(node ended) was changed after it was written" in shown(folder)


def test_json_holds_what_the_screen_shows(folder: Path) -> None:
    data = json.loads(json.dumps(show.as_json(loading.load(folder))))
    assert data["usage"]["output_tokens"] == summarise(story()).usage.output_tokens
    assert [node["id"] for node in data["nodes"]] == ["0", "0.1"]
    assert data["sealed"] is True


def write_notebook(path: Path, seal: str | None = None) -> Path:
    tree = summarise(story())
    events = [e for e in story() if getattr(e, "node", None) == "0"]
    place = NotebookContext(run=run_started(), nodes=tree.nodes, seal=seal)
    path.write_bytes(ipynb.dumps(build(events, place)))
    return path


def test_a_lone_notebook_shows_the_same_totals(tmp_path: Path) -> None:
    loaded = loading.load(write_notebook(tmp_path / "mailed.ipynb"))
    tree = summarise(story())
    assert loaded.sealed is None
    assert loaded.tree.usage == tree.usage
    assert [node.own for node in loaded.tree.nodes] == [node.own for node in tree.nodes]
    assert "0.1 · answered" in shown(tmp_path / "mailed.ipynb")


def test_a_notebook_of_another_record_is_told(folder: Path) -> None:
    path = write_notebook(folder / "trajectory.ipynb", seal="0" * 64)
    assert "made from another record" in shown(path)


def test_a_run_that_goes_on_is_shown_as_running(tmp_path: Path) -> None:
    written = Journal.create(tmp_path / "journal.jsonl")
    for event in story()[:9]:
        written.write(event)
    written.close()
    text = shown(tmp_path)
    assert "0 · running · 1 turn · " in text
    assert "not sealed" in text


def test_the_own_account_of_a_run_is_checked(tmp_path: Path) -> None:
    written = Journal.create(tmp_path / "journal.jsonl")
    for event in story():
        if not isinstance(event, NodeEnded) and getattr(event, "index", 0) != 3:
            written.write(event)
    written.close()
    assert "the run's own account says" in shown(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"cells": []}', b"[1]"])
def test_a_file_that_is_no_trajectory_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.ipynb"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"some\.ipynb"):
        loading.load(path)
    with pytest.raises(RecordError):
        loading.load(tmp_path / "nothing")
