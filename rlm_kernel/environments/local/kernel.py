"""A kernel in a process of this machine, through any installed kernelspec.

It is started through jupyter_client with ipc sockets in a short private folder of its own, in its
own process group, with an environment that is an allow-list, as the child of a watchdog. It knows
nothing of LMs; ``repl`` puts the guest into it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from ...errors import UsageError
from ...settings.limits import Rate
from ..frozen import ANSWER_SECONDS, WAKE_SECONDS, ask, woken_pid
from ..kernel import Kernel
from ..launch import LOG, NO_HISTORY, launched
from ..live_kernel import BrokerAddress
from .folders import private_folder
from .nursery import Kind, kind_of, nurseries
from .watchdog import Watchdog

ALLOWED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP",
    "TMP", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "OMP_NUM_THREADS", "SSL_CERT_FILE",
    "SYSTEMROOT", "WINDIR", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "JPY_SESSION_NAME",
    "CUDA_VISIBLE_DEVICES", "PYTHONWARNINGS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
)  # fmt: skip
"""Variables that a kernel is given, and ``LC_*``. Keys are in none of them."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Given too, in small letters as well, but for one that holds a login."""


MOST_FORKS = 1000
"""Processes that one kernel may leave waiting."""


def variables(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a kernel's environment variables: what is allowed of ours, and ``extra``."""
    kept = {name: value for name, value in os.environ.items() if _is_allowed(name, value)}
    return {**kept, "PYTHONHASHSEED": "0", **extra}


def _is_allowed(name: str, value: str) -> bool:
    if name.upper() in PROXIES:
        return "@" not in value
    return name in ALLOWED or name.startswith("LC_")


@dataclass(frozen=True)
class Place:
    """Has what a kernel shares with those that its frozen forks become: the private folder
    that goes with all of them, and its watchdog. ``forks`` says that there can be forks."""

    folder: Path
    watchdog: Watchdog
    forks: bool
    woken: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class LocalKernel:
    """See ``LiveKernel``. The kernel reads what we read."""

    sandbox_name = ""
    copies = False
    rate = Rate()

    def __init__(self, kernel: Kernel, folder: Path, place: Place) -> None:
        self.kernel = kernel
        self.folder = folder
        self._place = place

    async def put(self, name: str, source: Path | bytes) -> str:
        if isinstance(source, Path):
            return str(source)
        path = self.folder / name
        path.write_bytes(source)
        return str(path)

    async def put_files(self, name: str, folder: Path, files: Sequence[str]) -> str:
        return str(folder)

    async def copy(self, name: str, folder: Path) -> str:
        path = self.folder / name
        path.symlink_to(folder, target_is_directory=True)  # with what is compiled of it
        return str(path)

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        return address

    # its frozen forks
    @property
    def most_forks(self) -> int:
        return MOST_FORKS if self._place.forks else 0

    def fork_path(self, name: str) -> str:
        return str(self._place.folder / name)

    async def ask_fork(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(ask_fork, self._place.folder / name, order)

    def wake_folder(self) -> Path:
        folder = self._place.folder / f"w{next(self._place.woken)}"
        folder.mkdir(mode=0o700)
        return folder

    @asynccontextmanager
    async def wake(
        self, name: str, folder: Path, address: BrokerAddress, keep: Collection[int] | None
    ) -> AsyncIterator[LocalKernel]:
        manager = AsyncKernelManager(kernel_name=self.kernel.provisioner.parent.kernel_name)
        waking = _WakingProvisioner(kernel_spec=manager.kernel_spec, parent=manager)
        waking.watchdog = self._place.watchdog
        waking.log_file = folder / LOG
        waking.fork, waking.keep = self._place.folder / name, keep
        waking.broker = {"address": address.where, "token": address.token}
        manager.provisioner = waking
        async with launched(manager, folder, "the frozen kernel", seconds=WAKE_SECONDS) as kernel:
            yield LocalKernel(kernel, folder, self._place)


class _WatchedProvisioner(LocalProvisioner):
    """Starts the kernel as a child of its watchdog."""

    watchdog: Watchdog
    log_file: Path
    kind: Kind | None = None
    """The nursery's, as far as it could be told from the kernelspec."""
    process: Any

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        argv, env = [os.path.expanduser(word) for word in cmd], options["env"]
        start = partial(self.watchdog.start, may_fork=kind_of(argv, env) == self.kind)
        self.process = await asyncio.to_thread(start, argv, env, options.get("cwd"), self.log_file)
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


class _WakingProvisioner(_WatchedProvisioner):
    """Wakes a frozen fork instead: it becomes the kernel, and a child of the same watchdog."""

    fork: Path
    keep: Collection[int] | None = ()
    broker: Mapping[str, Any]

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        assert self.parent is not None
        order = {
            "do": "wake",
            "connection_file": self.parent.connection_file,
            "log": str(self.log_file),
            "beside": self.keep is None,
            **self.broker,
        }
        pid = woken_pid(await asyncio.to_thread(ask_fork, self.fork, order))
        keep = None if self.keep is None else list(self.keep)
        adopt = partial(self.watchdog.adopt, pid, keep)
        self.process = await asyncio.to_thread(adopt)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


def ask_fork(path: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of the frozen fork that waits there, as ``frozen.ask`` does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ANSWER_SECONDS)
        sock.connect(str(path))
        return ask(sock, order)


def check_kernelspec(name: str) -> None:
    """Raise ``UsageError``, with the names there are, for one that is not installed."""
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        raise UsageError(
            f"there is no kernelspec {name!r} for the inner kernel; there are: {known}"
        ) from None


def _starts_here(spec: KernelSpec) -> bool:
    """Return whether no provisioner of its own starts such a kernel."""
    return "kernel_provisioner" not in spec.metadata


def _kind(spec: KernelSpec, env: Mapping[str, str]) -> Kind | None:
    """Return which nursery can fork such a kernel."""
    if not _starts_here(spec):
        return None
    own = {name: Template(value).safe_substitute(env) for name, value in spec.env.items()}
    return kind_of(spec.argv, {**env, **own})


@asynccontextmanager
async def open_kernel(
    cwd: Path,
    *,
    kernel_name: str = "python3",
    env: Mapping[str, str] | None = None,
    history: bool = False,
    nursery: bool = True,
) -> AsyncIterator[tuple[Kernel, Place]]:
    """Give a running kernel and its private place, both gone with all they started afterwards.

    With ``history`` its cells go into the user's IPython history, as from any notebook. With
    ``nursery`` it is forked where that can be.
    Raises ``KernelStartError`` with the end of the kernel's log, or ``UsageError`` for an unknown
    kernelspec.
    """
    check_kernelspec(kernel_name)
    manager = AsyncKernelManager(kernel_name=kernel_name)
    spec = manager.kernel_spec
    assert spec is not None
    given = variables(env or {})
    kind = _kind(spec, given) if nursery else None
    start = partial(nurseries().watchdog, kind=kind, env=variables({}))
    async with private_folder(start) as (folder, watchdog):
        if _starts_here(spec):
            ours = _WatchedProvisioner(kernel_spec=spec, parent=manager)
            ours.watchdog, ours.log_file, ours.kind = watchdog, folder / LOG, kind
            manager.provisioner = ours
        running = launched(
            manager,
            folder,
            f"the inner kernel {kernel_name!r}",
            cwd=str(cwd),
            env=given,
            extra_arguments=[] if history else [NO_HISTORY],
        )
        forks = _starts_here(spec) and sys.platform == "linux"
        async with running as kernel:
            yield kernel, Place(folder, watchdog, forks)
