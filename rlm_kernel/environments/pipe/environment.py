"""The environment of a vendor's sandboxes: what is the same for all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from ..kernel_config import KernelConfig
from ..live_kernel import LiveKernel
from .sandbox_kernel import open_sandbox
from .sandboxed import SandboxProvisioner


class SandboxEnvironment(ABC):
    """See ``Environment``. A subclass names its provisioner, and asks its vendor."""

    provisioner: ClassVar[type[SandboxProvisioner]]
    leavings: ClassVar[str]
    billed: ClassVar[Set[str]] = frozenset()
    branches: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return self.provisioner.vendor

    @property
    def options(self) -> Set[str]:
        return set(self.provisioner.class_trait_names(config=True))

    def describe(self, sandbox: Mapping[str, Any]) -> str:
        return f"in {self.name}, network: {sandbox.get('network') or 'none'}"

    def open(self, config: KernelConfig) -> AbstractAsyncContextManager[LiveKernel]:
        # A record of one environment may be replayed in another.
        sandbox = {n: v for n, v in config.sandbox.items() if n in self.options}
        return open_sandbox(self.provisioner, sandbox, env=config.env)

    @abstractmethod
    def check(self, config: KernelConfig) -> None: ...

    @abstractmethod
    def strays(self, sandbox: Mapping[str, Any]) -> list[str]: ...

    @abstractmethod
    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]: ...
