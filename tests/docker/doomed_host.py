"""A host that gets a kernel in a container to a given moment, says so, and waits to be killed.

usage: doomed_host.py MOMENT KERNELSPECS
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from docker.api.client import APIClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from rlm_kernel.provisioners.carrier import Carrier
from rlm_kernel.provisioners.reaper import REAPERS


def stand_still(*args: Any, **kwargs: Any) -> None:
    [reaper] = REAPERS["docker"].processes.values()
    print(f"there {reaper.pid}", flush=True)
    threading.Event().wait()


def start_kernel(specs: str) -> Any:
    manager = KernelManager(
        kernel_name="doomed", kernel_spec_manager=KernelSpecManager(kernel_dirs=[specs])
    )
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def main(moment: str, specs: str) -> None:
    if moment == "created":
        APIClient.attach_socket = stand_still  # type: ignore[method-assign]
    elif moment == "attached":
        APIClient.start = stand_still  # type: ignore[method-assign]
    elif moment == "started":
        Carrier.start = stand_still  # type: ignore[method-assign]
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
