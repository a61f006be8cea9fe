"""``rlm eval``: how well questions with known answers are answered, by us and by others."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import batch, evaluation
from ..batch import Counts, Plan, Summary
from ..errors import UsageError
from ..evaluation.rows import CSV, HEAD, JSON
from ..reports.terminal import print_sentence, standard_error
from ..session.event_loop import engine
from ..settings.resolved import Resolved
from .batch import number, status_of, stopping_well
from .batch_screen import BatchScreen, sentence
from .settle import settle
from .terminal import write_line

AT_ONCE, AT_ONCE_EMBEDDED = 8, 1
"""Live runs; the embedded LM has one slot, and times are to be those of a task alone."""


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if options.list:
        write_line(json.dumps(_listed()) if options.json else _told())
        return 0
    force = settle(options)
    plan = _plan(options, force)
    console = standard_error(quiet=options.quiet)
    tasks = _tasks(options, force, console)
    session = batch.open_session(force, plan)
    with BatchScreen(console) as screen, stopping_well() as stopping:
        asked = evaluation.evaluate(tasks, options.output, session, plan, screen, stopping.append)
        summary = engine().run(asked)
    _tell(summary, stopping[0].counts, options.json, console)
    return status_of(summary)


def _plan(options: argparse.Namespace, force: Resolved) -> Plan:
    at_once = AT_ONCE_EMBEDDED if force.settings.embedded else AT_ONCE
    return evaluation.plan(
        concurrency=number(int, options.concurrency, "--concurrency") or at_once,
        retry_failed=options.retry_failed,
        total_cost=number(float, options.total_cost, "--total-cost"),
        total_seconds=number(float, options.total_seconds, "--total-seconds"),
        notebook=not options.no_notebook,
    )


def _tasks(options: argparse.Namespace, force: Resolved, console: Console) -> batch.Tasks:
    files = [name for name in options.sets if name.endswith((".jsonl", ".ndjson"))]
    systems = (evaluation.OURS, *_baselines(options.baseline))
    if files:
        if len(options.sets) > 1:
            raise UsageError(f"{files[0]}: give one file of tasks alone, or sets")
        return evaluation.own_tasks(Path(files[0]), systems)
    grid = _grid(options, systems)

    def tell(text: str) -> None:
        console.print(text, style="dim", markup=False, highlight=False)

    began = time.monotonic()
    made = evaluation.built(grid, options.output, force, tell)
    tell(f"{len(made.tasks.tasks):,} tasks, in {time.monotonic() - began:.1f} s")
    for what, why in made.skipped.items():
        console.print(f"left out: {what}: {why}", style="yellow", markup=False, soft_wrap=True)
    return made.tasks


def _baselines(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


def _grid(options: argparse.Namespace, systems: tuple[str, ...]) -> evaluation.Grid:
    given: dict[str, Any] = {
        "names": tuple(options.sets) or None,
        "lengths": options.length and evaluation.parsed(options.length),
        "seeds": number(int, options.seeds, "--seeds"),
        "first_seed": number(int, options.first_seed, "--first-seed"),
        "split": options.split,
    }
    said = {name: value for name, value in given.items() if value is not None}
    base = evaluation.SHORT if options.short else evaluation.Grid()
    return dataclasses.replace(base, systems=systems, **said)


def _listed() -> list[dict[str, Any]]:
    """Return the sets and their kinds, with what this machine lacks for them."""
    return [
        {
            "set": each.name,
            "told": each.told,
            "lengths": each.lengths.split(","),
            "kinds": [
                {"kind": kind.name, "held_out": kind.held_out, "wordings": len(kind.wordings),
                 "missing": kind.missing(), "sources": list(kind.sources)}
                for kind in each.kinds
            ],
        }
        for each in evaluation.SETS.values()
    ]  # fmt: skip


def _told() -> str:
    lines = []
    for each in evaluation.SETS.values():
        lines.append(f"{each.name}: {each.told}; by default at {each.lengths}")
        for kind in each.kinds:
            lack = kind.missing()
            marks = ["held out"] * kind.held_out + ([f"not here: {lack}"] if lack else [])
            lines.append(f"  {each.name}/{kind.name}" + (f" ({'; '.join(marks)})" if marks else ""))
    return "\n".join(lines)


def _tell(summary: Summary, counts: Counts, as_json: bool, console: Console) -> None:
    """Print where the scores are on standard output, the table and what it came to on standard
    error."""
    folder, found = summary.results.folder, evaluation.rows(summary.results)
    if as_json:
        told = {
            "folder": str(folder),
            "csv": str(folder / CSV),
            "json": str(folder / JSON),
            "notebook": None if summary.notebook is None else str(summary.notebook),
            "stopped": summary.stopped,
            "rows": [dataclasses.asdict(row) for row in found],
        }
        write_line(json.dumps(told))
    else:
        write_line(str(folder / CSV))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in HEAD:  # folded where the terminal is narrow: no figure is cut
        justify: Any = "left" if name in HEAD[:3] else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for row in found:
        table.add_row(*map(escape, row.cells()))
    console.print(table)
    print_sentence(console, sentence(summary, counts), "dim")
