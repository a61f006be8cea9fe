"""What a run, a batch and an export leave on the disk is for their owner only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import ask, block, script
from batching import tasks, turn

from rlm_kernel import RLM, RecordError, UsageError, batch, cli
from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.record import files
from rlm_kernel.replay import continuation
from rlm_kernel.replay.reopen import reopen
from rlm_kernel.reports import listing
from rlm_kernel.testing import ScriptedLM


@pytest.fixture(autouse=True)
def lax() -> Iterator[None]:
    """Whatever would be readable by others is."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """What others could read: nothing of a closed folder."""
    found = []
    for path in [folder, *folder.rglob("*")]:
        closed = any(_mode(above) & 0o007 == 0 for above in _above(path, folder))
        if _mode(path) & 0o077 and not closed:
            found.append(str(path.relative_to(folder.parent)))
    return found


def _above(path: Path, folder: Path) -> list[Path]:
    return [above for above in path.parents if above == folder or folder in above.parents]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def write_one(context: object = "x" * 50_000) -> ScriptedLM:
    child = "child = rlm_query('child?', 'y' * 100_000)"
    source = f"print(len(context))\nopen('secret.txt', 'w').write('secret')\n{child}"

    def replied(messages: list[dict[str, str]]) -> str:
        if ": child?" in messages[1]["content"]:
            return block("print(len(context))\nopen('more.txt', 'w')\nFINAL_VAR(context[:9])")
        return block("FINAL_VAR(child)" if len(messages) > 2 else source)

    return ScriptedLM(replied)


def test_a_run_and_what_its_cells_write_are_for_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with RLM(model=write_one()) as rlm:
        result = rlm.completion("x" * 50_000, "What is it?")
    assert result.status == "answered", result.reason
    run = result.trajectory.parent
    assert (run / "files" / "0" / "secret.txt").exists()
    assert len(list((run / "blobs").iterdir())) >= 2
    assert _mode(run.parent) == 0o700
    assert open_to_others(run) == []
    assert {_mode(path) for path in (run / "blobs").iterdir()} == {0o600}
    assert _mode(run / "files") == _mode(run / "files" / "0") == 0o700


def test_in_a_folder_that_was_there_what_a_run_writes_is_closed_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    result = ask(write_one(), out, "x" * 50_000)
    assert result.status == "answered", result.reason
    assert open_to_others(out) == ["out"]  # which is the user's own


def test_a_batch_and_its_runs_are_for_their_owner_only(tmp_path: Path) -> None:
    out = tmp_path / "above" / "results"
    run_batch(tasks(2), out, Plan(notebook=False), model=ScriptedLM(turn))
    assert [_mode(out.parent), _mode(out), _mode(out / "runs")] == 3 * [0o700]
    assert {_mode(path) for path in out.iterdir() if path.is_file()} == {0o600}


def test_an_export_is_for_its_owner_only(tmp_path: Path) -> None:
    ask(script("print(context)\nFINAL_VAR(1)"), tmp_path / "run")
    assert cli.main(["export", str(tmp_path / "run"), "-o", str(tmp_path / "a.html")]) == 0
    assert _mode(tmp_path / "a.html") == 0o600


def test_what_an_older_run_left_open_is_closed_when_it_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ask(script("print(context)\nFINAL_VAR(1)"), folder)
    (folder / "files" / "0").mkdir(parents=True, mode=0o777)
    (folder / "files").chmod(0o755)
    (folder / "files" / "0" / "old.txt").write_text("old")
    (folder / ".trajectory.ipynb.part").touch(mode=0o666)
    assert reopen(folder)
    recorder = continuation.resume(folder).recorder
    assert recorder is not None
    recorder.abandon()
    assert _mode(folder / "files-1") == 0o700
    files.write(folder / "trajectory.ipynb", b"{}")
    assert _mode(folder / "trajectory.ipynb") == 0o600


def test_no_write_follows_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / ".a.part").symlink_to(mine)
    with pytest.raises(RecordError, match="cannot be written"):
        files.write(tmp_path / "a", b"theirs")
    (tmp_path / "b").symlink_to(mine)
    files.write(tmp_path / "b", b"theirs")
    assert (tmp_path / "b").read_bytes() == b"theirs"
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["runs", "tasks.jsonl", "batch.json", "results.jsonl", ".lock"])
def test_a_batch_is_not_written_through_a_link(tmp_path: Path, name: str) -> None:
    out, outside = tmp_path / "results", tmp_path / "outside"
    out.mkdir()
    (out / name).symlink_to(outside)
    with pytest.raises(UsageError, match="it is a link"):
        run_batch(tasks(1), out, Plan(notebook=False), model=ScriptedLM(turn))
    assert not outside.exists()


def test_a_run_of_a_batch_that_is_a_link_fails_alone(tmp_path: Path) -> None:
    out, outside = tmp_path / "results", tmp_path / "outside"
    outside.mkdir()
    (out / "runs").mkdir(parents=True)
    run_batch(tasks(1), tmp_path / "begun", Plan(notebook=False), model=ScriptedLM(turn))
    for name in ("batch.json", "tasks.jsonl"):
        (tmp_path / "begun" / name).rename(out / name)
    (out / "runs" / "1").symlink_to(outside)
    run_batch(tasks(1), out, Plan(notebook=False), model=ScriptedLM(turn))
    [result] = batch.load(out).results
    assert (result.status, list(outside.iterdir())) == ("failed", [])
    assert listing.find([out]) == []
