"""The environment ``modal``: sandboxes of one app at Modal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel_config import KernelConfig
from ..pipe.environment import SandboxEnvironment
from . import sdk
from .provisioner import ModalProvisioner


class ModalEnvironment(SandboxEnvironment):
    provisioner = ModalProvisioner
    leavings = "sandboxes"
    billed = frozenset({"memory", "cpus"})

    def check(self, config: KernelConfig) -> None:
        sdk.check()

    def strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return [stray.id for stray in sdk.strays(sandbox["app"])]

    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return [stray.id for stray in sdk.remove_strays(sandbox["app"])]
