"""The inner kernel: a real ipykernel that runs the cells, in a local process.

It is started through jupyter_client with ipc sockets in a short private folder of its own, in its
own process group, with an environment that is an allow-list, as the child of a watchdog. It knows
nothing of LMs; ``repl`` puts the guest into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from ..endings import to_the_end, within
from ..errors import KernelDied, KernelStartError, RLMError, UsageError
from ..remote.watchdog import Watchdog
from .exchange import OnMessage
from .live_kernel import Executed, Kernel
from .local.folders import private_folder
from .messages import Message

__all__ = [
    "Executed",
    "Kernel",
    "Message",
    "OnMessage",
    "check_kernelspec",
    "environment",
    "open_kernel",
    "open_sandbox",
]

ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP",
    "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "OMP_NUM_THREADS", "SSL_CERT_FILE",
    "SYSTEMROOT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""Variables an inner kernel is given, and ``LC_*``. Keys are in none of them."""
START_SECONDS = 60.0
CLOSE_SECONDS = 60.0
UNREAD = 8
"""Messages that wait for us; so many as large as they may be are 128 MiB."""
MAX_MESSAGE = 1 << 24
"""Bytes of one message from a sandbox; a note takes the place of a larger one."""
NO_HISTORY = "--HistoryManager.hist_file=:memory:"


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The inner kernel's environment: what is allowed of ours, and ``extra``."""
    kept = {k: v for k, v in os.environ.items() if k in ALLOWED or k.startswith("LC_")}
    return {**kept, "PYTHONHASHSEED": "0", **extra}


class _WatchedProvisioner(LocalProvisioner):
    """Starts the kernel as a child of its watchdog."""

    watchdog: Watchdog
    log_file: Path

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        argv = [os.path.expanduser(word) for word in cmd]
        self.process: Any = await asyncio.to_thread(
            self.watchdog.start, argv, options["env"], options.get("cwd"), self.log_file
        )
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def wait(self) -> int | None:
        """Return the exit code at once: jupyter_client's own looks every 0.1 s, and a cell that
        came in between was lost with the kernel."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(ended.set)

        if self.process is not None:
            self.process.when_ended(tell)
            await ended.wait()
        return await super().wait()


class _SandboxManager(AsyncKernelManager):
    """A manager whose kernelspec is written here and not installed."""

    spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec


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


def check_kernelspec(name: str) -> None:
    """Raises ``UsageError``, with the names there are, for one that is not installed."""
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        raise UsageError(
            f"there is no kernelspec {name!r} for the inner kernel; there are: {known}"
        ) from None


async def _start(manager: AsyncKernelManager, *, patient: bool = True, **options: Any) -> None:
    """Start the kernel's process; cancelled in the middle, it is ended again. A ``patient`` start
    is waited for then: jupyter_client's own leaves a process behind that is cancelled.

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
        raise KernelStartError(
            f"the inner kernel {manager.kernel_name!r} did not start: {error}"
        ) from error


@asynccontextmanager
async def open_kernel(
    cwd: Path,
    *,
    kernel_name: str = "python3",
    env: Mapping[str, str] | None = None,
    history: bool = False,
) -> AsyncIterator[tuple[Kernel, Path]]:
    """A running kernel and its private folder, both gone with all they started afterwards.

    With ``history`` its cells go into the user's IPython history, as from any notebook.
    Raises ``KernelStartError`` with the end of the kernel's log, or ``UsageError`` for an unknown
    kernelspec.
    """
    check_kernelspec(kernel_name)
    async with private_folder() as (folder, watchdog):
        manager = AsyncKernelManager(kernel_name=kernel_name)
        _set_up(manager, folder)
        log = folder / "kernel.log"
        spec = manager.kernel_spec
        if spec is not None and "kernel_provisioner" not in spec.metadata:
            ours = _WatchedProvisioner(kernel_spec=spec, parent=manager)
            ours.watchdog, ours.log_file = watchdog, log
            manager.provisioner = ours
        await _start(
            manager,
            cwd=str(cwd),
            env=environment(env or {}),
            extra_arguments=[] if history else [NO_HISTORY],
        )
        async with _connected(manager, f"the inner kernel {kernel_name!r}", log) as kernel:
            yield kernel, folder


@asynccontextmanager
async def open_sandbox(
    provisioner: str, config: Mapping[str, Any], *, env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Kernel, Path]]:
    """A running kernel in a place of its own, and its private folder on this side; both gone
    afterwards. ``provisioner`` and ``config`` are as in a kernelspec.

    Raises ``KernelStartError``, and ``UsageError`` where the settings or the engine are at fault.
    """
    async with private_folder() as (folder, _):
        manager = _SandboxManager()
        ours = {"PYTHONHASHSEED": "0", "IPYTHONDIR": "/tmp/ipython"}
        given = {
            "max_message": MAX_MESSAGE,
            "unread": UNREAD,
            **config,
            "env": {**ours, **(env or {})},
        }
        chosen = {"provisioner_name": provisioner, "config": given}
        manager.spec = KernelSpec(
            argv=["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}", NO_HISTORY],
            display_name=provisioner,
            language="python",
            interrupt_mode="message",
            metadata={"kernel_provisioner": chosen},
        )
        _set_up(manager, folder)
        await _start(manager, patient=False)
        what = f"the inner kernel of {provisioner}"
        async with _connected(manager, what, folder / "kernel.log") as kernel:
            yield kernel, folder


def _silent() -> KernelDied:
    return KernelDied(f"no answer in {START_SECONDS:g} s")


async def _close(kernel: Kernel) -> None:
    """End it, or leave it to whoever runs the place. Raises ``KernelDied`` then."""
    async with within(CLOSE_SECONDS, lambda: KernelDied(f"not ended in {CLOSE_SECONDS:g} s")):
        await kernel.close()


@asynccontextmanager
async def _connected(manager: AsyncKernelManager, what: str, log: Path) -> AsyncIterator[Kernel]:
    """The started kernel, once it answers; ended afterwards."""
    client = manager.client()
    client.start_channels(hb=False)
    kernel = Kernel(manager, client, log)
    kernel.start_pumps()
    try:
        try:
            async with within(START_SECONDS, _silent):
                await kernel.ready()
        except KernelDied as error:
            why = f"{what} did not start: {error}\n{kernel.log_tail()}"
            raise KernelStartError(why, died=not kernel.alive) from error
        yield kernel
    finally:
        await to_the_end(_close(kernel))
