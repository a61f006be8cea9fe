"""``rlm install``: the kernel RLM in the Jupyter of another environment."""

from __future__ import annotations

import argparse

from ..kernel.install import install
from .statuses import ANSWERED
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    folder = install(
        user=options.user,
        prefix=options.prefix,
        name=options.name,
        display_name=options.display_name,
    )
    write_line(str(folder))
    return ANSWERED
