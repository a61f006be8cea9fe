"""Commands on finished runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ..environments.places import Kernels, kernels_of
from ..errors import RecordError, UsageError
from ..inputs import contexts
from ..record.recording import Recording
from ..replay import continuation, replay
from ..reports import listing, run_table, show
from ..reports.terminal import live, standard_error, standard_output
from ..session.event_loop import engine
from .ask import answer_options, out_option
from .options import PLACE_OPTIONS, settle
from .resume import OWN, go_on
from .statuses import ANSWERED, FAILED
from .terminal import write_line

LIVE_ONLY = ("model", "sub_model", "base_url", "prompt", "out")


def add(commands: Any) -> None:
    _show_parser(commands)
    _replay_parser(commands)


def _show_parser(commands: Any) -> None:
    shown = commands.add_parser(
        "show",
        help="print a run, or a table of many",
        description="Print a run: its tree and what it used. Of a folder of runs, or of several "
        f"paths, print a table, newest first; folders are searched {listing.MAX_LEVELS} levels "
        "deep, without hidden ones and links. The table of ended runs is made from the first and "
        "last lines of their records: only `rlm show RUN` checks the seals. Where the output is no "
        "terminal the table is tab-separated and nothing is cut.",
    )
    shown.set_defaults(work=_show)
    shown.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="a run, or a folder of runs"
    )
    shown.add_argument("--json", action="store_true", help="one object, or a list of many runs")
    shown.add_argument(
        "--sort",
        choices=list(listing.KEYS),
        default="time",
        help="of a table: words from A to Z, numbers and times from the greatest; by default time",
    )
    shown.add_argument("-r", "--reverse", action="store_true", help="the other way round")


def _replay_parser(commands: Any) -> None:
    replay = commands.add_parser(
        "replay",
        help="run a trajectory's cells again, with no LM, and compare",
        description="Run the recorded cells again in fresh kernels; calls answer from the record. "
        "This executes the code of the trajectory on this machine. Exit status 0: nothing "
        "differs. With --live it is a new run, recorded as such, in which calls that the record "
        "does not answer are asked of the LM; exit status as of `rlm run`.",
    )
    replay.set_defaults(work=_replay)
    replay.add_argument("path", metavar="PATH", type=Path, help="a run's folder or notebook")
    way = replay.add_mutually_exclusive_group()
    way.add_argument("--strict", action="store_true", help="what is ambiguous counts as different")
    way.add_argument("--live", action="store_true", help="ask the LM for what is not recorded")
    replay.add_argument(
        "--context", metavar="PATH", help="where the context is now; with --live also another one"
    )
    answer_options(replay)
    out_option(replay)


def _show(options: argparse.Namespace) -> int:
    [first, *others] = options.paths
    if others or (first.is_dir() and not listing.is_run(first)):
        return _show_many(options)
    recording = Recording.open(first)
    if options.json:
        write_line(json.dumps(show.as_json(recording), indent=1))
    else:
        show.render(recording, standard_output())
    return ANSWERED


def _show_many(options: argparse.Namespace) -> int:
    found = listing.find(options.paths)
    if not found:
        names = ", ".join(map(str, options.paths))
        raise RecordError(f"{names}: no run is there, nor {listing.MAX_LEVELS} folders below")
    console = standard_error()
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    with live(progress):
        read = progress.track(map(listing.read, found), len(found), description="reading")
        rows = listing.ordered(read, options.sort, reverse=options.reverse)
    console = standard_output()
    if options.json:
        write_line(json.dumps(run_table.as_json(rows), indent=1))
    elif console.is_terminal:
        run_table.render(rows, listing.totals(rows), console)
    else:
        for line in run_table.lines(rows, listing.totals(rows)):
            write_line(line)
    return ANSWERED


def _replay(options: argparse.Namespace) -> int:
    from ..record import trajectory

    if options.live:
        return _replay_live(options)
    _check_not_live(options)
    recorded = trajectory.load(options.path)
    source = None if options.context is None else contexts.from_path(options.context)
    progress = standard_error(quiet=options.quiet)

    def say(text: str) -> None:
        progress.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    verdict = engine().run(replay.replay(recorded, say, _kernels(options), source))
    console = standard_output(markup=False, highlight=False, soft_wrap=True)
    if options.json:
        write_line(json.dumps({"result": verdict.result, **dataclasses.asdict(verdict)}))
    else:
        console.print(verdict.sentence)
        for sentences in (verdict.differences, verdict.ambiguities, verdict.notes):
            for sentence in sentences[: replay.SHOWN]:
                console.print(f"- {sentence}")
            if len(sentences) > replay.SHOWN:
                console.print(f"- and {len(sentences) - replay.SHOWN:,} more: --json has them all")
    strict = options.strict and verdict.result == "ambiguous"
    return FAILED if verdict.result == "differs" or strict else ANSWERED


def _kernels(options: argparse.Namespace) -> Kernels | None:
    """Where the user wants cells to run; None where nothing says so: where they ran."""
    force = settle(options, *OWN)
    if "environment" in force.origins:
        return kernels_of(force)
    for name in PLACE_OPTIONS:
        if getattr(options, name.replace("-", "_")) is not None:
            raise UsageError(f"--{name}: name the place with --env too; else cells run as they ran")
    return None


def _check_not_live(options: argparse.Namespace) -> None:
    """Raises ``UsageError`` for what would do nothing."""
    for name, value in vars(options).items():
        if value is not None and (name in LIVE_ONLY or name.startswith("max_")):
            raise UsageError(
                f"--{name.replace('_', '-')}: only with --live, a new run with an LM; a replay has "
                "no LM and no limits, and leaves no run"
            )


def _replay_live(options: argparse.Namespace) -> int:
    source = None if options.context is None else contexts.from_path(options.context)
    return go_on(continuation.rerun(options.path, source, recall=True), options)
