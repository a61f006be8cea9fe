"""What a kernel has recorded: its runs, whether they are whole, and whether they replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nbformat
from harness import RunningKernel

from rlm_kernel.events import Event
from rlm_kernel.record import journal, trajectory
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict


def runs(kernel: RunningKernel) -> list[Path]:
    """The folders of the runs, oldest first."""
    found = kernel.cwd.glob("rlm-runs/*/journal.jsonl")
    return [path.parent for path in sorted(found, key=lambda path: events(path.parent)[0].time)]  # type: ignore[union-attr]


def events(folder: Path) -> list[Event]:
    return journal.read(folder / "journal.jsonl").events


def check_valid(folder: Path) -> None:
    """The record is sealed, and every notebook is valid by nbformat's schema and by ours."""
    loaded = Recording.open(folder)
    assert loaded.sealed, folder
    assert list(loaded.problems) == []
    for notebook in folder.rglob("*.ipynb"):
        nbformat.validate(nbformat.read(notebook, 4))


def replayed(folder: Path) -> Verdict:
    return asyncio.run(replay(trajectory.load(folder), lambda text: None))


def check_equal(folder: Path) -> None:
    """The run is whole, and its replay gives what is in the record."""
    check_valid(folder)
    verdict = replayed(folder)
    assert (verdict.differences, verdict.ambiguities) == ([], []), folder
