"""Where the trajectory of a replay cell is looked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from replay_helpers import edit, of_first_version, small

from rlm_kernel.errors import RecordError, UsageError
from rlm_kernel.kernel import launcher_process
from rlm_kernel.kernel.replaying.locate import Located, Wanted, find

ROOT = Wanted(run="first", node="0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "first"
    small(folder, cells=["print(context[:3])", "FINAL_VAR(1)"])
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(launcher_process, "notebooks", list)
    return Path(shutil.copytree(made, tmp_path / "moved"))


def _source(found: Located | None) -> Path:
    assert found is not None
    assert list(found.recorded.nodes) == [found.node] == ["0"]
    return found.source


def test_the_record_in_the_folder_is_preferred(run: Path) -> None:
    assert _source(find(ROOT, run)) == run / "journal.jsonl"


def test_the_record_of_another_run_is_not_taken(run: Path, tmp_path: Path) -> None:
    small(tmp_path / "other", "another", cells=["print(context[:3])", "FINAL_VAR(1)"])
    shutil.copy(run / "trajectory.ipynb", tmp_path / "other" / "mine.ipynb")
    assert _source(find(ROOT, tmp_path / "other")) == tmp_path / "other" / "mine.ipynb"


def test_the_notebook_that_a_front_end_tells_of_is_looked_at(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailed = Path(shutil.move(run / "trajectory.ipynb", tmp_path / "mailed.ipynb"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="there is no trajectory of run first, node 0"):
        find(ROOT, tmp_path / "empty")
    monkeypatch.setenv("JPY_SESSION_NAME", str(mailed))
    assert _source(find(ROOT, tmp_path / "empty")) == mailed
    monkeypatch.delenv("JPY_SESSION_NAME")
    monkeypatch.setattr(launcher_process, "notebooks", lambda: [mailed])
    assert _source(find(ROOT, tmp_path / "empty")) == mailed


def test_copies_are_one_trajectory_and_changed_ones_are_not(run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copy(run / "trajectory.ipynb", tmp_path / f"{name}.ipynb")
    assert _source(find(ROOT, tmp_path)) == tmp_path / "one.ipynb"
    edit(tmp_path / "two.ipynb", lambda made: made["metadata"]["rlm"].update(answer="2"))
    with pytest.raises(UsageError, match=r"one\.ipynb, two\.ipynb: all are of run first"):
        find(ROOT, tmp_path)
    assert _source(find(Wanted("two.ipynb"), tmp_path)) == tmp_path / "two.ipynb"


def test_a_cell_that_names_nothing_means_the_only_trajectory(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _source(find(Wanted(), run)) == run / "journal.jsonl"
    mailed = Path(shutil.copy(run / "trajectory.ipynb", tmp_path / "mailed.ipynb"))
    of_first_version(mailed)
    assert _source(find(Wanted(), tmp_path)) == mailed
    ordinary = Path(shutil.copy(mailed, tmp_path / "ordinary.ipynb"))
    edit(ordinary, lambda made: made["metadata"].pop("rlm"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(ordinary))
    assert find(Wanted(), tmp_path) is None
    monkeypatch.setenv("JPY_SESSION_NAME", str(mailed))
    assert _source(find(Wanted(), tmp_path)) == mailed


def test_a_path_that_is_nothing_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file or folder"):
        find(Wanted("atuo"), tmp_path)
    (tmp_path / "broken.ipynb").write_text('{"rlm": 1}')
    with pytest.raises(RecordError, match="there is no trajectory in it"):
        find(Wanted("broken.ipynb"), tmp_path)
