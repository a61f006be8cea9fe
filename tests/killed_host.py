"""A host that gets kernels in sandboxes to a given moment, says so, and waits to be killed.

usage: killed_host.py VENDOR MOMENT KERNELSPECS
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.api.client import APIClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from rlm_kernel.environments.modal.sandbox import ModalSandbox
from rlm_kernel.environments.pipe.carrier import Carrier
from rlm_kernel.environments.registry import ENVIRONMENTS

STEPS: dict[tuple[str, str], tuple[type, str]] = {
    ("docker", "created"): (APIClient, "attach_socket"),
    ("docker", "attached"): (APIClient, "start"),
    ("docker", "started"): (Carrier, "start"),
    ("bwrap", "started"): (Carrier, "start"),
    ("modal", "created"): (ModalSandbox, "_start"),
    ("modal", "started"): (Carrier, "start"),
}
"""What comes after the moment, and is not done."""


class Doomed:
    """A host process at a moment of its life; ``kill`` is kill -9."""

    def __init__(self, process: subprocess.Popen[str], reaper: int) -> None:
        self.process = process
        self.reaper = reaper

    def kill(self, reaper_too: bool = False) -> None:
        if reaper_too:
            os.kill(self.reaper, signal.SIGKILL)
        self.process.kill()
        self.process.wait(10)


@contextmanager
def hosts(vendor: str) -> Iterator[Callable[[str, Path], Doomed]]:
    """A moment and the folder of a kernelspec ``doomed`` to a host that is there; at the end all
    that still run are killed."""
    processes = []

    def doomed_at(moment: str, specs: Path) -> Doomed:
        process = subprocess.Popen(
            [sys.executable, __file__, vendor, moment, str(specs)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said[:1] == ["there"], said
        return Doomed(process, int(said[1]))

    try:
        yield doomed_at
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


# the host
def start_kernel(specs: str) -> Any:
    manager = KernelManager(
        kernel_name="doomed", kernel_spec_manager=KernelSpecManager(kernel_dirs=[specs])
    )
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def _reaper(vendor: str) -> int:
    """The process that ends what a killed host leaves, 0 for a vendor without one."""
    reaper = getattr(ENVIRONMENTS[vendor].provisioner, "reaper", None)
    return next(each.pid for each in reaper.processes.values()) if reaper else 0


def main(vendor: str, moment: str, specs: str) -> None:
    def stand_still(*args: Any, **kwargs: Any) -> None:
        print(f"there {_reaper(vendor)}", flush=True)
        threading.Event().wait()

    if (vendor, moment) in STEPS:
        setattr(*STEPS[vendor, moment], stand_still)
    client = start_kernel(specs)
    if moment == "two kernels":
        start_kernel(specs)
    if moment == "forked" and not os.fork():
        threading.Event().wait(60)  # it holds all that the host has open
        os._exit(0)
    if moment == "busy":
        client.execute("while True: pass")
    stand_still()


if __name__ == "__main__":
    main(*sys.argv[1:])
