"""What a sandbox is made of, read from its definition, and what a backend makes of it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modal_proto import api_pb2

from .stdio import Exec

STAND_STILL = ("sleep", "infinity")
"""What a sandbox runs that was given no command."""
OUT_OF_MEMORY = -1000
"""Status of a first process that the kernel killed for want of memory."""


@dataclass(frozen=True)
class MountedFile:
    path: str
    mode: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Spec:
    """``argv`` empty means to stand still; ``memory_mb`` and ``milli_cpu`` 0 mean no limit."""

    sandbox_id: str
    argv: Sequence[str]
    env: Mapping[str, str]
    workdir: str | None
    files: Sequence[MountedFile]
    memory_mb: int
    milli_cpu: int
    network: bool


@dataclass(frozen=True)
class Command:
    argv: Sequence[str]
    env: Mapping[str, str]
    workdir: str | None
    keep_stdout: bool = True
    keep_stderr: bool = True


class Place(Protocol):
    """Where one sandbox runs."""

    async def start(self, spec: Spec) -> Exec:
        """Its first process, running. Raises ``CannotStart``."""

    async def exec(self, command: Command) -> Exec:
        """One more process. Raises ``CannotStart``."""

    async def connect(self, port: int) -> socket.socket:
        """A socket, connected to the port inside. Raises ``OSError`` when nobody listens."""

    async def kill(self) -> None:
        """End all that runs in it; harmless when it is over."""

    async def remove(self) -> None:
        """Leave nothing of it behind, however far its start came."""


class CannotStart(Exception):
    """The text says what the backend said."""


def reaches_a_network(definition: api_pb2.Sandbox) -> bool:
    """As an allowlist cannot be held to here, any that is not empty lets everything through."""
    access = definition.network_access
    if definition.block_network or access.network_access_type == api_pb2.NetworkAccess.BLOCKED:
        return False
    if access.network_access_type == api_pb2.NetworkAccess.ALLOWLIST:
        return bool(access.allowed_cidrs or access.allowed_domains)
    return True


def spec_of(
    sandbox_id: str,
    definition: api_pb2.Sandbox,
    env: Mapping[str, str],
    files: Sequence[MountedFile],
) -> Spec:
    resources = definition.resources
    return Spec(
        sandbox_id=sandbox_id,
        argv=tuple(definition.entrypoint_args),
        env=env,
        workdir=definition.workdir if definition.HasField("workdir") else None,
        files=files,
        memory_mb=resources.memory_mb_max or resources.memory_mb,
        milli_cpu=resources.milli_cpu_max or resources.milli_cpu,
        network=reaches_a_network(definition),
    )
