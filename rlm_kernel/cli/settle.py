"""The settings that hold for a command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..inputs.contexts import Source, from_path
from ..settings import config
from ..settings.resolved import OPTIONS, Layer, Resolved, in_force


def settle(
    options: argparse.Namespace, *, below: Sequence[Layer] = (), last: Sequence[Layer] = ()
) -> Resolved:
    """Return what is set by the options, the layers ``below`` them, the environment, the config
    files, and the layers ``last`` of all."""
    given = {n: v for n, v in vars(options).items() if n in OPTIONS and v is not None}
    return in_force(layers=[Layer("--{option}", given), *below], config=[*config.load(), *last])


def context_of(options: argparse.Namespace, force: Resolved) -> Source:
    """Return the source that ``--context`` names. Blocks. Raises ``ContextError``."""
    encoding = getattr(options, "encoding", None)
    return from_path(options.context, encoding=encoding, exclude=force.settings.exclude)
