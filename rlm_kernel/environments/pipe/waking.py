"""Frozen forks of a kernel in a sandbox, woken there behind the pipe of the kernel that it was."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.connect import KernelConnectionInfo

from ...errors import KernelStartError
from ...remote import relay
from .. import frozen
from ..live_kernel import BrokerAddress
from .carrier import Carrier, WokenKernel
from .pipe import Woken, signing
from .piped import PipedProvisioner
from .sandboxed import SandboxProvisioner


@dataclass(frozen=True)
class Forks:
    """The frozen forks of the kernel that a provisioner has started."""

    root: SandboxProvisioner
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(relay.FIRST + 1))

    @property
    def carrier(self) -> Carrier:
        assert self.root.carrier is not None
        return self.root.carrier

    def ask(self, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of the fork of this name, as ``frozen.ask`` does."""
        with self.carrier.connect(name) as connection:
            return frozen.ask(connection, order)

    def wake(
        self,
        name: str,
        address: BrokerAddress,
        keep: Collection[int],
        info: Mapping[str, Any],
    ) -> WokenKernel:
        """Have the fork of this name take the kernel's place, for a client that connects to what
        ``info`` names. Blocks. Raises ``KernelStartError``."""
        number, carrier = next(self._numbers), self.carrier
        sockets, log = str(carrier.folder / f"w{number}"), str(carrier.folder / f"w{number}.log")
        signed = signing(info)
        order = {
            "do": "wake",
            "connection_file": f"{sockets}.json",
            "connection": relay.connection(sockets, signed["key"], signed["signature_scheme"]),
            "log": log,
            "beside": False,
            "address": address.where,
            "token": address.token,
        }
        try:
            pid = frozen.woken_pid(self.ask(name, order))
        except (OSError, ValueError) as error:
            raise KernelStartError(f"it does not wake: {error}") from error
        woken = Woken(
            number=number, pid=pid, address=sockets, log=log, connection_info=info, keep=keep
        )
        return carrier.adopt(woken)


class WokenProvisioner(PipedProvisioner):
    """Wakes one of the ``forks``, that of the name ``fork``, in place of a start."""

    forks: Forks
    fork: str
    keep: Collection[int]
    broker: BrokerAddress
    carrier: WokenKernel | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        manager: Any = self.parent
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return {**await super().pre_launch(**kwargs), "cmd": []}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Wake it. Raises ``KernelStartError``."""
        wake = self.forks.wake
        given = self.fork, self.broker, self.keep, self.connection_info
        self.carrier = await asyncio.to_thread(wake, *given)
        return self.connection_info

    async def reason(self) -> str:
        """Return why the kernel is gone, as that of the sandbox does."""
        return "" if self.carrier is None else await self.forks.root.reason_of(self.carrier)

    async def cleanup(self, restart: bool = False) -> None:
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            carrier.close()
