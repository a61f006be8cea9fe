"""Where an inner kernel runs: the kernel, and how files and calls get there and back.

A sandbox shares no files with this machine: what the kernel is to read is carried there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..endings import in_daemon_thread, within
from ..errors import ContextError, KernelStartError
from ..record import files
from ..settings.limits import Rate
from ..settings.resolved import Resolved
from .kernels import Kernel, check_kernelspec, open_kernel, open_sandbox
from .registry import VENDORS

CHECK_SECONDS = 20.0
"""Modal's SDK alone would try for a minute to reach a service that is not there."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where the guest finds the broker: a socket's path, or host and port; and its token."""

    where: str | tuple[str, int]
    token: str


@dataclass(frozen=True)
class KernelConfig:
    """Which place: the environment, and the settings of its provisioner. The kernelspec and the
    working folder are for ``local``; with ``history`` cells go into the user's IPython history."""

    cwd: Path
    environment: str = "local"
    kernel_name: str = "python3"
    env: dict[str, str] = field(default_factory=dict)
    history: bool = False
    sandbox: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kernels:
    """How inner kernels are made: environment and the settings of its sandbox, kernelspec, further
    environment variables, working folder (None: a folder of each node's own in the run folder),
    and whether children share the root's sandbox."""

    environment: str = "local"
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    kernel_name: str = "python3"
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    shared: bool = False

    def spot(self, cwd: Path, *, history: bool = False) -> KernelConfig:
        """Where one kernel runs; ``cwd`` is for the environment ``local``."""
        return KernelConfig(
            cwd, self.environment, self.kernel_name, self.env, history, self.sandbox
        )


def kernels_of(force: Resolved) -> Kernels:
    """How the settings want inner kernels made, with what they pass on of our environment."""
    settings = force.settings
    passed = {name: os.environ[name] for name in settings.pass_env if name in os.environ}
    return Kernels(
        settings.environment,
        settings.sandbox,
        settings.kernel,
        passed,
        shared=settings.children == "shared",
    )


class LiveKernel(Protocol):
    """A live kernel and its surroundings. Paths that are returned are for code in the kernel."""

    kernel: Kernel
    folder: Path
    """Private, on this machine."""
    sandbox: str
    """What a further kernel names to join this one's sandbox; empty where there is none."""
    carries: bool
    """Whether what is ``put`` there is a copy, which the kernel may remove once it is read."""
    rate: Rate
    """What it costs."""

    async def put(self, name: str, source: Path | bytes) -> str:
        """Make bytes, a file or a folder readable there. Raises ``ContextError``."""
        ...

    async def copy(self, name: str, folder: Path) -> str:
        """Make a folder readable there under this very name."""
        ...

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        """The broker's address as code in the kernel finds it."""
        ...


class LocalKernel:
    """This machine: the kernel reads what we read."""

    sandbox = ""
    carries = False
    rate = Rate()

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        self.kernel = kernel
        self.folder = folder

    async def put(self, name: str, source: Path | bytes) -> str:
        if isinstance(source, Path):
            return str(source)
        path = self.folder / name
        path.write_bytes(source)
        return str(path)

    async def copy(self, name: str, folder: Path) -> str:
        path = self.folder / name
        shutil.copytree(folder, path, ignore=shutil.ignore_patterns("__pycache__"))
        return str(path)

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        return address


class SandboxKernel:
    """A sandbox: all goes through the carrier of its provisioner."""

    carries = True

    def __init__(self, kernel: Kernel, folder: Path, sandbox: Mapping[str, Any]) -> None:
        self.kernel = kernel
        self.folder = folder
        self.sandbox = kernel.provisioner.sandbox
        self.rate = kernel.provisioner.rate
        self._carrier = kernel.provisioner.carrier
        self._room = sandbox.get("tmpfs")

    async def put(self, name: str, source: Path | bytes) -> str:
        if isinstance(source, Path) and source.is_dir():
            return await self.copy(name, source)
        return await self._carry(self._carrier.put, name, source)

    async def copy(self, name: str, folder: Path) -> str:
        return await self._carry(self._carrier.put_tree, name, folder)

    async def _carry(self, put: Callable[..., str], name: str, source: Path | bytes) -> str:
        try:
            return await asyncio.to_thread(put, name, source)
        except ContextError as error:
            if self._room is None or os.strerror(errno.ENOSPC) not in str(error):
                raise
            raise ContextError(
                f"{error}; there is room for {self._room} in the sandbox: the setting `tmpfs`"
            ) from error

    async def reach(self, address: BrokerAddress) -> BrokerAddress:
        return dataclasses.replace(address, where=self._carrier.serve_broker(str(address.where)))


async def check(spot: KernelConfig) -> None:
    """Before anything is recorded: raises ``UsageError`` where no kernel can be had there, and
    ``KernelStartError`` where whoever runs the place does not answer."""
    if spot.environment == "local":
        check_kernelspec(spot.kernel_name)
    else:
        silent = f"{spot.environment} gave no answer within {CHECK_SECONDS:g} s"
        async with within(CHECK_SECONDS, lambda: KernelStartError(silent)):
            await in_daemon_thread(VENDORS[spot.environment].check)


@asynccontextmanager
async def open_live(spot: KernelConfig) -> AsyncIterator[LiveKernel]:
    """A place with a kernel that answers, both gone afterwards. Raises ``KernelStartError`` and
    ``UsageError``."""
    if spot.environment == "local":
        files.make_folder(spot.cwd)  # a cell may have removed it before it died
        async with open_kernel(
            spot.cwd, kernel_name=spot.kernel_name, env=spot.env, history=spot.history
        ) as (kernel, folder):
            yield LocalKernel(kernel, folder)
    else:
        vendor = VENDORS[spot.environment]
        # A record of one environment may be replayed in another.
        config = {n: v for n, v in spot.sandbox.items() if n in vendor.options}
        async with open_sandbox(vendor.provisioner, config, env=spot.env) as (kernel, folder):
            yield SandboxKernel(kernel, folder, config)
