"""The commands on records, as ``parser`` has the others: shown, compared, gone on with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..settings.option import Group
from .shared_options import Once, add_answer_options, add_settings

SORT_KEYS = (
    "time", "answer", "status", "turns", "calls", "tokens", "cost", "seconds", "question", "model",
)  # fmt: skip
"""The names of ``reports.listing.KEYS``."""
ROWS = ("sft", "chat")
"""``reports.dialogues.Format``."""
_ENDS = "Exit status as of `rlm run`."
_EXECUTES = "This executes the code of the record, whoever wrote it."
_RUN = "a run's folder or notebook"
_ROOT = "a run's folder or root notebook"
_SIGNED = "a run's folder, its journal.jsonl, a notebook, or an exported page"


def add(commands: Any) -> None:
    """Add the parsers of these commands."""
    _show(commands)
    _spend(commands)
    _replay(commands)
    _resume(commands)
    _fork(commands)
    _rerun(commands)
    _diff(commands)
    _why(commands)
    _export(commands)
    _seal(commands)
    _verify(commands)


def _path(parser: argparse.ArgumentParser, what: str | None = _RUN, metavar: str = "PATH") -> None:
    parser.add_argument("path", metavar=metavar, type=Path, help=what)


def _show(commands: Any) -> None:
    show = commands.add_parser(
        "show",
        help="print a run, or a table of many",
        description="Print a run: its tree and what it used. Of a folder of runs, or of several "
        "paths, print a table, newest first; folders are searched 5 levels deep, without hidden "
        "ones and links. The table of ended runs is made from the first and last lines of their "
        "records: only `rlm show RUN` checks the seals. Where the output is no terminal the table "
        "is tab-separated and nothing is cut. Exit status: 0, 1 no run is there or it cannot be "
        "read, 2 wrong usage or a path that is not there.",
    )
    show.set_defaults(work="show.work")
    show.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="a run, or a folder of runs"
    )
    show.add_argument("--json", action="store_true", help="one object, or a list of many runs")
    show.add_argument(
        "--sort",
        choices=SORT_KEYS,
        default="time",
        metavar="KEY",
        help=f"of a table: {', '.join(SORT_KEYS)} (by default time); words from A to Z, numbers "
        "and times from the greatest",
    )
    show.add_argument("-r", "--reverse", action="store_true", help="the other way round")


def _spend(commands: Any) -> None:
    spend = commands.add_parser(
        "spend",
        help="what runs have used, by day, model and folder",
        description="Add up the tokens and dollars of runs, and of all in folders (5 levels deep, "
        "without hidden ones and links), by the day, the model and the folder of each request. "
        "What a run was answered by the record that it goes on from is counted there only. Where "
        "the output is no terminal it is tab-separated. Exit status: 0, 1 no run is there, 2 wrong "
        "usage, or a record that could not be read whole.",
    )
    spend.set_defaults(work="spend.work")
    spend.add_argument(
        "paths", metavar="PATH", type=Path, nargs="*", default=[Path()],
        help="a run, or a folder of runs; by default this folder",
    )  # fmt: skip
    spend.add_argument("--by", choices=("day", "model", "folder"), help="by this only")
    spend.add_argument("--json", action="store_true", help="an object a run, day and model")


def _replay(commands: Any) -> None:
    replay = commands.add_parser(
        "replay",
        help="run a trajectory's cells again, with no LM, and compare",
        description="Run the recorded cells again in fresh kernels; calls answer from the record. "
        "This executes the code of the trajectory on this machine. Exit status 0: nothing "
        "differs. With --live it is a new run, recorded as such, in which calls that the record "
        "does not answer are asked of the LM; exit status as of `rlm run`.",
    )
    replay.set_defaults(work="replay.work")
    _path(replay)
    way = replay.add_mutually_exclusive_group()
    way.add_argument("--strict", action="store_true", help="what is ambiguous counts as different")
    way.add_argument("--live", action="store_true", help="ask the LM for what is not recorded")
    replay.add_argument(
        "--context", metavar="PATH", action=Once,
        help="where the context is now; with --live also another one",
    )  # fmt: skip
    add_settings(replay, Group.INPUT)
    add_answer_options(replay)


def _resume(commands: Any) -> None:
    resume = commands.add_parser(
        "resume",
        help="go on with a run that was killed",
        description="Go on with a run that was killed, in its own folder. Its cells run again, "
        "their calls answer from the record and are not paid for again; then the LM goes on. "
        f"{_EXECUTES} {_ENDS}",
    )
    resume.set_defaults(work="resume.resume")
    _path(resume, "the run's folder", "RUN_DIR")
    add_answer_options(resume, out=False)


def _fork(commands: Any) -> None:
    fork = commands.add_parser(
        "fork",
        help="go on from any cell of a run, in a new one",
        description="Run the cells before a cell again, at no cost, and let the LM go on from "
        f"there. The new trajectory names the old one and the cell. {_EXECUTES} {_ENDS}",
    )
    fork.set_defaults(work="resume.fork")
    _path(fork, _ROOT)
    fork.add_argument(
        "--at",
        type=int,
        metavar="N",
        help="the cell to leave it before; by default one after the last",
    )
    fork.add_argument(
        "--edit", type=Path, metavar="FILE", help="a source to run in place of the cell"
    )
    fork.add_argument("--note", metavar="TEXT", help="your word to the LM")
    fork.add_argument(
        "--branches", type=int, metavar="N", help="go on N times at once, in forks of one kernel"
    )
    add_answer_options(fork)


def _rerun(commands: Any) -> None:
    rerun = commands.add_parser(
        "rerun",
        help="run the cells of a run on another input",
        description="Run the cells that an LM wrote on another input. Their sub-calls are asked "
        "anew; the LM that wrote the cells is not. A cell that fails where it did not before ends "
        f"it. {_EXECUTES} {_ENDS}",
    )
    rerun.set_defaults(work="resume.rerun")
    _path(rerun, _ROOT)
    rerun.add_argument(
        "--context", required=True, metavar="NEW", action=Once, help="as for `rlm run`"
    )
    rerun.add_argument("--encoding", help="of a text context; found out by default")
    add_settings(rerun, Group.INPUT)
    add_answer_options(rerun)


def _diff(commands: Any) -> None:
    diff = commands.add_parser(
        "diff",
        help="compare two runs",
        description="Compare two runs: what was asked, what came of it, what it used, and the "
        "first place where they part. They are the same if the question, the context, the status, "
        "the answer and the course are: node by node the LM's replies, the cells with their "
        "outputs, and the calls with their replies. Names, ids, times, tokens, costs, settings and "
        "versions are shown, and make no two runs different; outputs are compared as a replay "
        "does. Of an unfinished or damaged record what is there is compared. Exit status: 0 the "
        "same, 1 different, 2 wrong usage or no run.",
    )
    diff.set_defaults(work="diff.work")
    for name in ("a", "b"):
        diff.add_argument(
            name, metavar=name.upper(), type=Path, help="a run's folder, record or notebook"
        )
    diff.add_argument("--json", action="store_true", help="one JSON object on standard output")
    diff.add_argument(
        "--cells",
        action="store_true",
        help="the cells that differ too, by nbdime (pip install 'rlm_kernel[diff]')",
    )


def _why(commands: Any) -> None:
    why = commands.add_parser(
        "why",
        help="show where an answer came from",
        description="Follow an answer back to the cells, the sub-calls and the parts of the "
        "context that it came from, by the cells' sources and by exact matches of the prompts in "
        "the context. It is approximate.",
    )
    why.set_defaults(work="why.work")
    _path(why)
    why.add_argument("--json", action="store_true", help="all of it, for programs")


def _export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write a run as one HTML page, or many as JSON lines to learn from",
        description="Write a run as one HTML page: question, answer, where it came from, every "
        "turn, every sub-call. The page needs no network and runs nothing that a model wrote. "
        "Only an older export is written over. With --format sft or chat write runs, or all runs "
        "in folders, as JSON lines: the messages as they were sent to the model that wrote the "
        "cells, and its replies, each row once. A row of sft is a turn (`prompt`, `completion`), "
        "one of chat a node of a run (`messages`). Runs that cannot be read are named and left "
        "out. Exit status: 0, 1 nothing was written, 2 wrong usage.",
    )
    export.set_defaults(work="export.work")
    export.add_argument(
        "paths", metavar="PATH", type=Path, nargs="+", help="a run; of rows a folder of runs too"
    )
    export.add_argument(
        "--format", choices=("html", *ROWS), default="html", help="what is written (html)"
    )
    export.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="by default the run's name with .html, of rows standard output; - for that",
    )  # fmt: skip
    export.add_argument(
        "--only", choices=("right", "accepted"),
        help="runs of a batch that were right; runs whose answer is confirmed",
    )  # fmt: skip
    export.add_argument(
        "--ended", action="store_true", help="runs that were answered, with a record that is whole"
    )
    export.add_argument(
        "--with-calls", action="store_true", help="runs that asked sub-LMs or children"
    )
    export.add_argument("--force", action="store_true", help="write over whatever is there")


def _seal(commands: Any) -> None:
    seal = commands.add_parser(
        "seal",
        help="sign a run, a notebook or an exported page by your ssh key",
        description="Sign a run's record, its notebooks and the pages in its folder, or one of "
        "these files, by your own ssh key; each carries its signature in itself, and `rlm verify` "
        "needs nothing but the file and the public key. A passphrase is asked for with each file: "
        "let ssh-agent hold the key. Without --sign it says what the seal of the record is worth. "
        "Exit status: 0, 1 something was changed since it was written, 2 wrong usage.",
    )
    seal.set_defaults(work="seal.work")
    _path(seal, _SIGNED)
    seal.add_argument(
        "--sign", metavar="KEY", type=Path, help="a private ssh key, or a public one of the agent's"
    )


def _verify(commands: Any) -> None:
    verify = commands.add_parser(
        "verify",
        help="whether a run, a notebook or a page is as it was, and who signed it",
        description="Tell of a run's record, its notebooks and the pages in its folder, or of one "
        "of these files, whether it is as it was written, and which key has signed it. Exit "
        "status: 0, 1 something was changed or, with --by, not signed by that key, 2 wrong usage.",
    )
    verify.set_defaults(work="seal.verify")
    _path(verify, _SIGNED)
    verify.add_argument(
        "--by", metavar="KEY.pub", type=Path, help="the public ssh key that must have signed"
    )
    verify.add_argument("--json", action="store_true", help="a list with an object a file")
