"""The folder of a batch: its tasks, its results and its runs, written by one process at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from ..errors import RecordError, UsageError
from ..record import files
from .results import RESULTS, TaskResult, read_results
from .tasks import Task, Tasks

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

TASKS = "tasks.jsonl"
ABOUT = "batch.json"
RUNS = "runs"
CONTEXTS = "contexts"
EVALUATION = "eval.json"
MADE_BEFORE = {TASKS, CONTEXTS, EVALUATION}
"""Names that may be there before a batch begins: an evaluation makes its tasks in the folder."""
LOCK = ".lock"
SCHEMA = 1


class Folder:
    """Open it by ``with``. What it holds is whole after ``kill -9`` at any moment.

    ``results`` are those that stay, by id. ``again`` are the ids of those that are taken out when
    it is opened: ``unfinished`` ones, and with ``retry_failed`` those that failed or reached a
    limit of their own. So each task has one line at most.

    Raises ``UsageError`` for a folder of other tasks or of something else, ``RecordError`` where
    another process writes it or the disk refuses.
    """

    def __init__(self, path: Path, tasks: Tasks, *, retry_failed: bool = False) -> None:
        self.path = path.absolute()
        self.results: dict[str, TaskResult] = {}
        self.again: set[str] = set()
        self._tasks = tasks
        self._retry_failed = retry_failed
        self._lock = -1
        self._results = -1

    def run(self, task: Task) -> Path:
        """Return the folder of its run."""
        return self.path / RUNS / task.folder

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def _open(self) -> None:
        try:
            files.make_folder(self.path)
            self._check_links()
            self._lock = _locked(self.path / LOCK)
            self._begin()
            self._take_results()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            self._results = os.open(self.path / RESULTS, flags, 0o600)
        except OSError as error:
            raise UsageError(
                f"{self.path}: the results cannot be written there: {error.strerror}; choose "
                "another folder"
            ) from error

    def _check_links(self) -> None:
        """Refuse links: nothing is written outside of a folder that somebody sent."""
        for name in (RUNS, TASKS, ABOUT, RESULTS, LOCK):
            if (self.path / name).is_symlink():
                raise UsageError(
                    f"{self.path / name}: it is a link, which may lead out of the folder; remove "
                    "it, or choose another folder"
                )

    def _begin(self) -> None:
        """Write down which tasks the folder is of, or check that it is of these."""
        about = self.path / ABOUT
        if about.exists():
            self._check(about)
            return
        names = {each.name for each in self.path.iterdir() if not each.name.startswith(".")}
        if strange := sorted(names - MADE_BEFORE):
            raise UsageError(
                f"{self.path}: the folder is not empty ({strange[0]!r} is there) and holds no "
                "batch; choose a new one"
            )
        _write(self.path / TASKS, self._tasks.text)
        tasks, sha256 = len(self._tasks.tasks), self._tasks.sha256
        made = {"schema": SCHEMA, "tasks": tasks, "sha256": sha256}
        _write(about, json.dumps(made) + "\n")

    def _check(self, about: Path) -> None:
        try:
            made: Any = json.loads(about.read_text(encoding="utf-8"))
            before = made["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{about}: this is not the file of a batch: {error}") from error
        if before != self._tasks.sha256:
            raise UsageError(
                f"{self.path}: the folder holds a batch of other tasks: {self._difference()}. Give "
                "the same file, or another folder"
            )

    def _difference(self) -> str:
        path = self.path / TASKS
        old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        new = self._tasks.text.splitlines()
        pairs = enumerate(zip(old, new, strict=False), 1)
        first = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)) + 1)
        counts = f"it has {len(old):,}, the file {len(new):,}"
        return f"{counts}; task {first:,} is the first that differs"

    def _take_results(self) -> None:
        path = self.path / RESULTS
        found, size = read_results(path)
        for result in found:
            self.results[result.id] = result
        self.again = {each.id for each in self.results.values() if self._goes_again(each)}
        for name in self.again:
            del self.results[name]
        if len(self.results) < len(found):
            _write(path, "".join(result.line() for result in self.results.values()))
        elif path.exists() and path.stat().st_size > size:
            os.truncate(path, size)

    def _goes_again(self, result: TaskResult) -> bool:
        retried = self._retry_failed and result.status in ("failed", "limit")
        return result.unfinished or retried

    def append(self, results: Iterable[TaskResult]) -> None:
        """Write results, whole lines that have reached the disk when it returns. Blocks."""
        lines = [result.line().encode("ascii") for result in results]
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                rest = rest[os.write(self._results, rest) :]
            os.fsync(self._results)
        except OSError as error:
            raise RecordError(
                f"{self.path / RESULTS}: the results cannot be written: {error.strerror}; free "
                "some space, and the same `rlm batch` resumes from here"
            ) from error

    def _close(self) -> None:
        for descriptor in (self._results, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._results = self._lock = -1


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if fcntl is None:
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RecordError(
            f"{path.parent}: another `rlm batch` is writing to this folder; wait for it, or "
            "choose another folder"
        ) from error
    return descriptor


def _write(path: Path, text: str) -> None:
    files.write(path, text.encode("utf-8"), sync=True)
