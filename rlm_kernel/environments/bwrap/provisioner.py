"""The kernel provisioner ``rlm-bwrap``: a kernel in namespaces of its own on this machine."""

from __future__ import annotations

import asyncio

from traitlets import Unicode

from ...remote import bootstrap
from ...settings.rules import size
from ...settings.values import Settings
from ..pipe.pipe import Pipe
from ..pipe.programs import command
from ..pipe.sandboxed import SandboxProvisioner
from .command import BwrapSpec
from .sandbox import BwrapSandbox


class BwrapProvisioner(SandboxProvisioner):
    """For any Jupyter client, from a kernelspec whose ``kernel_provisioner`` names it. The kernel
    has the Python and the packages of this process."""

    tmpfs = Unicode(
        Settings.tmpfs,
        config=True,
        help="Size of /work, of /tmp and of /dev/shm; what lies there is in memory.",
    )
    vendor = "bwrap"
    sandbox: BwrapSandbox | None = None

    async def open_pipe(self) -> Pipe:
        self.sandbox = BwrapSandbox(self.spec())
        return await asyncio.to_thread(self.sandbox.open, command(bootstrap))

    def _with_limit(self, said: str) -> str:
        if self.sandbox is not None and self.sandbox.out_of_memory:
            said = said.replace("(signal 9)", "(signal 9, out of memory)")
        return super()._with_limit(said)

    def spec(self) -> BwrapSpec:
        """Return the sandbox's. Raises ``UsageError`` for what is no size."""
        return BwrapSpec(
            network=self.network,
            memory=size(self.memory, "memory"),
            pids=self.pids,
            tmpfs=size(self.tmpfs, "tmpfs"),
            mounts=self.mounts,
        )
