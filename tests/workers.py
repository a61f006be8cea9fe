"""How the tests are handed out, and what becomes of a run whose worker process dies: it ends soon,
and red.

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
from xdist.scheduler import LoadScopeScheduling

REPORT_S = 30.0
"""How long the run has to end by itself, and to report, after the death of a worker."""


class Handed(LoadScopeScheduling):
    """Hands a worker the tests of a whole file, which share kernels, and to one worker all of those
    of browsers, which share a server: two browsers at a time would make each other wait."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "browser" if "/browser/" in f"/{file}" else file


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
