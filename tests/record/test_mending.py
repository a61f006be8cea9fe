"""A journal read while it is written, and one whose writer did not live to end it."""

from __future__ import annotations

from pathlib import Path

import pytest
from stories import story

from rlm_kernel.errors import RecordError
from rlm_kernel.events import NodeEnded, RunEnded
from rlm_kernel.record import journal
from rlm_kernel.record.journal import Follower, is_written
from rlm_kernel.record.mending import mend
from rlm_kernel.record.recording import Recording

pytestmark = pytest.mark.anyio


def begun(folder: Path, size: int) -> journal.Journal:
    """The record of a run that has come as far as its event of this number."""
    record = journal.Journal.create(folder / "journal.jsonl")
    for event in story()[:size]:
        record.write(event)
    return record


@pytest.mark.parametrize("size", [1, 2, 4, 33, len(story()) - 2, len(story()) - 1])
async def test_a_run_that_was_left_is_ended_as_interrupted_and_sealed(
    tmp_path: Path, size: int
) -> None:
    begun(tmp_path, size).close()
    await mend(tmp_path)
    loaded = Recording.open(tmp_path)
    assert loaded.sealed
    assert list(loaded.problems) == []
    ended = loaded.ended
    assert ended is not None
    assert [node.status for node in loaded.tree.nodes if node.status == "running"] == []
    answered = any(isinstance(e, NodeEnded) and e.node == "0" for e in story()[:size])
    assert ended.status == ("answered" if answered else "interrupted")
    assert ended.usage == loaded.tree.usage
    pages = [tmp_path / "trajectory.ipynb", tmp_path / "calls/0.1.ipynb"]
    assert [page.exists() for page in pages] == [size > 1, size > 32]
    with pytest.raises(journal.RunHasEnded):
        await mend(tmp_path)


async def test_a_record_that_is_written_is_not_ended(tmp_path: Path) -> None:
    record = begun(tmp_path, 4)
    with pytest.raises(RecordError, match="another process writes this record"):
        await mend(tmp_path)
    assert is_written(record.path) is True
    record.close()
    assert is_written(record.path) is False
    assert is_written(tmp_path / "none") is None
    (tmp_path / "empty").touch()
    assert is_written(tmp_path / "empty") is None


def test_a_follower_gives_each_event_once_and_waits_for_whole_lines(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "journal.jsonl")
    record = begun(tmp_path, 2)
    assert follower.read() == story()[:2]
    assert follower.read() == []
    for event in story()[2:]:
        record.write(event)
    whole = record.path.read_bytes()
    record.close()
    record.path.write_bytes(whole[:-10])
    rest = follower.read()
    assert rest == story()[2:-1]
    assert not follower.over
    record.path.write_bytes(whole)
    (last,) = follower.read()
    assert isinstance(last, RunEnded)
    assert follower.over


def test_a_follower_says_what_is_wrong_and_reads_nothing_that_is_no_record(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "journal.jsonl")
    with pytest.raises(RecordError):
        follower.read()
    (tmp_path / "journal.jsonl").write_text("no record\n")
    assert follower.read() == []
    assert "line 1 cannot be read" in str(follower.problem)
