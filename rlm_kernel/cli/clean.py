"""``rlm clean``: what was left behind is removed."""

from __future__ import annotations

import argparse

from ..environments.registry import ENVIRONMENTS
from .settle import settle
from .statuses import ANSWERED
from .terminal import write_line


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    settings = settle(options).settings
    removed = ENVIRONMENTS[settings.environment].remove_strays(settings.sandbox)
    for stray in removed:
        write_line(str(stray))
    write_line(f"{len(removed)} removed")
    return ANSWERED
