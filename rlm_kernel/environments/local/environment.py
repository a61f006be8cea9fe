"""The environment ``local``: this machine, with the user's rights."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any

from ...record import files
from ..kernel_config import KernelConfig
from ..live_kernel import LiveKernel
from .kernel import LocalKernel, check_kernelspec, open_kernel


class LocalEnvironment:
    """See ``Environment``. A watchdog ends what a killed process leaves."""

    name = "local"
    options: Set[str] = frozenset()
    billed: Set[str] = frozenset()
    branches = True
    leavings = ""

    def describe(self, sandbox: Mapping[str, Any]) -> str:
        rights = "your rights" if os.geteuid() else "all rights: you are root"
        return f"on this machine, with {rights}"

    def check(self, config: KernelConfig) -> None:
        check_kernelspec(config.kernel_name)

    @asynccontextmanager
    async def open(self, config: KernelConfig) -> AsyncIterator[LiveKernel]:
        files.make_folder(config.cwd)  # a cell may have removed it before it died
        opened = open_kernel(
            config.cwd,
            kernel_name=config.kernel_name,
            env=config.env,
            history=config.history,
            nursery=config.nursery,
        )
        async with opened as (kernel, place):
            yield LocalKernel(kernel, place.folder, place)

    def strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return []

    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return []
