"""The start of a kernel through jupyter_client, and its end, whatever environment it is in."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from ..endings import to_the_end, within
from ..errors import KernelDied, KernelStartError, RLMError
from .kernel import Kernel

START_SECONDS = 60.0
CLOSE_SECONDS = 60.0
UNREAD = 8
"""Messages that wait for us; so many as large as they may be are 128 MiB."""
NO_HISTORY = "--HistoryManager.hist_file=:memory:"
LOG = "kernel.log"
"""In the kernel's private folder: what its process wrote outside of any cell."""


@asynccontextmanager
async def launched(
    manager: AsyncKernelManager,
    folder: Path,
    what: str,
    *,
    patient: bool = True,
    seconds: float = START_SECONDS,
    **options: Any,
) -> AsyncIterator[Kernel]:
    """Start the manager's kernel, called ``what`` in errors, with sockets in ``folder``; give it
    once it answers, within so many ``seconds``, and end it afterwards. ``options`` are those of
    ``start_kernel``.

    A ``patient`` start is waited for when it is cancelled: jupyter_client's own leaves a process
    behind then. Raises ``KernelStartError`` with the end of the kernel's log, and what the
    provisioner raises of ours.
    """
    _set_up(manager, folder)
    await _start(manager, what, patient, options)
    client = manager.client()
    client.start_channels(hb=False)
    kernel = Kernel(manager, client, folder / LOG)
    kernel.start_pumps()
    try:
        try:
            async with within(seconds, lambda: KernelDied(f"no answer in {seconds:g} s")):
                await kernel.ready()
        except KernelDied as error:
            why = f"{what} did not start: {error}\n{kernel.log_tail()}"
            raise KernelStartError(why, died=not kernel.alive) from error
        yield kernel
    finally:
        await to_the_end(_close(kernel))


def _set_up(manager: AsyncKernelManager, folder: Path) -> None:
    """Let it use sockets in the folder, and lose no message."""
    manager.connection_file = str(folder / "k.json")
    manager.shutdown_wait_time = 0.5
    manager.log = manager.log.getChild("kernels")
    manager.log.addFilter(_is_not_raised)
    # Nobody reads as fast as a cell can print. What sends to us waits where so many are unread.
    manager.context.rcvhwm = UNREAD
    manager.context.reconnect_ivl = 10  # ms; the kernel binds its sockets one after another
    if sys.platform != "win32":
        manager.transport = "ipc"
        manager.ip = str(folder / "k")


def _is_not_raised(record: logging.LogRecord) -> bool:
    """Keep tracebacks out of the log: jupyter_client raises what it logs with one."""
    return record.exc_info is None


async def _start(
    manager: AsyncKernelManager, what: str, patient: bool, options: dict[str, Any]
) -> None:
    """Start the kernel's process; cancelled in the middle, it is ended again.

    Raises ``KernelStartError`` where the kernelspec's command cannot be run.
    """
    starting = asyncio.ensure_future(manager.start_kernel(**options))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        if not patient:
            starting.cancel()
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)
        raise
    except (OSError, RLMError) as error:
        manager.context.destroy(linger=0)
        if isinstance(error, RLMError):
            raise
        raise KernelStartError(f"{what} did not start: {error}") from error


async def _close(kernel: Kernel) -> None:
    """End it, or leave it to whoever runs its environment. Raises ``KernelDied`` then."""
    async with within(CLOSE_SECONDS, lambda: KernelDied(f"not ended in {CLOSE_SECONDS:g} s")):
        await kernel.close()
