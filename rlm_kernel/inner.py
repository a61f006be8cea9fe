"""The inner kernel: a real ipykernel that runs the cells, in a local process.

It is started through jupyter_client with ipc sockets in a short private folder of its own, in its
own process group, with an environment that is an allow-list, and under the watchdog. It knows
nothing of LMs; ``repl`` puts the guest into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from .errors import KernelDied, KernelStartError, UsageError
from .watchdog import MARK, WATCHDOG, reap

ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP",
    "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "OMP_NUM_THREADS", "SSL_CERT_FILE",
    "SYSTEMROOT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""Variables an inner kernel is given, and ``LC_*``. Keys are in none of them."""
START_SECONDS = 60.0

OnMessage = Callable[[str, dict[str, Any]], None]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The inner kernel's environment: what is allowed of ours, and ``extra``."""
    kept = {k: v for k, v in os.environ.items() if k in ALLOWED or k.startswith("LC_")}
    return {**kept, "PYTHONHASHSEED": "0", **extra}


@dataclass(frozen=True)
class Executed:
    """What the kernel replied to one execute request, after its ``idle``."""

    ok: bool
    execution_count: int | None


class Kernel:
    """One live inner kernel. Made by ``open_kernel``; used on one event loop."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient, log: Path) -> None:
        self._manager = manager
        self._client = client
        self._log = log
        self._waiting: dict[str, tuple[asyncio.Future[dict[str, Any]], asyncio.Future[None]]] = {}
        self._listeners: dict[str, OnMessage] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._heard = asyncio.Event()
        self._died: asyncio.Task[int | None] | None = None

    @property
    def pid(self) -> int:
        """The kernel's process id on this machine."""
        return int(self._manager.provisioner.pid)  # type: ignore[union-attr]

    @property
    def alive(self) -> bool:
        return self._died is not None and not self._died.done()

    # life
    def _start_pumps(self) -> None:
        self._died = asyncio.ensure_future(self._manager.provisioner.wait())  # type: ignore[union-attr]
        self._tasks = [
            self._died,
            asyncio.ensure_future(self._pump_iopub()),
            asyncio.ensure_future(self._pump_shell()),
            asyncio.ensure_future(self._pump_control()),
        ]

    async def _ready(self) -> None:
        """Wait until the kernel answers and its iopub reaches us: a reply alone is not enough."""
        while not self._heard.is_set():
            await self._send(self._client.session.msg("kernel_info_request", {}))
            with contextlib.suppress(TimeoutError):
                await self._unless_dead(asyncio.wait_for(self._heard.wait(), 1.0))

    async def _unless_dead(self, waiting: Any) -> Any:
        """The result of ``waiting``; raises ``KernelDied`` if the kernel ends first."""
        assert self._died is not None
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait({task, self._died}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._death()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _death(self) -> KernelDied:
        assert self._died is not None
        code = self._died.result()
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        if code == -9:
            how += ", perhaps out of memory"
        return KernelDied(f"the kernel ended ({how})", exit_code=code)

    def log_tail(self) -> str:
        """The last of what the kernel process wrote outside of any cell."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return ""

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._client.stop_channels()
        await self._killed()
        await self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy(linger=0)

    async def _killed(self) -> None:
        """End the process and see it end soon: the manager's own wait looks every 0.1 s."""
        provisioner: Any = self._manager.provisioner
        await provisioner.kill()
        for _ in range(250):
            if provisioner.process is None or provisioner.process.poll() is not None:
                return
            await asyncio.sleep(0.002)

    # messages
    async def _pump_iopub(self) -> None:
        while True:
            message = await self._client.get_iopub_msg()
            self._heard.set()
            kind, parent = message["msg_type"], message["parent_header"].get("msg_id", "")
            if kind == "status":
                waiting = self._waiting.get(parent)
                idle = message["content"]["execution_state"] == "idle"
                if waiting and idle and not waiting[1].done():
                    waiting[1].set_result(None)
            elif (listener := self._listeners.get(parent)) is not None:
                listener(kind, message["content"])

    async def _pump_shell(self) -> None:
        while True:
            message = await self._client.get_shell_msg()
            waiting = self._waiting.get(message["parent_header"].get("msg_id", ""))
            if waiting and not waiting[0].done():
                waiting[0].set_result(message["content"])

    async def _pump_control(self) -> None:
        while True:
            await self._client.get_control_msg()  # replies nobody waits for

    async def _send(self, message: dict[str, Any]) -> None:
        # Not the channel's own send: it goes past the asyncio socket and takes the edge that tells
        # of a reply coming in at that moment, which then waits for ever (seen once in 300 starts).
        frames = self._client.session.serialize(message)
        await self._client.shell_channel.socket.send_multipart(frames)

    async def execute(
        self,
        source: str,
        *,
        on_message: OnMessage | None = None,
        metadata: dict[str, Any] | None = None,
        silent: bool = False,
    ) -> Executed:
        """Run a cell to its end: reply and ``idle``, so that all of its output has come.

        ``on_message`` gets the type and content of each iopub message that the cell caused.
        ``silent`` cells leave no history and trigger no hooks of the guest. Cells get no stdin.
        Raises ``KernelDied``.
        """
        content = {
            "code": source,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[dict[str, Any]] = loop.create_future()
        idle: asyncio.Future[None] = loop.create_future()
        identity = message["header"]["msg_id"]
        self._waiting[identity] = reply, idle
        if on_message is not None:
            self._listeners[identity] = on_message
        try:
            await self._send(message)
            got, _ = await self._unless_dead(asyncio.gather(reply, idle))
        finally:
            del self._waiting[identity]
            self._listeners.pop(identity, None)
        return Executed(got["status"] == "ok", got.get("execution_count"))

    async def interrupt(self) -> None:
        """Stop the running cell; keep the kernel and its names.

        Not promised: C code that never returns to Python does not stop, nor does a cell that
        swallows ``KeyboardInterrupt``; the caller then opens a new kernel.
        """
        with contextlib.suppress(ProcessLookupError, RuntimeError):
            await self._manager.interrupt_kernel()


def _manager(folder: Path, kernel_name: str) -> AsyncKernelManager:
    check_kernelspec(kernel_name)
    manager = AsyncKernelManager(
        kernel_name=kernel_name, connection_file=str(folder / "k.json"), shutdown_wait_time=0.5
    )
    if sys.platform != "win32":
        manager.transport = "ipc"
        manager.ip = str(folder / "k")
    return manager


def check_kernelspec(name: str) -> None:
    """Raises ``UsageError``, with the names there are, for one that is not installed."""
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        raise UsageError(
            f"there is no kernelspec {name!r} for the inner kernel; there are: {known}"
        ) from None


async def _start(manager: AsyncKernelManager, **options: Any) -> None:
    """Start the kernel's process; cancelled in the middle, it is ended again.

    Raises ``KernelStartError`` where the kernelspec's command cannot be run.
    """
    starting = asyncio.ensure_future(manager.start_kernel(**options))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if starting.exception() is None:
            await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)
        raise
    except OSError as error:
        manager.context.destroy(linger=0)
        raise KernelStartError(
            f"the inner kernel {manager.kernel_name!r} did not start: {error}"
        ) from error


@asynccontextmanager
async def open_kernel(
    cwd: Path, *, kernel_name: str = "python3", env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Kernel, Path]]:
    """A running kernel and its private folder, both gone with all they started afterwards.

    Raises ``KernelStartError`` with the end of the kernel's log, or ``UsageError`` for an unknown
    kernelspec.
    """
    # Short: socket paths end at 108 bytes.
    folder = Path(tempfile.gettempdir(), f"rlm-{secrets.token_hex(4)}")
    mark = secrets.token_hex(8)
    pgid = None
    WATCHDOG.watch(pgid, mark, str(folder))  # before anything is there that could be left
    try:
        folder.mkdir(mode=0o700)
        manager = _manager(folder, kernel_name)
        log = folder / "kernel.log"
        with log.open("wb") as sink:
            await _start(
                manager,
                cwd=str(cwd),
                env=environment({**(env or {}), MARK: mark}),
                stdout=sink,
                stderr=sink,
                extra_arguments=["--HistoryManager.hist_file=:memory:"],
            )
        pgid = manager.provisioner.pgid or manager.provisioner.pid  # type: ignore[union-attr]
        WATCHDOG.watch(pgid, mark, str(folder))
        client = manager.client()
        client.start_channels(hb=False)
        kernel = Kernel(manager, client, log)
        kernel._start_pumps()
        try:
            try:
                async with asyncio.timeout(START_SECONDS):
                    await kernel._ready()
            except (TimeoutError, KernelDied) as error:
                why = str(error) or f"no answer in {START_SECONDS:g} s"
                raise KernelStartError(
                    f"the inner kernel {kernel_name!r} did not start: {why}\n{kernel.log_tail()}"
                ) from error
            yield kernel, folder
        finally:
            await asyncio.shield(kernel._close())
    finally:
        await asyncio.shield(asyncio.to_thread(reap, pgid, mark))
        WATCHDOG.forget(mark)
        shutil.rmtree(folder, ignore_errors=True)
