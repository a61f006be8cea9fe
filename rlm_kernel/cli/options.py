"""Options that several commands share, and what they end in."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..settings import config
from ..settings.resolved import ENVIRONMENTS, MEANINGS, Layer, Resolved, in_force

PLACE_OPTIONS = {
    "kernel": "NAME", "image": "NAME", "packages": "NAMES", "network": "MODE", "memory": "SIZE",
    "cpus": "N", "pids": "N", "tmpfs": "SIZE", "mounts": "PATHS", "children": "HOW",
    "app": "NAME", "transport": "HOW", "gpu": "NAME", "region": "NAME", "secrets": "NAMES",
    "sandbox-seconds": "N",
}  # fmt: skip


def place_options(parser: argparse.ArgumentParser) -> None:
    """Where cells run, and what a sandbox is given."""
    for name, metavar in PLACE_OPTIONS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=MEANINGS[name.replace("-", "_")])
    parser.add_argument("--env", dest="environment", metavar="NAME", help=" or ".join(ENVIRONMENTS))


def settle(
    options: argparse.Namespace,
    *without: str,
    below: Sequence[Layer] = (),
    last: Sequence[Layer] = (),
) -> Resolved:
    """What the options, but for those ``without``, the layers ``below`` them, the environment, the
    config files and the layers ``last`` of all set."""
    left_out = {"work", *without}
    given = {n: v for n, v in vars(options).items() if n not in left_out and v is not None}
    return in_force(layers=[Layer("--{option}", given), *below], config=[*config.load(), *last])
