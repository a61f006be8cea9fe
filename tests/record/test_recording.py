"""A record is opened by one reader: once, whatever is made of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import of

from rlm_kernel import cli
from rlm_kernel.events import ROOT, CallEnded, CellRan, NodeEnded, Prompted
from rlm_kernel.record.recording import Recording
from rlm_kernel.record.trajectory import replayable

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-1"
_counters: list[Counter[str]] = []
"""Where the hook counts; it cannot be taken away again."""


def _count(name: str, given: tuple[Any, ...]) -> None:
    if name == "open" and _counters and isinstance(given[0], str | bytes | os.PathLike):
        path = os.fsdecode(given[0])
        if path.endswith((".jsonl", ".ipynb")):
            _counters[-1][path] += 1


sys.addaudithook(_count)


@pytest.fixture
def opened() -> Iterator[Counter[str]]:
    """How often each journal and notebook was opened."""
    _counters.append(Counter())
    yield _counters[-1]
    _counters.pop()


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(FIXTURE, tmp_path / "runs" / name)) for name in ("a", "b")]


@pytest.mark.parametrize("named", ["", "journal.jsonl", "trajectory.ipynb", "calls/0.1.ipynb"])
def test_diff_opens_each_journal_and_each_notebook_once(
    runs: list[Path], named: str, opened: Counter[str]
) -> None:
    assert cli.main(["diff", *(str(run / named) for run in runs)]) == 0
    assert {str(run / "journal.jsonl") for run in runs} < set(opened)
    assert set(opened.values()) == {1}


@pytest.mark.parametrize("command", ["show", "why", "export", "fork", "resume"])
def test_a_command_opens_the_journal_once(
    runs: list[Path], command: str, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs[0].parent)
    cli.main([command, str(runs[0])])
    assert opened[str(runs[0] / "journal.jsonl")] == 1
    assert set(opened.values()) == {1}


def test_a_list_of_runs_opens_each_journal_once(runs: list[Path], opened: Counter[str]) -> None:
    assert cli.main(["show", str(runs[0].parent)]) == 0
    assert opened == {str(run / "journal.jsonl"): 1 for run in runs}


def test_a_record_its_journal_and_its_notebook_are_opened_as_the_same_run() -> None:
    names = (".", "journal.jsonl", "trajectory.ipynb")
    one, *others = (Recording.open(FIXTURE / name) for name in names)
    for other in others:
        assert (other.tree, other.events, other.seal) == (one.tree, one.events, one.seal)
    assert (one.sealed, one.problems, one.alone) == (True, [], False)


def test_a_childs_notebook_opens_its_part_of_the_record() -> None:
    recording = Recording.open(FIXTURE / "calls" / "0.1.ipynb")
    assert [node.id for node in recording.tree.nodes] == ["0.1"]
    assert {getattr(event, "node", "0.1") for event in recording.events} == {"0.1"}
    assert recording.folder == FIXTURE
    assert list(replayable(recording).nodes) == ["0.1"]


def test_a_notebook_alone_opens_as_events_without_prompts_and_times(tmp_path: Path) -> None:
    path = shutil.copy(FIXTURE / "trajectory.ipynb", tmp_path / "mailed.ipynb")
    recording, whole = Recording.open(Path(path)), Recording.open(FIXTURE)
    assert (recording.alone, recording.sealed, recording.problems) == (True, None, [])
    told = [event for event in whole.events if getattr(event, "node", ROOT) == ROOT]
    for kind in (CellRan, CallEnded, NodeEnded):
        assert len(of(kind, recording.events)) == len(of(kind, told)) > 0
    assert of(Prompted, recording.events) == []
    assert {event.time for event in of(CellRan, recording.events)} == {0.0}
