"""The tasks of a batch carried out: so many at once on one event loop, until a limit or a stop."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..events import Usage
from ..record.files import JOURNAL
from ..replay.reopen import left_out
from ..reports import listing
from ..session.session import Session
from .folder import Folder
from .plan import Plan
from .results import TaskResult, is_total
from .task_run import INTERRUPTED, TaskRun
from .tasks import Task

T = TypeVar("T")
LOADERS = 8
"""Threads that load contexts and read records, apart from those that the runs share: a slow one
keeps no record from being written."""


@dataclass
class Counts:
    """Counts of a batch that is under way.

    ``before`` of ``total`` tasks were done at an earlier time; ``right`` of ``scored`` answers were
    right; ``cost`` is the known part of it, in US dollars, and ``unpriced`` the requests beside it
    whose price is not known. Once it is ``stopping`` no more runs are begun.
    """

    total: int
    before: int = 0
    live: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    right: float = 0.0
    scored: int = 0
    cost: float = 0.0
    unpriced: int = 0
    stopping: bool = False

    @property
    def done(self) -> int:
        return self.statuses.total()

    def take(self, result: TaskResult) -> None:
        self.statuses[result.status] += 1
        if result.correct is not None:
            self.right += float(result.correct)
            self.scored += 1


Watch = Callable[[Counts], None]


@dataclass(frozen=True)
class _Job:
    """A task to run. ``again`` resumes its run, whatever its record says of an end."""

    task: Task
    again: bool
    retries: int


class Batch:
    """Carries out the tasks of a folder, once.

    ``stopped`` says why not all tasks were run: ``"interrupted"`` or the name of the limit that
    they share. ``watch`` is told of each change.
    """

    def __init__(
        self, folder: Folder, tasks: list[Task], session: Session, plan: Plan, watch: Watch
    ) -> None:
        self.stopped: str | None = None
        self.reason = ""
        self.counts = Counts(len(tasks), before=len(folder.results))
        self._folder = folder
        self._session = session
        self._plan = plan
        self._watch = watch
        self._budget = session.budget
        self._running: set[asyncio.Task[Any]] = set()
        """Workers whose run is live; others are writing a result, which is not to be lost."""
        self._loading = ThreadPoolExecutor(min(plan.concurrency, LOADERS), "rlm-batch")
        self._writing = ThreadPoolExecutor(1, "rlm-results")
        self._waiting = deque(
            _Job(task, task.id in folder.again, plan.retries)
            for task in tasks
            if task.id not in folder.results
        )

    def stop(self) -> None:
        """End the live runs as interrupted, and begin no more."""
        self._stop(INTERRUPTED, INTERRUPTED)
        for worker in self._running:
            worker.cancel()

    def _stop(self, what: str, why: str) -> None:
        if self.stopped is None:
            self.stopped, self.reason = what, why
            self.counts.stopping = True

    async def carry_out(self) -> None:
        """Run what is left to run, and write a result for every task.

        Whatever a run or a score raises is a failed run. Cancelling it ends the live runs as
        ``stop`` does, leaves those that were not begun without a result, and is raised again.
        Raises ``UsageError`` for a setting that proves to be wrong and ``RecordError`` where
        results cannot be written: the batch can be resumed.
        """
        for result in self._folder.results.values():
            self.counts.take(result)
        try:
            self._budget.spent += await self._load(self._spent_before)
            await self._run_all()
            await self._write(*(self._skipped(job.task) for job in self._waiting))
        finally:
            for pool in (self._loading, self._writing):
                await asyncio.shield(asyncio.to_thread(pool.shutdown))

    def _spent_before(self) -> float:
        """Return what runs of this folder have cost, those without a result included. Blocks."""
        costs = [result.cost or 0.0 for result in self._folder.results.values()]
        for job in self._waiting:
            folder = self._folder.run(job.task)
            if (folder / JOURNAL).exists():
                usage = (listing.read(folder).usage or Usage()) + left_out(folder)
                costs.append(usage.cost)
        return sum(costs)

    async def _run_all(self) -> None:
        self._changed()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._plan.concurrency, len(self._waiting))):
                    group.create_task(self._work())
        except BaseExceptionGroup as several:  # the others were cancelled for the first one
            raise several.exceptions[0] from several

    async def _work(self) -> None:
        while self._waiting and self.stopped is None:
            if (over := self._budget.reached) is not None:
                self._stop(over.limit, str(over))
                return
            job = self._waiting.popleft()
            self.counts.live += 1
            self._changed()
            try:
                result = await self._result(job)
            finally:
                self.counts.live -= 1
            if result is not None:
                await self._write(result)
            self._changed()

    def _changed(self) -> None:
        self.counts.cost = self._budget.spent
        self.counts.unpriced = self._budget.unpriced
        self._watch(self.counts)

    async def _write(self, *results: TaskResult) -> None:
        for result in results:
            self.counts.take(result)
        writing = asyncio.get_running_loop().run_in_executor(
            self._writing, self._folder.append, results
        )
        await asyncio.shield(writing)
        self._folder.results |= {result.id: result for result in results}

    async def _load(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loading, work, *given)

    async def _result(self, job: _Job) -> TaskResult | None:
        """Carry out one task. Return its result; None where it is to be tried again, behind all
        others."""
        open_run, worker = self._plan.open_run or TaskRun, _current()
        run = open_run(job.task, self._folder, self._session, self._load)
        self._running.add(worker)
        try:
            passing = await run.carry_out(job.again)
        except asyncio.CancelledError:  # the result is written all the same
            self._stop(INTERRUPTED, INTERRUPTED)
            passing = False
        finally:
            self._running.discard(worker)
        assert run.ended is not None
        if is_total(run.ended.status, run.ended.reason) and (over := self._budget.reached):
            self._stop(over.limit, str(over))
        if passing and job.retries and self.stopped is None and self._budget.reached is None:
            self._waiting.append(dataclasses.replace(job, again=True, retries=job.retries - 1))
            return None
        return await run.result(self._plan.score)

    def _skipped(self, task: Task) -> TaskResult:
        return TaskResult(
            id=task.id,
            question=task.question,
            status="skipped",
            expected=task.expected,
            reason=f"skipped: {self.reason}",
            task=task.rest,
        )


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
