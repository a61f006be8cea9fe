"""The recorder writes the record at once and the view in time, and is loud when it cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import nbformat
import pytest
from stories import call, cell, lived_in, started, story

from rlm_kernel.errors import RecordError
from rlm_kernel.events import Event, NodeEnded
from rlm_kernel.record import journal
from rlm_kernel.record.recorder import Recorder, new_run_folder

pytestmark = pytest.mark.anyio


async def record(folder: Path, events: list[Event]) -> Recorder:
    with anyio.fail_after(20):
        recorder = Recorder(folder)
        for event in events:
            recorder(event)
        await recorder.close()
    return recorder


def notebook(path: Path) -> nbformat.NotebookNode:
    made = nbformat.read(path, as_version=4)
    nbformat.validate(made)
    return made


async def until(path: Path, *, has: str) -> None:
    with anyio.fail_after(10):
        while not path.exists() or has not in path.read_text("utf-8"):
            await anyio.sleep(0.01)


async def test_a_run_leaves_a_sealed_record_and_a_notebook_for_each_node(tmp_path: Path) -> None:
    recorder = await record(tmp_path / "run", story())
    read = journal.read(tmp_path / "run" / "journal.jsonl")
    assert read.sealed
    assert read.events == story()
    root, child = notebook(recorder.trajectory), notebook(tmp_path / "run" / "calls" / "0.1.ipynb")
    assert root.metadata.rlm.record == {"path": "journal.jsonl", "seal": read.seal}
    assert child.metadata.rlm.record == {"path": "../journal.jsonl", "seal": read.seal}
    assert root.metadata.rlm.status == "answered"
    assert root.metadata.rlm.total == json.loads(json.dumps(root.metadata.rlm.total))
    assert (recorder.trajectory.stat().st_mode & 0o777) == 0o600


async def test_what_ran_before_the_question_is_in_the_record_and_its_view(tmp_path: Path) -> None:
    recorder = await record(tmp_path, lived_in())
    assert journal.read(tmp_path / "journal.jsonl").events == lived_in()
    about = notebook(recorder.trajectory).metadata.rlm
    assert [row.turn for row in about.cells] == [0, 0, 0, 1]
    assert len(about.contexts) == 2


async def test_nothing_but_the_record_and_its_view_is_left(tmp_path: Path) -> None:
    await record(tmp_path, story())
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["calls/0.1.ipynb", "journal.jsonl", "trajectory.ipynb"]


async def test_a_notebook_is_there_while_the_run_goes_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder(story()[0])
    recorder(story()[1])
    await until(recorder.trajectory, has="**running**")
    notebook(recorder.trajectory)
    recorder(NodeEnded("0", "answered", "all done", True, None, 11.0))
    await until(recorder.trajectory, has="all done")  # without waiting for its second
    await recorder.close()


async def test_a_node_that_ended_is_written_though_its_time_has_not_come(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, interval_s=3600.0)
    recorder(started("0"))
    await until(recorder.trajectory, has="**running**")
    recorder(cell("0", 1, source="later"))
    recorder(NodeEnded("0", "answered", "all done", True, None, 11.0))
    await until(recorder.trajectory, has="all done")
    assert "later" in recorder.trajectory.read_text("utf-8")
    await recorder.close()


async def test_close_writes_what_was_still_waiting(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, interval_s=3600.0)
    recorder(started("0"))
    await until(recorder.trajectory, has="**running**")
    recorder(cell("0", 1, source="later"))
    with anyio.fail_after(10):
        await recorder.close()
    assert "later" in recorder.trajectory.read_text("utf-8")


async def test_every_event_is_in_the_record_when_the_call_returns(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for count, event in enumerate(story(), 1):
        recorder(event)
        assert len(journal.read(tmp_path / "journal.jsonl").events) == count
    await recorder.close()


async def test_a_call_after_the_end_of_its_node_is_in_the_record_only(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    events = story()
    end = next(i for i, e in enumerate(events) if isinstance(e, NodeEnded)) + 1
    for event in [*events[:end], call("0.1", 0), *events[end:]]:
        recorder(event)
    await recorder.close()
    assert call("0.1", 0) in journal.read(tmp_path / "journal.jsonl").events
    assert notebook(tmp_path / "calls" / "0.1.ipynb").metadata.rlm.calls == []


async def test_a_long_text_is_in_a_blob_that_record_and_notebook_share(tmp_path: Path) -> None:
    long = "y" * 40_000
    await record(tmp_path, [started("0"), call("0", 0, reply=long)])
    reply = notebook(tmp_path / "trajectory.ipynb").metadata.rlm.calls[0].reply
    assert (tmp_path / "blobs" / reply["$blob"]).read_text("utf-8") == long


async def test_a_run_without_any_event_can_be_closed(tmp_path: Path) -> None:
    await record(tmp_path, [])
    assert journal.read(tmp_path / "journal.jsonl").events == []


async def test_a_folder_with_a_record_is_refused_and_left_alone(tmp_path: Path) -> None:
    await record(tmp_path, story())
    with pytest.raises(RecordError, match="there is a record already"):
        Recorder(tmp_path)
    assert journal.read(tmp_path / "journal.jsonl").sealed


async def test_a_notebook_that_cannot_be_written_is_told_when_the_record_is_sealed(
    tmp_path: Path,
) -> None:
    (tmp_path / "trajectory.ipynb").mkdir()
    recorder = Recorder(tmp_path, interval_s=0.0)
    for event in story():
        recorder(event)
        await anyio.lowlevel.checkpoint()
    with pytest.raises(RecordError, match=r"trajectory\.ipynb: the record cannot be written"):
        await recorder.close()
    read = journal.read(tmp_path / "journal.jsonl")
    assert (read.sealed, read.events) == (True, story())
    assert (tmp_path / "calls" / "0.1.ipynb").exists()


def test_run_folders_have_names_of_their_own_and_are_kept_out_of_git(tmp_path: Path) -> None:
    first, second = (new_run_folder(tmp_path, "How many / reviews?") for _ in range(2))
    assert first == tmp_path / "rlm-runs" / "How-many-reviews"
    assert second.name == "How-many-reviews-2"
    assert (tmp_path / "rlm-runs" / ".gitignore").read_text("utf-8") == "*\n"
    assert new_run_folder(tmp_path, "../..").parent == tmp_path / "rlm-runs"


def test_where_the_folder_cannot_be_written_jupyters_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    assert new_run_folder(tmp_path / "file", "a") == tmp_path / "data" / "rlm-runs" / "a"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "file" / "data"))
    with pytest.raises(RecordError, match="--out"):
        new_run_folder(tmp_path / "file", "a")


def test_a_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    made = new_run_folder(tmp_path, f"..{os.sep}..{os.sep}etc")
    assert made.parent == tmp_path / "rlm-runs"
