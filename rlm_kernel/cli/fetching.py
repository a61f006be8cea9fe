"""``rlm local fetch``: ask, download, show how far it is."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from ..errors import RLMError, UsageError
from ..lm.embedded.download import fetch
from ..lm.embedded.weights import ALL, Progress, Weights, is_present, plan
from ..reports.terminal import live, standard_error
from .statuses import ANSWERED

LINE_SECONDS = 5.0
"""Without a terminal: at most one line of progress in this time."""
LOOK_SECONDS = 0.5
MOST_SAID = 1 << 20
COMMAND = (sys.executable, "-m", "rlm_kernel", "local", "fetch", "--yes")


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    fetch_with_progress(standard_error(), options.yes)
    return ANSWERED


def fetch_with_progress(console: Console, yes: bool) -> None:
    """Bring all weights into the cache; ask on ``console`` first unless ``yes``.

    Returns when every file is there and verified. Raises ``RLMError`` when the human declines,
    ``UsageError`` when there is nobody to ask, or as ``fetch`` does.
    """
    for weights in agreed(console, yes):
        with _shown(console, weights) as progress:
            fetch(weights, progress)


def agreed(console: Console, yes: bool) -> list[Weights]:
    """Return the weights that are not there, after saying what they are and asking unless ``yes``.

    Raises ``RLMError`` when the human declines, ``UsageError`` when there is nobody to ask.
    """
    missing = [weights for weights in ALL if not is_present(weights)]
    console.print(plan(missing), highlight=False, markup=False, soft_wrap=True)
    if missing and not yes:
        _ask(console)
    return missing


class Beside:
    """A fetch in a process of its own, while this one does something else. Leaving the block ends
    it; the next fetch goes on where it stopped."""

    def __enter__(self) -> Self:
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said
        )
        return self

    def __exit__(self, *ended: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._said.close()

    def wait(self, console: Console) -> None:
        """Wait until it has ended, and say how far it is. Raises ``RLMError`` if it failed."""
        told = ""
        while not self._has_ended():
            if (last := self._lines()[-1]) != told:
                console.print(told := last, style="dim", markup=False, soft_wrap=True)
        if self._process.returncode != ANSWERED:
            raise RLMError(self._lines()[-1].removeprefix("rlm: ") or "the download was ended")

    def _has_ended(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=LOOK_SECONDS)
        return self._process.returncode is not None

    def _lines(self) -> list[str]:
        # Not by the file's position, which is the other process's, too.
        said = os.pread(self._said.fileno(), MOST_SAID, 0)
        return said.decode("utf-8", "replace").splitlines() or [""]


def _ask(console: Console) -> None:
    try:
        if sys.stdin is None:
            raise EOFError
        answer = console.input("Download? [y/N] ", markup=False)
    except EOFError:
        raise UsageError("nobody is there to ask: write `rlm local fetch --yes`") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise RLMError("nothing was downloaded, as you asked")


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
