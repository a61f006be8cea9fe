"""The configuration of a kernel: its environment, its kernelspec or sandbox, its surroundings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..settings.resolved import Resolved


@dataclass(frozen=True)
class KernelConfig:
    """The making of one kernel: the name of its environment, and the options of its sandbox.

    The kernelspec, the working folder and ``nursery`` are for ``local``; with ``history`` its cells
    go into the user's IPython history. ``env`` are variables besides those that its environment
    gives it.
    """

    cwd: Path
    environment: str = "local"
    kernel_name: str = "python3"
    env: dict[str, str] = field(default_factory=dict)
    history: bool = False
    nursery: bool = True
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False
    """See ``KernelTemplate``."""
    snapshots: str = "off"
    """See ``Settings.snapshots``."""


@dataclass(frozen=True)
class KernelTemplate:
    """The part of a ``KernelConfig`` that all kernels of a run have in common.

    Without ``cwd`` each node has a folder of its own in the run's. With ``shared`` children join
    the sandbox of the root.
    """

    environment: str = "local"
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    kernel_name: str = "python3"
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    shared: bool = False
    nursery: bool = True
    snapshots: str = "off"

    def config(self, cwd: Path, *, history: bool = False) -> KernelConfig:
        """Return how one of the kernels is made, to work in ``cwd``."""
        return KernelConfig(
            cwd=cwd,
            environment=self.environment,
            kernel_name=self.kernel_name,
            env=self.env,
            history=history,
            nursery=self.nursery,
            sandbox=self.sandbox,
            shared=self.shared,
            snapshots=self.snapshots,
        )


def kernel_template(force: Resolved) -> KernelTemplate:
    """Return how the settings want kernels made, with what they pass on of our environment."""
    settings = force.settings
    passed = {name: os.environ[name] for name in settings.pass_env if name in os.environ}
    return KernelTemplate(
        environment=settings.environment,
        sandbox=settings.sandbox,
        kernel_name=settings.kernel,
        env=passed,
        shared=settings.children == "shared",
        nursery=settings.nursery == "on",
        snapshots=settings.snapshots,
    )
