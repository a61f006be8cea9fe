"""The outer kernel as an application of ipykernel's."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from ipykernel.kernelapp import IPKernelApp

from ..environments.descriptors import allow_many
from ..environments.local.watchdog import adopt_orphans
from ..reports.gate import gated
from .outer import RLMKernel

HELD_MESSAGES = 100_000
"""How many outputs wait for a front end that is slow to read. ipykernel keeps zmq's 1,000, which a
cell fills no faster than it runs; what we pass on comes in bursts, and zmq drops what is over."""
M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE = 64 << 10


class RLMKernelApp(IPKernelApp):
    """An application of ipykernel's, for a kernel that runs no code itself."""

    def init_iopub(self, context: Any) -> None:
        context.sndhwm = HELD_MESSAGES
        super().init_iopub(context)

    def init_control(self, context: Any) -> None:
        """Leave out the thread for subshells: without them the kernel would answer on its socket
        from two threads, and messages were lost."""
        super().init_control(context)
        self.shell_channel_thread = None


def give_memory_back() -> None:
    """Let glibc return large blocks, of which outputs are made, when they are freed. Once it has
    seen some it keeps them: 300 pictures of 400 kB that were passed on left 95 MB behind."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def run() -> None:
    """Serve the kernel until it is shut down."""
    adopt_orphans()
    allow_many()
    give_memory_back()
    # No streams of ours are sent to the front end, and their threads made a shutdown take 2.6 s.
    with gated():
        RLMKernelApp.launch_instance(
            kernel_class=RLMKernel, outstream_class=None, capture_fd_output=False
        )
