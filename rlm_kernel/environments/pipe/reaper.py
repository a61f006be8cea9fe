"""Sees to it that a vendor's sandboxes do not outlive this process.

Their own pipes end them too, but for one that was made and not yet started, or whose first
process hangs.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from ...remote import reaper

KEPT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("SSL_CERT_", "XDG_")


class Reaper:
    """The host's end of ``remote.reaper``: one process a host process and selector, started before
    the first thing is made that it selects.

    ``program`` is the vendor's file, which runs there; ``prefixes`` are those of the variables that
    its SDK reads.
    """

    def __init__(self, program: Path, prefixes: tuple[str, ...]) -> None:
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """By selector."""
        self._there: Counter[str] = Counter()
        self._program = program
        self._prefixes = (*KEPT_PREFIXES, *prefixes)
        self._owner = 0
        self._lock = threading.Lock()

    def watch(self, selector: str) -> None:
        """See to it that what carries this label or tag goes with this process. It is about to be
        made: say ``gone`` when it has been removed."""
        with self._lock:
            if self._owner != os.getpid():  # a forked process has none yet
                self._owner = os.getpid()
                self.processes, self._there = {}, Counter()
                atexit.register(self._let_go)
            self._there[selector] += 1
            running = self.processes.get(selector)
            if running is not None and running.poll() is None:
                return
            program = [str(self._program), selector, str(self._owner)]
            self.processes[selector] = subprocess.Popen(
                # -P: or a file beside it could hide an SDK
                [sys.executable, "-P", reaper.__file__, *program],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is ours to answer
            )

    def gone(self, selector: str) -> None:
        """Note that one of what ``watch`` was told of is no longer there."""
        with self._lock:
            self._there[selector] -= 1

    def _environment(self) -> dict[str, str]:
        """Return those of our variables that the SDK needs; no LM's key."""
        ours = os.environ.items()
        return {k: v for k, v in ours if k in KEPT or k.startswith(self._prefixes)}

    def _let_go(self) -> None:
        """Let our processes go as we end: those with something to look for outlive us by
        seconds."""
        for selector, process in self.processes.items():
            if self._there[selector] <= 0:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
            process.returncode = 0  # or Python warns of a process that is left running
