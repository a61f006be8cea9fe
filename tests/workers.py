"""What becomes of a run of the tests whose worker process dies: it ends soon, and red.

xdist learns of a worker's death by the end of its pipe, which a child that the worker forked may
hold open; and it lets the other workers go on with what they have, which may take many minutes.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from typing import Any

import pytest

REPORT_S = 30.0
"""How long the run has to end by itself, and to report, after the death of a worker."""


class Workers:
    """A pytest plugin for the process that hands the tests out."""

    def __init__(self) -> None:
        self._finished: set[str] = set()
        self._ending = threading.Lock()  # held for good: a second interrupt would end the report

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        process = node.gateway._io.popen
        threading.Thread(target=self._watch, args=(node.gateway.id, process), daemon=True).start()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error is None:
            self._finished.add(node.gateway.id)

    def _watch(self, worker: str, process: Any) -> None:
        status = process.wait()
        time.sleep(REPORT_S)
        if worker not in self._finished and self._ending.acquire(blocking=False):
            print(f"\nworker {worker} died ({status}): the run ends", file=sys.stderr, flush=True)
            _thread.interrupt_main()
