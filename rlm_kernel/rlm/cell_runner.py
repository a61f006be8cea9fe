"""The REPL as the loop sees it: it is given a context and runs a node's cells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ..events import ContextInfo
from ..inputs.contexts import Source
from ..repl.execution import RunsCells
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Calls
from ..settings.limits import CellLimits, Rate


class CellRunner(RunsCells, Protocol):
    """``repl.Repl`` and ``testing.FakeRepl``, as far as the loop uses them; see there."""

    calls: Calls
    held: CellLimits

    @property
    def names(self) -> list[str]: ...

    @property
    def variables(self) -> list[str]: ...

    @property
    def sandbox(self) -> str: ...

    async def set_context(self, source: Source) -> ContextInfo: ...

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]: ...

    async def seed(self, number: int | None) -> None: ...

    async def restart(self) -> None: ...

    async def revive(self, *, context: bool = True) -> str | None: ...

    def unpaid(self) -> tuple[float, Rate]: ...


OpenRunner = Callable[[Calls, KernelSetup], AbstractAsyncContextManager[CellRunner]]
"""Opens one for a node, with no context yet; ``repl.open_repl`` is one."""
