"""The environment ``bwrap``: this machine, in namespaces of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ...errors import UsageError
from ..kernel_config import KernelConfig
from ..pipe.environment import SandboxEnvironment
from .command import BwrapSpec
from .provisioner import BwrapProvisioner
from .sandbox import try_one


class BwrapEnvironment(SandboxEnvironment):
    provisioner = BwrapProvisioner
    leavings = ""

    def describe(self, sandbox: Mapping[str, Any]) -> str:
        network = "none" if sandbox.get("network", "none") == "none" else "this machine's"
        return f"in {self.name}, network: {network}"

    def check(self, config: KernelConfig) -> None:
        if sys.platform != "linux":
            raise UsageError("bubblewrap is for Linux: `--env docker` runs cells in a container")
        try_one(BwrapSpec())

    def strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return []

    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return []
