"""A live kernel with its surroundings: how files and calls get there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        """Return the broker's address as code in the kernel finds it."""
        ...
