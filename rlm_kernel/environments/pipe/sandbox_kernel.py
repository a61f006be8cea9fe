"""A kernel in a sandbox that a provisioner of ours makes.

A sandbox shares no files with this machine: what the kernel is to read is carried there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from ...errors import ContextError
from ..kernel import Kernel
from ..launch import NO_HISTORY, UNREAD, launched
from ..live_kernel import BrokerAddress
from ..local.folders import private_folder
from .sandboxed import SandboxProvisioner
from .transfer import Files, files_of

MAX_MESSAGE = 1 << 24
"""Bytes of one message from a sandbox; a note takes the place of a larger one."""


class SandboxKernel:
    """See ``LiveKernel``. All goes through the carrier of the kernel's provisioner."""

    copies = True

    def __init__(self, kernel: Kernel, folder: Path, sandbox: Mapping[str, Any]) -> None:
        self.kernel = kernel
        self.folder = folder
        self.sandbox_name = kernel.provisioner.sandbox_name
        self.rate = kernel.provisioner.rate
        self._carrier = kernel.provisioner.carrier
        self._tmpfs = sandbox.get("tmpfs")

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


class _SandboxManager(AsyncKernelManager):
    """A manager whose kernelspec is written here and not installed."""

    spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec


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
            yield SandboxKernel(kernel, folder, sandbox)
