"""A REPL that begins where another one's kernel was, beside that one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from ..endings import to_the_end
from ..events import ContextInfo
from ..inputs.contexts import Source
from ..settings.limits import CellLimits
from .guest_client import KernelSetup
from .protocol import Calls
from .repl import Repl
from .snapshots import Snapshot

R = TypeVar("R", bound=Repl)


class Branch(Repl):
    """Its kernel has its context and its seed: ``given`` is what they said of the context when it
    was given."""

    def __init__(self, calls: Calls, setup: KernelSetup, given: ContextInfo) -> None:
        super().__init__(calls, setup, CellLimits())
        self.given = given

    async def set_context(self, source: Source) -> ContextInfo:
        """Return what the kernel has."""
        return self.given

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """Return what the kernel has."""
        return self.given, None

    async def seed(self, number: int | None) -> None:
        """Leave the generators where they are."""


@asynccontextmanager
async def open_beside(base: Repl, snapshot: Snapshot, repl: R) -> AsyncIterator[R]:
    """Open a REPL whose kernel is that of another one as it was at a snapshot, beside that, and
    works in the folder of its own setup. Raises ``KernelDied`` and ``KernelStartError``."""
    try:
        await repl.open_beside(base, snapshot)
        yield repl
    finally:
        await to_the_end(repl.close())
