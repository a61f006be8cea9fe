"""A kernel in a sandbox that a provisioner of ours makes.

A sandbox shares no files with this machine: what the kernel is to read is carried there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import itertools
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from ...errors import ContextError, KernelStartError
from ..frozen import WAKE_SECONDS
from ..kernel import Kernel
from ..launch import NO_HISTORY, UNREAD, launched
from ..live_kernel import BrokerAddress
from ..local.folders import private_folder
from .sandboxed import SandboxProvisioner
from .transfer import Files, files_of
from .waking import Forks, WokenProvisioner

PIDS_A_FORK = 16
"""So many processes and threads of the sandbox's limit there are for each frozen fork: most are for
what cells start, and for the kernels of children."""
MAX_MESSAGE = 1 << 24
"""Bytes of one message from a sandbox; a note takes the place of a larger one."""


class SandboxKernel:
    """See ``LiveKernel``. All goes through the carrier of the kernel's provisioner."""

    copies = True

    def __init__(self, kernel: Kernel, folder: Path, place: Place) -> None:
        self.kernel = kernel
        self.folder = folder
        self.sandbox_name = place.forks.root.sandbox_name
        self.rate = place.forks.root.rate
        self._place = place
        self._carrier = place.forks.carrier
        self._tmpfs = place.sandbox.get("tmpfs")

    async def put(self, name: str, source: Path | bytes) -> str:
        return await self._carry(self._carrier.put, name, source)

    async def put_files(self, name: str, folder: Path, files: Sequence[str]) -> str:
        named: Files = [(file, folder / file) for file in files]
        return await self._carry(self._carrier.put_tree, name, named)

    async def copy(self, name: str, folder: Path) -> str:
        return await self._carry(self._carrier.put_tree, name, files_of(folder))

    async def _carry(self, put: Callable[..., str], name: str, source: Path | bytes | Files) -> str:
        try:
            return await asyncio.to_thread(put, name, source)
        except ContextError as error:
            if self._tmpfs is None or os.strerror(errno.ENOSPC) not in str(error):
                raise
            raise ContextError(
                f"{error}; there is room for {self._tmpfs} in the sandbox: the setting `tmpfs`"
            ) from error

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        return dataclasses.replace(address, where=self._carrier.serve_broker(str(address.where)))

    # its frozen forks
    @property
    def most_forks(self) -> int:
        return int(self._place.forks.root.pids) // PIDS_A_FORK

    def fork_path(self, name: str) -> str:
        return str(self._place.forks.carrier.folder / name)

    async def ask_fork(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self._place.forks.ask, name, order)

    def wake_folder(self) -> Path:
        folder = self._place.folder / f"w{next(self._place.woken)}"
        folder.mkdir(mode=0o700)
        return folder

    @asynccontextmanager
    async def wake(
        self, name: str, folder: Path, address: BrokerAddress, keep: Collection[int] | None
    ) -> AsyncIterator[SandboxKernel]:
        if keep is None:
            raise KernelStartError("a sandbox has one kernel of a run's node, and none beside it")
        manager = _SandboxManager()
        manager.spec = self._place.spec
        waking = WokenProvisioner(kernel_spec=manager.spec, parent=manager)
        waking.forks, waking.fork = self._place.forks, name
        waking.keep, waking.broker = keep, address
        manager.provisioner = waking
        what = f"the frozen kernel in {self._place.forks.root.vendor}"
        async with launched(manager, folder, what, seconds=WAKE_SECONDS) as kernel:
            yield SandboxKernel(kernel, folder, self._place)


class _SandboxManager(AsyncKernelManager):
    """A manager whose kernelspec is written here and not installed."""

    spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec


@dataclass(frozen=True)
class Place:
    """Has what a kernel shares with those that its frozen forks become: the private folder on this
    machine, the options of the sandbox, its spec."""

    folder: Path
    forks: Forks
    sandbox: Mapping[str, Any]
    spec: KernelSpec
    woken: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@asynccontextmanager
async def open_sandbox(
    provisioner: type[SandboxProvisioner],
    sandbox: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[SandboxKernel]:
    """Give a running kernel in a sandbox, gone with it afterwards. ``sandbox`` are traits of the
    provisioner.

    Raises ``KernelStartError``, and ``UsageError`` where the settings or the engine are at fault.
    """
    what = f"the inner kernel in {provisioner.vendor}"
    ours = {"PYTHONHASHSEED": "0", "IPYTHONDIR": "/tmp/ipython"}
    given = {**sandbox, "env": {**ours, **(env or {})}}
    async with private_folder() as (folder, _):
        manager = _SandboxManager()
        manager.spec = KernelSpec(
            argv=["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}", NO_HISTORY],
            display_name=what,
            language="python",
            interrupt_mode="message",
        )
        bounds = {"max_message": MAX_MESSAGE, "unread": UNREAD}
        manager.provisioner = provisioner(
            kernel_spec=manager.spec, parent=manager, **{**bounds, **given}
        )
        async with launched(manager, folder, what, patient=False) as kernel:
            place = Place(folder, Forks(kernel.provisioner), sandbox, manager.spec)
            yield SandboxKernel(kernel, folder, place)
