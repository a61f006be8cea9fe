"""The kernel RLM beside plain ipykernel, as a front end sees them.

``python -m tests.bench.outer rlm|python3`` prints one line of JSON: name -> number, seconds where
nothing else is said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from . import scripts

MODULES = {"rlm": "rlm_kernel.kernel", "python3": "ipykernel_launcher"}
SECONDS = 60


class _Manager(KernelManager):
    module = ""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", self.module, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, language="python", interrupt_mode="message")


@contextmanager
def started(name: str, cwd: str) -> Iterator[tuple[_Manager, BlockingKernelClient]]:
    manager = _Manager()
    manager.module = MODULES[name]
    manager.start_kernel(cwd=cwd, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str) -> None:
    reply = client.execute_interactive(code, output_hook=lambda message: None, timeout=SECONDS)
    if reply["content"]["status"] != "ok":
        raise SystemExit(f"{code!r}: {reply['content']}")


def _completed(client: BlockingKernelClient) -> None:
    client.complete("long_na", reply=True, timeout=SECONDS)


def resident(pid: int) -> int:
    """Bytes of the process and all below it."""
    status = Path(f"/proc/{pid}/statm").read_text().split()
    pages = int(status[1]) - int(status[2])  # what is shared with others is not counted
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for thread in threads for child in thread.read_text().split()]
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident, children))


def measure(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cwd:
        began = time.perf_counter()
        with started(name, cwd) as (manager, client):
            run(client, "long_name = 1 + 1")
            first = time.perf_counter() - began
            cells = scripts.timed(lambda: run(client, "long_name"), 320)[20:]
            prints = scripts.timed(lambda: run(client, "print('x' * 1_000_000)"), 20)
            completions = scripts.timed(lambda: _completed(client), 60)[10:]
            memory = resident(manager.provisioner.pid)  # type: ignore[union-attr]
            began = time.perf_counter()
            manager.shutdown_kernel()
            ended = time.perf_counter() - began
    return {
        "outer_start": first,
        "outer_cell": scripts.median(cells),
        "outer_print": scripts.median(prints),
        "outer_complete": scripts.median(completions),
        "outer_memory": memory,
        "outer_shutdown": ended,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
