"""``rlm replay``: recorded cells run again and compared."""

from __future__ import annotations

import argparse
import dataclasses
import json

from ..environments.kernel_config import KernelTemplate, kernel_template
from ..errors import UsageError
from ..record import trajectory
from ..replay import continuation, replay
from ..reports.terminal import standard_error, standard_output
from ..session.event_loop import engine
from ..settings.option import Group
from ..settings.resolved import OPTIONS
from .paths import check_runs
from .resume import go_on
from .settle import context_of, settle
from .statuses import ANSWERED, FAILED
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    check_runs(options.path)
    if options.live:
        return _replay_live(options)
    _check_not_live(options)
    recorded = trajectory.load(options.path)
    source = None if options.context is None else context_of(options, settle(options))
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


def _kernels(options: argparse.Namespace) -> KernelTemplate | None:
    """Return where the user wants cells to run; None where nothing says so: where they ran."""
    force = settle(options)
    if "environment" in force.origins:
        return kernel_template(force)
    if given := _given(options, Group.PLACE):
        raise UsageError(f"{given[0]}: name the place by --env too; else cells run as they ran")
    return None


def _given(options: argparse.Namespace, *groups: Group) -> list[str]:
    """Return the options of these groups that were given, as they are written."""
    given = [OPTIONS[n] for n, value in vars(options).items() if n in OPTIONS and value is not None]
    return [f"--{option.flag}" for option in given if option.group in groups]


def _check_not_live(options: argparse.Namespace) -> None:
    """Raises ``UsageError`` for what would do nothing."""
    if given := _given(options, Group.LM, Group.FOLDER, Group.LIMIT):
        raise UsageError(
            f"{given[0]}: only with --live, a new run with an LM; a replay has no LM and no "
            "limits, and leaves no run"
        )


def _replay_live(options: argparse.Namespace) -> int:
    source = None if options.context is None else context_of(options, settle(options))
    return go_on(continuation.rerun(options.path, source, recall=True), options)
