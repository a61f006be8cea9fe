"""The life of a kernel behind a pipe, for any Jupyter client that has started it."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import Future
from contextlib import suppress

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase

from .carrier import PipedKernel

UNKNOWN = 255
"""Given by ``poll`` for a kernel that is gone and left no exit code."""


class PipedProvisioner(KernelProvisionerBase):
    """A subclass starts the kernel, and sets ``carrier``."""

    carrier: PipedKernel | None = None

    @property
    def has_process(self) -> bool:
        return self.carrier is not None

    async def poll(self) -> int | None:
        if self.carrier is None:
            return 0
        if not self.carrier.exited.done():
            return None
        code = self.carrier.exited.result()
        return UNKNOWN if code is None else code

    async def wait(self) -> int | None:
        """Return the exit code as soon as the kernel is gone; None when only the pipe broke."""
        if self.carrier is None:
            return 0
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def tell(exited: Future[int | None]) -> None:
            with suppress(RuntimeError):  # the loop that waited is closed
                loop.call_soon_threadsafe(gone.set)

        # Not asyncio.wrap_future: it would cancel the future for all when one waiter is cancelled.
        self.carrier.exited.add_done_callback(tell)
        await gone.wait()
        return self.carrier.exited.result()

    async def send_signal(self, signum: int) -> None:
        if self.carrier is not None:
            self.carrier.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)
