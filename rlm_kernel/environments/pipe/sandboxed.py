"""A kernel provisioner for a sandbox that some vendor makes: what is the same for all of them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any, ClassVar, Protocol

from jupyter_client.connect import KernelConnectionInfo
from traitlets import Dict, Enum, Int, List, Unicode

from ...errors import KernelStartError, UsageError
from ...remote.reaper import REAPERS
from ..docker import images
from .provisioner import BOOTSTRAP, RelayProvisioner

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
    """A subclass makes a ``Sandbox`` in ``open_pipe`` and says by whom its sandboxes are reaped."""

    packages: List[str] = List(
        Unicode(), config=True, help="What pip installs besides, when the image is built."
    )
    network = Enum(
        ("none", "bridge"),
        default_value="none",
        config=True,
        help="'bridge' gives code in the sandbox a way out: to the internet, and from a container"
        " to whatever this machine reaches.",
    )
    memory = Unicode("2g", config=True, help="Limit of memory; no swap is added.")
    pids = Int(1024, config=True, help="Limit of processes and threads.")
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
    """Its name in ``REAPERS``."""
    clean_up: ClassVar[str]
    """The command that removes what is left."""
    place: Sandbox | None = None
    _program = BOOTSTRAP
    _last_words = ""

    @property
    @abstractmethod
    def _selector(self) -> str:
        """For the reaper: all sandboxes of this process."""

    def _watch(self) -> None:
        """Have them removed if this process cannot."""
        REAPERS[self.vendor].watch(self._selector)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """As the base's; the error has what the sandbox wrote last. Raises ``UsageError`` where
        the image is at fault."""
        self._program = images.GUARD + BOOTSTRAP if "ipykernel" in str(cmd) else BOOTSTRAP
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

    def _with_limit(self, said: str) -> str:
        """Add which limit of the sandbox it was, where what was said shows one."""
        if "out of memory" in said:
            return f"{said}\nThe sandbox's limit of memory is {self.memory} (`memory`)."
        if NO_MORE_THREADS in said:
            return f"{said}\nThe sandbox's limit of processes and threads is {self.pids} (`pids`)."
        return said

    def _fault(self) -> str:
        """What is wrong with the image; empty where nothing is known to be."""
        return ""

    async def close_place(self) -> None:
        place, self.place = self.place, None
        if place is None:
            return
        self._last_words = place.last_words()
        try:
            await asyncio.to_thread(place.close)
            if not self.join:
                REAPERS[self.vendor].gone(self._selector)
        except (KernelStartError, UsageError) as error:
            # Its pipe is closed: it ends alone, or with whoever runs it.
            self.log.warning("%s; `%s` removes what is left", error, self.clean_up)

    @property
    def sandbox(self) -> str:
        return self.place.name if self.place is not None else ""

    async def reason(self) -> str:
        if self.carrier is None or self.place is None or not self.carrier.exited.done():
            return ""
        said = self.carrier.reason
        if self.place.pipe is not None and self.place.pipe.reason:
            return str(self.place.pipe.reason)
        return self._with_limit(said)
