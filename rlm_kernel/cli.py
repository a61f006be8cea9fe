"""The command ``rlm``."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from . import __version__, config, contexts, demo
from .contexts import Source
from .engine import engine
from .errors import RLMError, UsageError
from .privacy import hide_from_children
from .record import show
from .screen import Screen
from .session import Result, Session
from .settings import ENVIRONMENTS, MEANINGS, InForce, Layer, in_force
from .tools import Tools

ANSWERED, FAILED, USAGE, LIMIT, INTERRUPTED = 0, 1, 2, 3, 130
_PLACE_OPTIONS = {
    "kernel": "NAME", "image": "NAME", "packages": "NAMES", "network": "MODE", "memory": "SIZE",
    "cpus": "N", "pids": "N", "tmpfs": "SIZE",
}  # fmt: skip
_STATUS = {"answered": ANSWERED, "failed": FAILED, "limit": LIMIT, "interrupted": INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    hide_from_children()
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.work
    errors = Console(stderr=True)
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlm",
        description="Answer questions about inputs of any length: a language model writes a "
        "notebook about them.",
    )
    parser.add_argument("--version", action="version", version=f"rlm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _run_parser(commands)
    _demo_parser(commands)
    _show_parser(commands)
    _replay_parser(commands)
    _doctor_parser(commands)
    _local_parser(commands)
    _install_parser(commands)
    _clean_parser(commands)
    return parser


def _run_parser(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="answer a question about a context",
        description="Answer QUESTION about the context. Only the answer goes to standard output. "
        "Exit status: 0 answered, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.",
    )
    run.set_defaults(work=_run)
    run.add_argument("question", metavar="QUESTION")
    run.add_argument(
        "--context", required=True, metavar="PATH", help="a file, a folder, or - for standard input"
    )
    run.add_argument("--encoding", help="of a text context; found out by default")
    run.add_argument("--model", help="the LM that writes the cells")
    run.add_argument("--sub-model", help="the LM that llm_query asks")
    run.add_argument("--base-url", metavar="URL", help="any OpenAI-compatible endpoint")
    _place_options(run)
    run.add_argument("--prompt", metavar="STYLE", help="strong or small")
    for name, what in (
        ("turns", "LM replies in each node"),
        ("depth", "levels of children"),
        ("calls", "sub-calls and children"),
        ("tokens", "tokens, in and out, or none"),
        ("cost", "US dollars, or none"),
        ("seconds", "seconds for the run, or none"),
        ("cell-seconds", "running seconds for a cell"),
    ):
        run.add_argument(f"--max-{name}", metavar="N", help=what)
    run.add_argument("--out", metavar="DIR", help="the run's folder; by default under rlm-runs")
    run.add_argument("--json", action="store_true", help="print the whole result as JSON")
    run.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _place_options(parser: argparse.ArgumentParser) -> None:
    """Where cells run, and what a sandbox is given."""
    for name, metavar in _PLACE_OPTIONS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=MEANINGS[name])
    parser.add_argument("--env", dest="environment", metavar="NAME", help=" or ".join(ENVIRONMENTS))


def _demo_parser(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="answer a question about a text made from a seed, and check the answer",
        description="Make a text of over 200,000 characters and a question about it from a seed, "
        "answer it as `rlm run` would, and compare with the right answer, which the LM never sees.",
    )
    demo.set_defaults(work=_demo)
    demo.add_argument("--seed", type=int, help="by default a new one each time")
    _place_options(demo)


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
    _place_options(replay)


def _doctor_parser(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor", help="say what is in force, where it comes from, and whether it answers"
    )
    doctor.set_defaults(work=_doctor)
    doctor.add_argument("--model")
    doctor.add_argument("--sub-model")
    doctor.add_argument("--base-url", metavar="URL")
    _place_options(doctor)


def _local_parser(commands: Any) -> None:
    local = commands.add_parser("local", help="the embedded LM")
    parts = local.add_subparsers(required=True, metavar="ACTION")
    fetch = parts.add_parser("fetch", help="download its weights (1.6 GB, Apache-2.0)")
    fetch.set_defaults(work=_fetch)
    fetch.add_argument("--yes", action="store_true", help="do not ask")


def _install_parser(commands: Any) -> None:
    install = commands.add_parser(
        "install",
        help="add the kernel RLM to the Jupyter of another environment",
        description="Write a kernelspec that starts this Python. The Jupyter of this environment "
        "has one already, from pip.",
    )
    install.set_defaults(work=_install)
    where = install.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="in your own Jupyter folder")
    where.add_argument("--prefix", metavar="DIR", help="in an environment's folder")
    install.add_argument("--name", default="rlm", help="of the kernelspec; by default rlm")
    install.add_argument("--display-name", metavar="TEXT", help="in menus; by default RLM")


def _clean_parser(commands: Any) -> None:
    clean = commands.add_parser(
        "clean",
        help="remove containers whose process is gone",
        description="Remove the containers of rlm_kernel on this machine's Docker engine whose "
        "process has ended without removing them. `rlm doctor --env docker` lists them.",
    )
    clean.set_defaults(work=_clean)


def _in_force(options: argparse.Namespace, *without: str) -> InForce:
    """What the options, but for those ``without``, the environment and the config files set."""
    left_out = {"work", *without}
    given = {n: v for n, v in vars(options).items() if n not in left_out and v is not None}
    return in_force(layers=[Layer("--{option}", given)], config=config.load())


def _run(options: argparse.Namespace) -> int:
    force = _in_force(options, "question", "context", "encoding", "json", "quiet")
    source = contexts.from_path(options.context, encoding=options.encoding)
    result = _ask(force, source, options.question, options.quiet)
    _report(result, options.json)
    return _STATUS[result.status]


def _ask(force: InForce, source: Source, question: str, quiet: bool) -> Result:
    """Run a question with progress on standard error, and say where its trajectory is."""
    console = Console(stderr=True, quiet=quiet)
    screen = Screen(console)
    session = Session(force, Tools())

    async def work() -> Result:
        try:
            return await session.ask(source, question, [screen])
        finally:
            await asyncio.shield(session.close())

    try:
        with screen.showing():
            return engine().run(work())
    finally:
        if session.trajectory is not None and session.trajectory.exists():
            console.print(
                f"trajectory: {session.trajectory}", style="dim", markup=False, soft_wrap=True
            )


def _demo(options: argparse.Namespace) -> int:
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    made = demo.make(seed)
    console = Console(stderr=True, highlight=False)
    console.print(f"seed {seed}: a text of {len(made.context):,} characters")
    result = _ask(
        _in_force(options, "seed"), contexts.from_value(made.context), made.question, False
    )
    _report(result, as_json=False)
    right = (result.response or "").strip() == made.answer
    console.print(
        "the answer is right" if right else f"the answer is wrong: it is {made.answer}",
        style="green" if right else "red",
    )
    return _STATUS[result.status] if right else FAILED


def _report(result: Result, as_json: bool) -> None:
    """The answer on standard output; why there is none, or no sure one, on standard error."""
    if as_json:
        print(json.dumps(_as_json(result)))
    elif result.response is not None:
        sys.stdout.buffer.write(result.response.encode("utf-8", "backslashreplace") + b"\n")
        sys.stdout.flush()
    if not result.confirmed:
        raising = "; --max-... sets the limits (rlm run --help)" if result.status == "limit" else ""
        best = "no answer" if result.response is None else "the answer above is unconfirmed"
        Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(
            f"rlm: {best}: {result.reason}" + raising, style="yellow"
        )


def _as_json(result: Result) -> dict[str, Any]:
    return {
        **dataclasses.asdict(result),
        "cost": result.cost,
        "trajectory": str(result.trajectory),
    }


def _show(options: argparse.Namespace) -> int:
    loaded = show.load(options.path)
    if options.json:
        print(json.dumps(show.as_json(loaded), indent=1))
    else:
        show.render(loaded, Console())
    return ANSWERED


def _replay(options: argparse.Namespace) -> int:
    from . import replay
    from .record import trajectory
    from .run import kernels_of

    recorded = trajectory.load(options.path)
    progress = Console(stderr=True)

    def say(text: str) -> None:
        progress.print(text, style="dim", markup=False, highlight=False)

    kernels = None
    if options.environment is not None:
        kernels = kernels_of(_in_force(options, "path"))
    verdict = engine().run(replay.replay(recorded, say, kernels))
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{verdict.result}: {verdict.cells} cells run again, {verdict.calls} calls answered from "
        "the record, no LM asked"
    )
    for sentence in [*verdict.differences, *verdict.ambiguities]:
        console.print(f"- {sentence}")
    return ANSWERED if verdict.result == "equal" else FAILED


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    good = engine().run(doctor.examine(_in_force(options), Console()))
    return ANSWERED if good else FAILED


def _fetch(options: argparse.Namespace) -> int:
    from .embedded.fetching import fetch_with_progress

    fetch_with_progress(Console(stderr=True), options.yes)
    return ANSWERED


def _clean(options: argparse.Namespace) -> int:
    from .provisioners.engine import connect
    from .provisioners.strays import remove_strays

    with closing(connect()) as client:
        removed = remove_strays(client)
    for stray in removed:
        print(f"{stray.name} ({stray.state}, {stray.image})")
    print(f"{len(removed)} removed")
    return ANSWERED


def _install(options: argparse.Namespace) -> int:
    from .kernel.install import install

    folder = install(
        user=options.user,
        prefix=options.prefix,
        name=options.name,
        display_name=options.display_name,
    )
    print(folder)
    return ANSWERED


if __name__ == "__main__":
    sys.exit(main())
