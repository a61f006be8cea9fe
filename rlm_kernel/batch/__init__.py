"""Many questions at once: runs, results, and how well they were answered, in one folder.

How one question is asked is ``session``.

run_batch([{"question": "How many words?", "context": "a b c", "expected": 3}], "results")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunFailed, UsageError
from ..inputs.tools import Tools
from ..lm.model import LM
from ..lm.models import is_lm
from ..rlm.boundary import boundary
from ..session.event_loop import engine
from ..session.session import Session
from ..settings.limits import Budget
from ..settings.resolved import Resolved, in_force
from . import summary
from .figures import course_figure, distributions_figure, outcomes_figure
from .folder import Folder
from .plan import Plan, Score, equality, make_room
from .results import TaskResult
from .running import Batch, Counts, Watch
from .score import correct, normalised
from .summing import Results, load, outcome
from .tables import failures_table, outcomes_table, totals
from .task_run import INTERRUPTED, TaskRun
from .tasks import Task, Tasks, make_tasks, read_tasks

__all__ = [
    "INTERRUPTED",
    "Batch",
    "Counts",
    "Plan",
    "Results",
    "Score",
    "Summary",
    "Task",
    "TaskResult",
    "TaskRun",
    "Tasks",
    "correct",
    "course_figure",
    "distributions_figure",
    "equality",
    "failures_table",
    "load",
    "make_tasks",
    "normalised",
    "open_session",
    "outcome",
    "outcomes_figure",
    "outcomes_table",
    "read_tasks",
    "run",
    "run_batch",
    "totals",
]


@dataclass(frozen=True)
class Summary:
    """A batch that has ended. ``stopped`` is None where all tasks were run, else ``"interrupted"``
    or the limit that ended it, ``"total_cost"`` or ``"total_seconds"``; ``without_outputs`` says
    why its notebook was not executed to its end, if so."""

    results: Results
    stopped: str | None
    notebook: Path | None
    without_outputs: str | None = None

    @property
    def answered(self) -> bool:
        """Return True where every task was answered."""
        return all(result.status == "answered" for result in self.results.results)


def run_batch(
    tasks: str | Path | Iterable[Mapping[str, Any]],
    out: str | Path,
    plan: Plan | None = None,
    *,
    model: str | LM | None = None,
    sub_model: str | LM | None = None,
    tools: Mapping[str, object] | None = None,
    **settings: Any,
) -> Summary:
    """Answer all tasks, of a file or given as mappings, and leave the results in a folder.

    Where ``out`` has a batch of the same tasks, that one is resumed: what has ended is not run
    again, and what is in the record of a run that was stopped is not asked again. Settings,
    ``tools`` and LMs as objects are those of ``RLM``. Blocks; an interrupt ends the live runs and
    is raised.

    Raises ``UsageError``, before anything is started where it can be known by then; ``LMError``
    where an endpoint has to be asked for its models and gives none; and ``RecordError`` where the
    folder is in use or cannot be written.
    """
    plan = plan or Plan()
    made = read_tasks(Path(tasks)) if isinstance(tasks, str | Path) else make_tasks(tasks)
    root = model if is_lm(model) else None
    sub = sub_model if is_lm(sub_model) else None
    names = {"model": None if root else model, "sub_model": None if sub else sub_model}
    if sub is not None and root is None:
        raise UsageError("sub_model is an object: give model as an object too")
    force = in_force({**names, **settings})
    session = open_session(force, plan, Tools(tools), root, sub)
    return engine().run(run(made, Path(out), session, plan))


def open_session(
    force: Resolved,
    plan: Plan,
    tools: Tools | None = None,
    root: LM | None = None,
    sub: LM | None = None,
) -> Session:
    """Return what all runs of a batch share: the LMs, and what they may use together."""
    budget = Budget(plan.total_cost, plan.total_seconds)
    return Session(force, tools or Tools(), root=root, sub=sub, budget=budget)


async def run(
    tasks: Tasks,
    out: Path,
    session: Session,
    plan: Plan,
    watch: Watch = lambda counts: None,
    begun: Callable[[Batch], None] = lambda batch: None,
) -> Summary:
    """``run_batch`` on the engine's loop. The session is closed. ``begun`` gets the batch, to stop
    it; ``watch`` is told of each change."""
    limits = session.force.limits
    try:
        make_room(plan.concurrency, limits.kernels * limits.depth)
        await session.check()
        with Folder(out, tasks, retry_failed=plan.retry_failed) as folder:
            batch = Batch(folder, list(tasks.tasks), session, plan, watch)
            begun(batch)
            await batch.carry_out()
            results = await asyncio.to_thread(load, folder.path)
            problem = None
            if plan.notebook and not summary.is_current(folder.path):
                try:
                    with boundary():
                        problem = await summary.write(results, plan.texts(results, tasks.sha256))
                except RunFailed as error:
                    problem = str(error)
        notebook = results.folder / summary.NAME if plan.notebook else None
        return Summary(
            results=results, stopped=batch.stopped, notebook=notebook, without_outputs=problem
        )
    finally:
        await asyncio.shield(session.close())
