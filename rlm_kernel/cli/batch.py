"""``rlm batch``: many questions at once."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ..errors import UsageError
from ..reports.terminal import standard_error
from ..session.event_loop import engine
from .ask import answer_options
from .options import settle
from .statuses import ANSWERED, FAILED, INTERRUPTED, LIMIT
from .terminal import write_line

if TYPE_CHECKING:
    from ..batch import Batch, Plan, Summary

OWN = (
    "tasks", "output", "concurrency", "task_retries", "retry_failed", "total_cost",
    "total_seconds", "no_notebook", "json", "quiet",
)  # fmt: skip
"""Options that are no settings."""


def add(commands: Any) -> None:
    batch = commands.add_parser(
        "batch",
        help="answer many questions, each by a run of its own",
        description="Answer the questions of TASKS, a JSON object a line: question; context (text "
        "or a JSON value) or context_path (relative to TASKS); where known the expected answer (a "
        "text, a number, or a list of those that count); an id; max_cost and the like for one "
        "task; any others are copied to the results. The same command again goes on: what has "
        "ended is not run again, and what a run that was stopped had been answered is not asked "
        "again. An answer is right if it equals what is expected but for case, white space and "
        "punctuation around it; numbers are compared as numbers. Exit status: 0 all answered, 1 "
        "some not, 2 wrong usage, 3 a total limit was reached, 130 interrupted.",
    )
    batch.set_defaults(work=_batch)
    batch.add_argument("tasks", metavar="TASKS", type=Path, help="a file of JSON lines")
    batch.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="the folder of the results"
    )
    batch.add_argument(
        "-n", "--concurrency", metavar="N", default="8", help="live runs at once; by default 8"
    )
    batch.add_argument(
        "--total-cost", metavar="N", help="US dollars for all runs of DIR, earlier ones included"
    )
    batch.add_argument("--total-seconds", metavar="N", help="seconds until the last run is ended")
    batch.add_argument(
        "--task-retries", metavar="N", default="1",
        help="how often a run is gone on with that failed for a cause that may pass; by default 1",
    )  # fmt: skip
    batch.add_argument(
        "--retry-failed", action="store_true",
        help="go on with runs of DIR that failed or reached a limit of their own, too",
    )  # fmt: skip
    batch.add_argument("--no-notebook", action="store_true", help="make no summary.ipynb")
    answer_options(batch)


def _batch(options: argparse.Namespace) -> int:
    from .. import batch
    from .batch_screen import BatchScreen

    plan = _plan(options)
    force = settle(options, *OWN)
    tasks = batch.read_tasks(options.tasks)
    console = standard_error(quiet=options.quiet)
    session = batch.open_session(force, plan)
    with BatchScreen(console) as screen, _first_interrupt() as stopping:
        work = batch.run(tasks, options.output, session, plan, screen, stopping.append)
        summary = engine().run(work)
    return _tell(summary, options.json, console)


def _plan(options: argparse.Namespace) -> Plan:
    from ..batch import Plan

    return Plan(
        concurrency=_number(int, options.concurrency, "--concurrency"),
        retries=_number(int, options.task_retries, "--task-retries"),
        retry_failed=options.retry_failed,
        total_cost=_number(float, options.total_cost, "--total-cost"),
        total_seconds=_number(float, options.total_seconds, "--total-seconds"),
        notebook=not options.no_notebook,
    )


def _number(kind: Any, text: str | None, option: str) -> Any:
    try:
        return None if text is None else kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{option}={text!r}: give {what}") from None


@contextmanager
def _first_interrupt() -> Iterator[list[Batch]]:
    """The first interrupt stops the batch that is put into the list, which ends well; the second
    one, or one before there is a batch, interrupts as usual."""
    batches: list[Batch] = []
    usual, running = signal.getsignal(signal.SIGINT), engine()

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        if not batches:
            raise KeyboardInterrupt
        running.soon(batches[0].stop)

    signal.signal(signal.SIGINT, stop)
    try:
        yield batches
    finally:
        signal.signal(signal.SIGINT, usual)


def _tell(summary: Summary, as_json: bool, console: Console) -> int:
    """Where the results are on standard output; what they come to on standard error."""
    from ..batch.results import RESULTS
    from .batch_screen import outcomes, sentence

    if as_json:
        write_line(json.dumps(_as_json(summary)))
    else:
        write_line(str(summary.results.folder / RESULTS))
    console.print(outcomes(summary.results))
    console.print(sentence(summary), style="dim", markup=False, highlight=False, soft_wrap=True)
    if summary.stopped is not None:
        return INTERRUPTED if summary.stopped == "interrupted" else LIMIT
    return ANSWERED if summary.answered else FAILED


def _as_json(summary: Summary) -> dict[str, Any]:
    results = summary.results
    return {
        "folder": str(results.folder),
        "tasks": len(results.results),
        "outcomes": {name: len(group) for name, group in results.by_outcome().items()},
        "right": sum(results.scored),
        "scored": len(results.scored),
        "cost": results.cost,
        "tokens": sum(result.tokens for result in results.results),
        "stopped": summary.stopped,
        "notebook": None if summary.notebook is None else str(summary.notebook),
    }
