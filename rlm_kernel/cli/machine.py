"""Commands on this machine: what is in force here, what was put here, what was left here."""

from __future__ import annotations

import argparse
from typing import Any

from ..reports.terminal import standard_error, standard_output
from ..session.event_loop import engine
from ..settings.resolved import MEANINGS, SANDBOX
from .options import place_options, settle
from .statuses import ANSWERED, FAILED
from .terminal import write_line


def add(commands: Any) -> None:
    _doctor_parser(commands)
    _local_parser(commands)
    _install_parser(commands)
    _clean_parser(commands)


def _doctor_parser(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor", help="say what is in force, where it comes from, and whether it answers"
    )
    doctor.set_defaults(work=_doctor)
    doctor.add_argument("--model")
    doctor.add_argument("--sub-model")
    doctor.add_argument("--base-url", metavar="URL")
    place_options(doctor)


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
        help="remove containers or sandboxes whose process is gone",
        description="Remove the containers or sandboxes of rlm_kernel in an environment whose "
        "process on this machine has ended without removing them. "
        "`rlm doctor --env NAME` lists them.",
    )
    clean.set_defaults(work=_clean)
    clean.add_argument("--env", dest="environment", choices=tuple(SANDBOX), default="docker")
    clean.add_argument("--app", metavar="NAME", help=MEANINGS["app"])


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    good = engine().run(doctor.examine(settle(options), standard_output()))
    return ANSWERED if good else FAILED


def _fetch(options: argparse.Namespace) -> int:
    from .fetching import fetch_with_progress

    fetch_with_progress(standard_error(), options.yes)
    return ANSWERED


def _clean(options: argparse.Namespace) -> int:
    from ..environments.registry import ENVIRONMENTS

    settings = settle(options).settings
    removed = ENVIRONMENTS[settings.environment].remove_strays(settings.sandbox)
    for stray in removed:
        write_line(str(stray))
    write_line(f"{len(removed)} removed")
    return ANSWERED


def _install(options: argparse.Namespace) -> int:
    from ..kernel.install import install

    folder = install(
        user=options.user,
        prefix=options.prefix,
        name=options.name,
        display_name=options.display_name,
    )
    write_line(str(folder))
    return ANSWERED
