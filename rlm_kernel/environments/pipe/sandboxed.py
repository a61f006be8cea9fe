"""A kernel provisioner for a sandbox, whoever makes it: what is the same for all of them."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Protocol

from jupyter_client.connect import KernelConnectionInfo
from traitlets import Dict, Enum, Int, Unicode

from ...errors import KernelStartError, UsageError
from ...settings.values import CHOICES, Settings
from .carrier import PipedKernel
from .provisioner import RelayProvisioner, preamble

NO_MORE_THREADS = "Resource temporarily unavailable"
"""Linux's words for a process or a thread over the limit (EAGAIN of ``clone``)."""


class Sandbox(Protocol):
    """A sandbox to be, and later the sandbox."""

    pipe: Any

    @property
    def name(self) -> str: ...

    def last_words(self) -> str: ...

    def close(self) -> None: ...


class SandboxProvisioner(RelayProvisioner):
    """A subclass makes a ``Sandbox`` in ``open_pipe``.

    What ``Settings`` has too has the same default there and here.
    """

    network = Enum(
        CHOICES["network"],
        default_value=Settings.network,
        config=True,
        help="'bridge' gives code in the sandbox a way out: to the internet, and from a container"
        " to whatever this machine reaches.",
    )
    memory = Unicode(Settings.memory, config=True, help="Limit of memory; no swap is added.")
    pids = Int(Settings.pids, config=True, help="Limit of processes and threads.")
    mounts: Dict[str, str] = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        config=True,
        help="Folders or files here to paths inside; they are read-only, or copies.",
    )

    vendor: ClassVar[str]
    """The environment's name."""
    sandbox: Sandbox | None = None
    _needed: tuple[str, ...] = ()
    _last_words = ""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it as the base does; the error has what the sandbox wrote last. Raises
        ``UsageError`` where the image is at fault."""
        self._needed = ("ipykernel",) if "ipykernel" in str(cmd) else ()
        try:
            return await super().launch_kernel(cmd, **kwargs)
        except (KernelStartError, UsageError) as error:
            if fault := await asyncio.to_thread(self._fault):
                raise UsageError(f"{fault} ({error})") from error
            if self._last_words:
                said = self._with_limit(f"{error}; it wrote:\n{self._last_words}")
                raise type(error)(said) from error
            error.args = (self._with_limit(str(error)),)
            raise

    def preamble(self) -> bytes:
        return preamble(self._needed)

    def _with_limit(self, said: str) -> str:
        """Add which limit of the sandbox it was, where what was said shows one."""
        if "out of memory" in said:
            return f"{said}\nThe sandbox's limit of memory is {self.memory} (`memory`)."
        if NO_MORE_THREADS in said:
            return f"{said}\nThe sandbox's limit of processes and threads is {self.pids} (`pids`)."
        return said

    def _fault(self) -> str:
        """Return what is wrong with the image; empty where nothing is known to be. Blocks."""
        return ""

    async def close_sandbox(self) -> None:
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is None:
            return
        self._last_words = sandbox.last_words()
        await self._remove(sandbox)

    async def _remove(self, sandbox: Sandbox) -> None:
        await asyncio.to_thread(sandbox.close)

    @property
    def sandbox_name(self) -> str:
        return self.sandbox.name if self.sandbox is not None else ""

    async def reason(self) -> str:
        return "" if self.carrier is None else await self.reason_of(self.carrier)

    async def reason_of(self, kernel: PipedKernel) -> str:
        """Return why a kernel in the sandbox is gone, as ``reason`` does."""
        if self.sandbox is None or not kernel.exited.done():
            return ""
        said = kernel.reason
        if self.sandbox.pipe is not None and self.sandbox.pipe.reason:
            return str(self.sandbox.pipe.reason)
        return self._with_limit(said)
