"""The command ``rlm``, once it is hidden: its parser, and what it ends in."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..environments.descriptors import allow_many, check_enough
from ..environments.local.watchdog import adopt_orphans
from ..errors import RLMError, UsageError, one_line
from ..reports.terminal import gated, standard_error
from . import ask, batch, diff, export, machine, records, resume, why
from .statuses import FAILED, INTERRUPTED, USAGE

log = logging.getLogger(__name__)


def run(arguments: Sequence[str] | None, *, own_process: bool) -> int:
    """Run the command; returns its exit status. ``own_process`` says that this process does
    nothing else."""
    if own_process:
        adopt_orphans()
        _fill_closed_streams()
    allow_many()
    with gated():
        return _carried_out(arguments)


def _carried_out(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.work
    errors = standard_error()
    try:
        check_enough()
        return work(options)
    except UsageError as error:
        errors.print(f"rlm: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return USAGE
    except RLMError as error:
        errors.print(f"rlm: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return FAILED
    except KeyboardInterrupt:
        errors.print("rlm: interrupted", style="yellow")
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        if not _has_working_folder():
            errors.print(
                "rlm: the working folder is gone: go to one that is there (cd)", style="red"
            )
            return USAGE
        log.debug("an error that nobody foresaw", exc_info=True)
        text = f"rlm: {one_line(error)} (an error of rlm itself; python -X dev shows where)"
        errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        return FAILED


def _fill_closed_streams() -> None:
    """Or the next file that is opened becomes a standard stream of what we start."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlm",
        description="Answer questions about inputs of any length: a language model writes a "
        "notebook about them.",
    )
    parser.add_argument("--version", action="version", version=f"rlm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (ask, batch, records, resume, diff, why, export, machine):
        group.add(commands)
    return parser
