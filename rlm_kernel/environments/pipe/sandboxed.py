"""A kernel provisioner for a sandbox that some vendor makes: what is the same for all of them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, ClassVar, Protocol

from jupyter_client.connect import KernelConnectionInfo
from traitlets import Dict, Enum, Int, List, Unicode

from ...errors import KernelStartError, UsageError
from ...settings.values import CHOICES, Settings
from .carrier import PipedKernel
from .provisioner import RelayProvisioner, preamble
from .reaper import Reaper

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
    """A subclass makes a ``Sandbox`` in ``open_pipe`` and says by whom its sandboxes are reaped.

    What ``Settings`` has too has the same default there and here.
    """

    packages: List[str] = List(
        Unicode(), config=True, help="What pip installs besides, when the image is built."
    )
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
    labels: Dict[str, str] = Dict(
        key_trait=Unicode(), value_trait=Unicode(), config=True, help="More labels, or tags."
    )
    join = Unicode(
        "",
        config=True,
        help="Name of a sandbox of ours that runs: start in it, with its image and limits. That is"
        " quicker; the kernels in it can reach each other, and end together.",
    )

    vendor: ClassVar[str]
    """The environment's name."""
    reaper: ClassVar[Reaper]
    sandbox: Sandbox | None = None
    _needed: tuple[str, ...] = ()
    _last_words = ""

    @property
    @abstractmethod
    def _selector(self) -> str:
        """Return the label or tag of all sandboxes of this process, for the reaper."""

    def _watch(self) -> None:
        """Have them removed if this process cannot."""
        self.reaper.watch(self._selector)

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
        try:
            await asyncio.to_thread(sandbox.close)
            if not self.join:
                self.reaper.gone(self._selector)
        except (KernelStartError, UsageError) as error:
            # Its pipe is closed: it ends alone, or with whoever runs it.
            self.log.warning("%s; `rlm clean --env %s` removes what is left", error, self.vendor)

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
