"""Tasks with known answers, which say how well ours and other systems answer questions.

An evaluation is a batch: its runs, resuming and folder are those of ``batch``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from .. import batch
from ..batch import Batch, Counts, Plan, Summary
from ..batch.folder import EVALUATION
from ..lm import embedded
from ..session.event_loop import engine
from ..session.session import Session
from ..settings.resolved import Resolved
from .baselines import open_run
from .grid import BASELINES, OURS, Built, Grid, build
from .lengths import Length, parsed
from .notebook import scores_table, splits_table, success_figure, texts, use_figure
from .own import own_tasks
from .rows import Row, rows, wilson, write
from .rules import RULES, score
from .sets import SETS

__all__ = [
    "BASELINES",
    "OURS",
    "RULES",
    "SETS",
    "SHORT",
    "Built",
    "Grid",
    "Length",
    "Row",
    "build",
    "built",
    "evaluate",
    "own_tasks",
    "parsed",
    "plan",
    "rows",
    "score",
    "scores_table",
    "splits_table",
    "success_figure",
    "use_figure",
    "wilson",
    "write",
]

SHORT = Grid(
    names=(
        "asked/count-filtered", "asked/top-three", "asked/errors-by-hour",
        "asked/messages-by-person", "asked/invoice-in-mail", "asked/open-tasks", "labels/most",
        "needles/value", "sources/file-of", "sources/raises",
    ),
    lengths=parsed("3e4"),
    seeds=1,
)  # fmt: skip
"""Ten tasks: the embedded LM takes some 60 to 80 s for one on two cores."""


def plan(**given: object) -> Plan:
    """Return the plan of a batch that is an evaluation; ``given`` as ``batch.Plan`` takes it."""
    return Plan(score=score, texts=texts, open_run=open_run, **given)  # type: ignore[arg-type]


def built(
    grid: Grid, folder: Path, force: Resolved, tell: Callable[[str], None] = lambda text: None
) -> Built:
    """Build the tasks, with the tokens counted by the embedded LM where that is in use. Blocks;
    raises what ``build`` raises."""
    there = (folder / EVALUATION).exists() or not grid.in_tokens
    if there or not force.settings.embedded or embedded.available() is not None:
        return build(grid, folder, None, tell)
    return engine().run(_counted(grid, folder, tell))


async def _counted(grid: Grid, folder: Path, tell: Callable[[str], None]) -> Built:
    async with embedded.shared_server() as server:
        running = asyncio.get_running_loop()

        def count(text: str) -> int:
            counting = asyncio.run_coroutine_threadsafe(server.count_tokens(text), running)
            return counting.result()

        return await asyncio.to_thread(build, grid, folder, count, tell)


async def evaluate(
    tasks: batch.Tasks,
    out: Path,
    session: Session,
    how: Plan,
    watch: Callable[[Counts], None] = lambda counts: None,
    begun: Callable[[Batch], None] = lambda made: None,
) -> Summary:
    """Carry the tasks out as ``batch.run`` does, and write the scores beside the results."""
    summary = await batch.run(tasks, out, session, how, watch, begun)
    await asyncio.to_thread(write, summary.results)
    return summary
