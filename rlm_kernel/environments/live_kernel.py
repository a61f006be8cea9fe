"""A live kernel with its surroundings: how files and calls get there and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..settings.limits import Rate
from .kernel import Kernel


@dataclass(frozen=True)
class BrokerAddress:
    """The broker's address for the guest: a socket's path, or host and port; and its token."""

    where: str | tuple[str, int]
    token: str


class LiveKernel(Protocol):
    """A kernel that answers, in whatever environment. Paths that are returned are for its code."""

    kernel: Kernel
    folder: Path
    """Private, on this machine."""
    sandbox_name: str
    """The sandbox's name, by which a further kernel joins it; empty where there is none."""
    copies: bool
    """True where what is ``put`` is a copy, which the kernel may remove once it is read."""
    rate: Rate
    """Its price for each second."""

    async def put(self, name: str, source: Path | bytes) -> str:
        """Make bytes or a file readable for it; return the path. Raises ``ContextError``."""
        ...

    async def put_files(self, name: str, folder: Path, files: Sequence[str]) -> str:
        """Make these files of a folder readable for it; return the folder's path. Raises
        ``ContextError``."""
        ...

    async def copy(self, name: str, folder: Path) -> str:
        """Make a folder readable for it under this very name; return the path."""
        ...

    @property
    def most_forks(self) -> int:
        """Return how many frozen forks of itself it may have at a time, which wake as kernels; 0
        where there can be none."""
        ...

    def fork_path(self, name: str) -> str:
        """Return where a frozen fork of this name waits, for its code."""
        ...

    async def ask_fork(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the frozen fork of this name answers. Raises ``OSError`` and ``ValueError``
        where that is not to be had."""
        ...

    def wake_folder(self) -> Path:
        """Make the private folder of a fork that is about to wake, on this machine."""
        ...

    def wake(
        self, name: str, folder: Path, address: BrokerAddress, keep: Collection[int] | None
    ) -> AbstractAsyncContextManager[LiveKernel]:
        """Have the frozen fork of this name wake in the place of the kernel that runs, with its
        sockets in ``folder`` and its broker at this address. All other processes below the
        kernel's parent end, but for those to ``keep``; where that is None none ends, and there are
        two kernels beside one another. Raises ``KernelStartError``: nothing is
        promised of the kernel then."""
        ...

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        """Return the broker's address as code in the kernel finds it."""
        ...
