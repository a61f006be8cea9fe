"""The environment ``docker``: containers of the engine that this process reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from ..kernel_config import KernelConfig
from ..pipe.environment import SandboxEnvironment
from . import client, strays
from .provisioner import DockerProvisioner


class DockerEnvironment(SandboxEnvironment):
    provisioner = DockerProvisioner
    leavings = "containers"

    def check(self, config: KernelConfig) -> None:
        client.connect().close()

    def strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return _in_words(strays.strays)

    def remove_strays(self, sandbox: Mapping[str, Any]) -> list[str]:
        return _in_words(strays.remove_strays)


def _in_words(find: Callable[[Any], list[strays.Stray]]) -> list[str]:
    with closing(client.connect()) as engine:
        return [f"{stray.name} ({stray.state}, {stray.image})" for stray in find(engine)]
