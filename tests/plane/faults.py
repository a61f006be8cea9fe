"""What goes wrong because a test said so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpclib.events
from grpclib import GRPCError, Status
from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from .latency import Delays, Kind

NAMES = ModalClientBase.__abstractmethods__ | TaskCommandRouterBase.__abstractmethods__
KINDS: dict[str, Kind] = {
    "SandboxCreate": "create",
    "TaskExecStart": "exec",
    "TaskExecStdinWrite": "stdio",
    "TaskExecStdioRead": "stdio",  # the router waits, chunk by chunk
}


@dataclass
class _Fault:
    name: str
    times: int

    def strikes(self, name: str) -> bool:
        if self.times <= 0 or plain(name) != self.name:
            return False
        self.times -= 1
        return True


@dataclass
class _Refusal(_Fault):
    status: Status
    message: str


@dataclass
class _Delay(_Fault):
    seconds: float


def plain(name: str) -> str:
    """The name of a call without the SDK's mark of its second version, which the first shares."""
    return name.removesuffix("V2")


def known(name: str) -> str:
    """The plain name. Raises ``ValueError`` for what is no call at all."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is no RPC of this SDK, such as 'SandboxCreate'")
    return plain(name)


class Faults:
    """Refusals and delays to come, and the names of the calls so far, in order."""

    def __init__(self, delays: Delays) -> None:
        self.calls: list[str] = []
        self._delays = delays
        self._refusals: list[_Refusal] = []
        self._waits: list[_Delay] = []

    def refuse(self, name: str, status: Status, message: str, times: int) -> None:
        self._refusals.append(_Refusal(known(name), times, status, message))

    def delay(self, name: str, seconds: float, times: int) -> None:
        self._waits.append(_Delay(known(name), times, seconds))

    async def meet(self, event: grpclib.events.RecvRequest) -> None:
        """What a request meets first. Raises ``GRPCError`` for one that is refused."""
        name = event.method_name.rsplit("/", 1)[1]
        self.calls.append(name)
        if plain(name) != "TaskExecStdioRead":
            await self._delays.wait(KINDS.get(plain(name), "other"))
        for wait in self._waits:
            if wait.strikes(name):
                await asyncio.sleep(wait.seconds)
        for refusal in self._refusals:
            if refusal.strikes(name):
                raise GRPCError(refusal.status, refusal.message)
