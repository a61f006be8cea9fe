"""``rlm local fetch``: ask, download, show how far it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from ..errors import UsageError
from ..lm.embedded.download import fetch
from ..lm.embedded.weights import ALL, Progress, Weights, is_present, plan
from ..reports.terminal import live, standard_error
from .statuses import ANSWERED

LINE_SECONDS = 5.0
"""Without a terminal: at most one line of progress in this time."""


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    fetch_with_progress(standard_error(), options.yes)
    return ANSWERED


def fetch_with_progress(console: Console, yes: bool) -> None:
    """Bring all weights into the cache; ask on ``console`` first unless ``yes``.

    Returns when every file is there and verified. Raises ``UsageError`` when the human declines,
    when there is nobody to ask, or as ``fetch`` does.
    """
    missing = [weights for weights in ALL if not is_present(weights)]
    console.print(plan(missing), highlight=False, markup=False, soft_wrap=True)
    if missing and not yes:
        _ask(console)
    for weights in missing:
        with _shown(console, weights) as progress:
            fetch(weights, progress)


def _ask(console: Console) -> None:
    try:
        if sys.stdin is None:
            raise EOFError
        answer = console.input("Download? [y/N] ", markup=False)
    except EOFError:
        raise UsageError("nobody is there to ask: write `rlm local fetch --yes`") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was downloaded, as you asked")


@contextmanager
def _shown(console: Console, weights: Weights) -> Iterator[Progress]:
    if not console.is_terminal:
        yield _lines(console, weights)
        return
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bars = Bars(*columns, console=console)
    with live(bars):
        task = bars.add_task(weights.file, total=weights.size)
        yield lambda done, _total: bars.update(task, completed=done)


def _lines(console: Console, weights: Weights) -> Progress:
    said = -LINE_SECONDS

    def say(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if done == total or now - said >= LINE_SECONDS:
            said = now
            text = f"{weights.file}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
            console.print(text, highlight=False, markup=False, soft_wrap=True)

    return say
