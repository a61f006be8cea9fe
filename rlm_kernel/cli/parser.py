"""The command line: what each command takes, in the words of its help.

Nothing of weight is imported here, so that help and a wrong word cost little more than Python
itself. A command names the function that does it, as ``module.function`` of this package.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import __version__
from ..settings.option import Group
from ..settings.values import OPTIONS, SANDBOX
from . import record_parsers
from .argument_parser import Parser
from .shared_options import Once, add_answer_options, add_settings


def make() -> argparse.ArgumentParser:
    """Return the parser of the whole command; ``work`` of what it parses is the function."""
    parser = Parser(
        prog="rlm",
        description="Answer questions about inputs of any length: a language model writes a "
        "notebook about them.",
    )
    parser.add_argument("--version", action="version", version=f"rlm {__version__}")
    _add_commands(parser)
    return parser


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands by name."""
    return _add_commands(Parser(prog="rlm"))


def _add_commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _run(commands)
    _demo(commands)
    _batch(commands)
    _eval(commands)
    _mcp(commands)
    record_parsers.add(commands)
    _doctor(commands)
    _local(commands)
    _install(commands)
    _clean(commands)
    _help(commands)
    return commands.choices


def _run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="answer a question about a context",
        description="Answer QUESTION about the context. Only the answer goes to standard output. "
        "Exit status: 0 answered, 1 failed, 2 wrong usage, 3 a limit was reached or the LM was "
        "stuck, 130 interrupted.",
    )
    run.set_defaults(work="run.work")
    run.add_argument("question", metavar="QUESTION")
    run.add_argument(
        "--context", required=True, metavar="PATH", action=Once,
        help="a file, a folder, or - for standard input",
    )  # fmt: skip
    run.add_argument("--encoding", help="of a text context; found out by default")
    add_settings(run, Group.INPUT)
    run.add_argument(
        "--answer", metavar="FORM",
        help="what the answer must be: text, number, integer, boolean, list, object, table, json, "
        "a type such as list[str], or a JSON Schema, inline or in a file",
    )  # fmt: skip
    add_answer_options(run)


def _demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="answer a question about a text made from a seed, and check the answer",
        description="Make a text of over 200,000 characters and a question about it from a seed, "
        "answer it as `rlm run` would, and compare with the right answer, which the LM never sees. "
        "Where the embedded LM is used and its weights are missing they are downloaded first, and "
        "a tour of a run whose replies were written beforehand is given meanwhile.",
    )
    demo.set_defaults(work="demo.work")
    demo.add_argument("--seed", type=int, help="by default a new one each time")
    demo.add_argument("--yes", action="store_true", help="download weights without asking")
    add_settings(demo, Group.PLACE)


def _batch(commands: Any) -> None:
    batch = commands.add_parser(
        "batch",
        help="answer many questions, each by a run of its own",
        description="Answer the questions of TASKS, a JSON object a line: question; context (text "
        "or a JSON value) or context_path (relative to TASKS); where known the expected answer (a "
        "text, a number, or a list of those that count); an id; answer_form, as --answer of `rlm "
        "run`; max_cost and the like for one task; any others are copied to the results. The same "
        "command again goes on: what has ended is not run again, and what a run that was stopped "
        "had been answered is not asked again. An answer is right if it equals what is expected "
        "but for case, white space and punctuation around it; numbers are compared as numbers. "
        "Exit status: 0 all answered, 1 some not, 2 wrong usage, 3 a total limit was reached, 130 "
        "interrupted.",
    )
    batch.set_defaults(work="batch.work")
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
    add_settings(batch, Group.INPUT)
    add_answer_options(batch, out=False)


def _mcp(commands: Any) -> None:
    mcp = commands.add_parser(
        "mcp",
        help="answer other agents, by the Model Context Protocol",
        description="Serve the tools ask, map, runs, show, why, replay and continue over standard "
        "input and output, or over HTTP on this machine. The agent names a file and a question and "
        "gets the answer, never the input. The limits are yours, over all callers together; a "
        "caller may only lower them. Runs are recorded under rlm-runs in the working folder.",
    )
    mcp.set_defaults(work="mcp.work")
    mcp.add_argument(
        "--root", metavar="DIR", type=Path, action="append",
        help="a folder that callers may ask about, may be given again; by default the working one",
    )  # fmt: skip
    mcp.add_argument(
        "--http", metavar="PORT", help="serve http://127.0.0.1:PORT at a path that is told then"
    )
    mcp.add_argument(
        "-n", "--concurrency", metavar="N", default="2", help="live runs at once; by default 2"
    )
    mcp.add_argument("--total-cost", metavar="N", help="US dollars for all that callers ask")
    mcp.add_argument("--total-tokens", metavar="N", help="tokens for all that callers ask")
    add_settings(mcp, Group.LM, Group.PLACE, Group.LIMIT, Group.INPUT)


def _eval(commands: Any) -> None:
    evaluate = commands.add_parser(
        "eval",
        help="measure how well questions with known answers are answered",
        description="Ask questions whose answers are known by construction, each by a run of its "
        "own, and print success with 95 % intervals, confidently wrong answers, tokens, calls, "
        "time and cost, by set, length and system. SETS are names that --list gives, SET/KIND for "
        "one kind; by default all. Or give one file of tasks of your own, as `rlm batch` takes "
        "them, each with an expected answer. It is a batch: the same command goes on with what is "
        "left. Exit status as of `rlm batch`.",
    )
    evaluate.set_defaults(work="eval.work")
    evaluate.add_argument("sets", metavar="SETS", nargs="*", help="sets, kinds, or a TASKS.jsonl")
    evaluate.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("rlm-eval"),
        help="the folder of tasks, runs and results; by default rlm-eval",
    )  # fmt: skip
    evaluate.add_argument("--list", action="store_true", help="print the sets and end")
    evaluate.add_argument(
        "--short", action="store_true", help="ten tasks, one seed, 3e4 characters"
    )
    evaluate.add_argument(
        "--seeds", metavar="N", help="tasks of each kind and length; by default 3"
    )
    evaluate.add_argument("--first-seed", metavar="N", help="by default 0; others make other tasks")
    evaluate.add_argument(
        "--length", metavar="LIST", help="characters such as 1e5,1m or tokens such as 32kt"
    )
    evaluate.add_argument("--split", help="open or held-out kinds only; by default both")
    evaluate.add_argument(
        "--baseline", metavar="LIST",
        help="who answers the same tasks beside us: window (the LM alone), rlms, dspy",
    )  # fmt: skip
    evaluate.add_argument(
        "-n", "--concurrency", metavar="N",
        help="live runs at once; by default 8, with the embedded LM 1",
    )  # fmt: skip
    evaluate.add_argument("--total-cost", metavar="N", help="US dollars for all of DIR")
    evaluate.add_argument(
        "--total-seconds", metavar="N", help="seconds until the last run is ended"
    )
    evaluate.add_argument("--retry-failed", action="store_true", help="as of `rlm batch`")
    evaluate.add_argument("--no-notebook", action="store_true", help="make no summary.ipynb")
    add_answer_options(evaluate, out=False)


def _doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor", help="say what is in force, where it comes from, and whether it answers"
    )
    doctor.set_defaults(work="doctor.work")
    add_settings(doctor, Group.LM, Group.PLACE)


def _local(commands: Any) -> None:
    local = commands.add_parser("local", help="the embedded LM")
    parts = local.add_subparsers(required=True, metavar="ACTION")
    fetch = parts.add_parser("fetch", help="download its weights (1.6 GB, Apache-2.0)")
    fetch.set_defaults(work="fetching.work")
    fetch.add_argument("--yes", action="store_true", help="do not ask")


def _install(commands: Any) -> None:
    install = commands.add_parser(
        "install",
        help="add the kernel RLM to the Jupyter of another environment",
        description="Write a kernelspec that starts this Python, and print its folder. The Jupyter "
        "of this environment has one already, from pip.",
    )
    install.set_defaults(work="install.work")
    where = install.add_mutually_exclusive_group()
    where.add_argument(
        "--user", action="store_true", help="in your own Jupyter folder, as by default"
    )
    where.add_argument(
        "--prefix", metavar="DIR",
        help="in an environment's folder; /usr/local is for all users of most machines",
    )  # fmt: skip
    install.add_argument("--name", default="rlm", help="of the kernelspec; by default rlm")
    install.add_argument("--display-name", metavar="TEXT", help="in menus; by default RLM")


def _clean(commands: Any) -> None:
    clean = commands.add_parser(
        "clean",
        help="remove containers or sandboxes whose process is gone",
        description="Remove the containers of rlm_kernel on this machine's Docker engine, or its "
        "sandboxes at Modal, whose process on this machine has ended without removing them. "
        "`rlm doctor --env NAME` lists them.",
    )
    clean.set_defaults(work="clean.work")
    clean.add_argument("--env", dest="environment", choices=tuple(SANDBOX), default="docker")
    clean.add_argument("--app", metavar="NAME", help=OPTIONS["app"].help)


def _help(commands: Any) -> None:
    told = commands.add_parser(
        "help",
        help="show a page of the guide",
        description="Show a page of the guide: drawn on a terminal, as Markdown elsewhere. Without "
        "TOPIC list the topics. A command that is no topic shows its options.",
    )
    told.set_defaults(work="help.work")
    told.add_argument("topic", metavar="TOPIC", nargs="?", help="a topic, or a command")
