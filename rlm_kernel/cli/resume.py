"""``rlm resume``, ``rlm fork`` and ``rlm rerun``: runs that go on from a record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..events import CallEnded
from ..inputs import contexts
from ..record import journal
from ..record.files import JOURNAL
from ..record.numbers import counted
from ..replay import continuation
from ..replay.continuation import Continuation
from ..reports.terminal import standard_error
from .ask import answer_options, carry_out, out_option, tell
from .options import settle

_ENDS = "Exit status as of `rlm run`."
_EXECUTES = "This executes the code of the record, whoever wrote it."
OWN = (
    "path", "at", "edit", "note", "context", "encoding", "json", "quiet", "strict", "live"
)  # fmt: skip
"""Options that are no settings."""


def add(commands: Any) -> None:
    _resume_parser(commands)
    _fork_parser(commands)
    _rerun_parser(commands)


def _resume_parser(commands: Any) -> None:
    resume = commands.add_parser(
        "resume",
        help="go on with a run that was killed",
        description="Go on with a run that was killed, in its own folder. Its cells run again, "
        "their calls answer from the record and are not paid for again; then the LM goes on. "
        f"{_EXECUTES} {_ENDS}",
    )
    resume.set_defaults(work=_resume)
    resume.add_argument("path", metavar="RUN_DIR", type=Path)
    answer_options(resume)


def _fork_parser(commands: Any) -> None:
    fork = commands.add_parser(
        "fork",
        help="go on from any cell of a run, in a new one",
        description="Run the cells before a cell again, at no cost, and let the LM go on from "
        f"there. The new trajectory names the old one and the cell. {_EXECUTES} {_ENDS}",
    )
    fork.set_defaults(work=_fork)
    fork.add_argument("path", metavar="PATH", type=Path, help="a run's folder or root notebook")
    fork.add_argument(
        "--at", type=int, metavar="N", help="the cell to leave it before; by default after the last"
    )
    fork.add_argument(
        "--edit", type=Path, metavar="FILE", help="a source to run in place of the cell"
    )
    fork.add_argument("--note", metavar="TEXT", help="your word to the LM")
    answer_options(fork)
    out_option(fork)


def _rerun_parser(commands: Any) -> None:
    rerun = commands.add_parser(
        "rerun",
        help="run the cells of a run on another input",
        description="Run the cells that an LM wrote on another input. Their sub-calls are asked "
        "anew; the LM that wrote the cells is not. A cell that fails where it did not before ends "
        f"it. {_EXECUTES} {_ENDS}",
    )
    rerun.set_defaults(work=_rerun)
    rerun.add_argument("path", metavar="PATH", type=Path, help="a run's folder or root notebook")
    rerun.add_argument("--context", required=True, metavar="NEW", help="as for `rlm run`")
    rerun.add_argument("--encoding", help="of a text context; found out by default")
    answer_options(rerun)
    out_option(rerun)


def _resume(options: argparse.Namespace) -> int:
    return go_on(continuation.resume(options.path), options)


def _fork(options: argparse.Namespace) -> int:
    edit = None if options.edit is None else _source(options.edit)
    if edit is not None and options.at is None:
        raise UsageError("--edit needs --at: which cell is it in place of?")
    return go_on(continuation.fork(options.path, options.at, edit=edit, note=options.note), options)


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"--edit {path}: cannot be read as UTF-8 text: {error}") from error


def _rerun(options: argparse.Namespace) -> int:
    source = contexts.from_path(options.context, encoding=options.encoding)
    return go_on(continuation.rerun(options.path, source), options)


def go_on(run: Continuation, options: argparse.Namespace) -> int:
    """Carry it out as `rlm run` does a question, and say what was asked anew."""
    force = settle(options, *OWN, below=[run.spoken], last=[run.place])
    result = carry_out(force, options.quiet, lambda session, screen: session.go_on(run, [screen]))
    status = tell(result, options.json)
    if not options.quiet and result.unrecorded is None:
        made = journal.read(result.trajectory.parent / JOURNAL).events
        calls = [event for event in made if isinstance(event, CallEnded) and event.op != "tool"]
        asked = sum(call.usage.requests > 0 for call in calls)
        standard_error(highlight=False).print(
            f"{counted(len(calls) - asked, 'call')} answered from the record, {asked} asked anew",
            style="dim",
        )
    return status
