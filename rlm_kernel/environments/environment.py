"""The seam between all that runs kernels and the environments that they run in."""

from __future__ import annotations

from collections.abc import Mapping, Set
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .kernel_config import KernelConfig
from .live_kernel import LiveKernel


class Environment(Protocol):
    """A kind of place in which kernels run. ``registry`` lists one of each.

    ``sandbox`` stands for ``KernelConfig.sandbox``: the options of a sandbox by name. What blocks
    raises ``UsageError`` with what to do where the environment cannot be used, and
    ``KernelStartError`` where whoever runs it does not answer.
    """

    @property
    def name(self) -> str:
        """As the setting ``environment`` has it."""
        ...

    @property
    def options(self) -> Set[str]:
        """Names of what ``sandbox`` may hold; others are left out. Empty where there is none."""
        ...

    @property
    def billed(self) -> Set[str]:
        """Those of the options that cost more the more is asked for."""
        ...

    @property
    def branches(self) -> bool:
        """True where forks of one kernel can be those of several runs. A sandbox is one run's: its
        memory, its processes and its user are the bounds of that run."""
        ...

    @property
    def leavings(self) -> str:
        """Return, in the plural, what a killed process may leave; empty for nothing."""
        ...

    def describe(self, sandbox: Mapping[str, Any]) -> str:
        """Return where code runs, for a person who is about to let it run."""
        ...

    def check(self, config: KernelConfig) -> None:
        """Raise where no kernel can be had. Blocks."""
        ...

    def open(self, config: KernelConfig) -> AbstractAsyncContextManager[LiveKernel]:
        """Start a kernel and wait until it answers; it is gone, with all around it, afterwards.

        Raises ``KernelStartError`` and ``UsageError``.
        """
        ...

    def strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        """Return what is left of processes of this machine that are gone, each in words. Blocks."""
        ...

    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        """Remove it; return what was there. Blocks."""
        ...
