"""Commands on finished runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from ..engine import engine
from ..record import show
from .options import ANSWERED, FAILED, place_options, settle


def add(commands: Any) -> None:
    _show_parser(commands)
    _replay_parser(commands)


def _show_parser(commands: Any) -> None:
    shown = commands.add_parser("show", help="print a finished run: its tree and what it used")
    shown.set_defaults(work=_show)
    shown.add_argument("path", metavar="PATH", type=Path, help="a run's folder or notebook")
    shown.add_argument("--json", action="store_true")


def _replay_parser(commands: Any) -> None:
    replay = commands.add_parser(
        "replay",
        help="run a trajectory's cells again, with no LM, and compare",
        description="Run the recorded cells again in fresh kernels; calls answer from the record. "
        "This executes the code of the trajectory on this machine. Exit status 0: equal.",
    )
    replay.set_defaults(work=_replay)
    replay.add_argument("path", metavar="PATH", type=Path, help="a run's folder or notebook")
    place_options(replay)


def _show(options: argparse.Namespace) -> int:
    loaded = show.load(options.path)
    if options.json:
        print(json.dumps(show.as_json(loaded), indent=1))
    else:
        show.render(loaded, Console())
    return ANSWERED


def _replay(options: argparse.Namespace) -> int:
    from .. import replay
    from ..record import trajectory
    from ..run import kernels_of

    recorded = trajectory.load(options.path)
    progress = Console(stderr=True)

    def say(text: str) -> None:
        progress.print(text, style="dim", markup=False, highlight=False)

    kernels = None
    if options.environment is not None:
        kernels = kernels_of(settle(options, "path"))
    verdict = engine().run(replay.replay(recorded, say, kernels))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(verdict.sentence)
    for sentence in [*verdict.differences, *verdict.ambiguities, *verdict.notes]:
        console.print(f"- {sentence}")
    return ANSWERED if verdict.result == "equal" else FAILED
