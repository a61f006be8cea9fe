"""The command ``rlm``, once it is hidden: what is parsed is carried out, and ends in a status."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ..environments.descriptors import allow_many, check_enough
from ..errors import RLMError, UsageError, one_line
from ..reports.gate import flush_output, gated
from . import parser
from .statuses import FAILED, INTERRUPTED, USAGE

log = logging.getLogger(__name__)


def run(arguments: Sequence[str] | None, *, own_process: bool) -> int:
    """Run the command; returns its exit status. ``own_process`` says that this process does
    nothing else."""
    if own_process:
        _fill_closed_streams()
    with gated():
        return _carried_out(arguments, own_process)


def _carried_out(arguments: Sequence[str] | None, own_process: bool) -> int:
    try:
        options = _parsed(arguments)
        if own_process:
            from ..environments.local.watchdog import adopt_orphans  # which a help does not need

            adopt_orphans()
        allow_many()
        check_enough()
        return _work(options.work)(options)
    except UsageError as error:
        _say(str(error), "red")
        return USAGE
    except RLMError as error:
        _say(str(error), "red")
        return FAILED
    except KeyboardInterrupt:
        _say("interrupted", "yellow")
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        if not _has_working_folder():
            _say("the working folder is gone: go to one that is there (cd)", "red")
            return USAGE
        log.debug("an error that nobody foresaw", exc_info=True)
        _say(f"{one_line(error)} (an error of rlm itself; python -X dev shows where)", "red")
        return FAILED


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser.make().parse_args(arguments)
    except SystemExit:  # after a help, which must have arrived
        flush_output()
        raise


def _work(named: str) -> Callable[[argparse.Namespace], int]:
    """Return the function of a command. Its module is imported now: it may take half a second."""
    module, _, function = named.rpartition(".")
    work: Callable[[argparse.Namespace], int] = getattr(
        import_module(f".{module}", __package__), function
    )
    return work


def _say(text: str, style: str) -> None:
    """Print a message on standard error."""
    from ..reports.terminal import print_sentence, standard_error  # Rich is of weight

    print_sentence(standard_error(), f"rlm: {text}", style)


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
