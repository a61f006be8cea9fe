"""A kernel provisioner for whatever a byte pipe leads to."""

from __future__ import annotations

import asyncio
import struct
from abc import abstractmethod
from collections.abc import Sequence
from string import Template
from typing import Any, TypeVar

import zmq
from jupyter_client.connect import KernelConnectionInfo, LocalPortCache
from traitlets import Dict, Float, Int, List, Unicode

from ...endings import to_the_end
from ...remote import relay
from ...settings.limits import Rate
from .carrier import Carrier
from .pipe import Order, Pipe
from .piped import PipedProvisioner
from .programs import source

T = TypeVar("T")


def preamble(needed: Sequence[str] = ()) -> bytes:
    """Return what ``remote.bootstrap`` reads from the pipe first: the modules that must be there,
    and the relay's source."""
    pieces = " ".join(needed).encode(), source(relay).encode()
    return b"".join(struct.pack(">I", len(piece)) + piece for piece in pieces)


def _provide_keys(manager: Any) -> None:
    """Give a manager that wants encryption the keys of the kernel's sockets, which are ours and on
    this machine; jupyter_client before 8.10 knows none. It keeps them for a restart."""
    wanted = getattr(manager, "transport_encryption", "disabled") != "disabled"
    if wanted and manager.curve_publickey is None:
        manager.curve_publickey, manager.curve_secretkey = zmq.curve_keypair()


class RelayProvisioner(PipedProvisioner):
    """Starts a kernel through a relay. A subclass makes the sandbox and opens the pipe.

    Of this process's environment the kernel gets only what ``pass_env`` names: a Jupyter client
    hands over all of it, keys included.
    """

    env: Dict[str, str] = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        config=True,
        help="Environment variables for the kernel, besides those of its kernelspec.",
    )
    pass_env: List[str] = List(
        Unicode(),
        default_value=["PYTHONHASHSEED"],
        config=True,
        help="Names of variables that the kernel gets from those that its client hands over.",
    )
    kernel_cwd = Unicode(
        None, allow_none=True, config=True, help="The kernel's working folder, in the sandbox."
    )
    start_timeout = Float(60.0, config=True, help="Seconds until the relay must have answered.")
    max_message = Int(Order.max_message, config=True, help="Bytes of one message from the kernel.")
    max_put = Int(
        Order.max_put, config=True, help="Bytes of one file or folder put into the sandbox."
    )
    unread = Int(
        Order.unread,
        config=True,
        help="Outputs that wait for a reader at each step of their way, if the kernel waits too; "
        "0 for any number.",
    )
    silence = Float(
        Order.silence_s,
        config=True,
        help="Seconds without a sign of life after which the sandbox is given up.",
    )
    patience = Float(
        Order.patience_s,
        config=True,
        help="Seconds after which a relay that hears nothing from here ends.",
    )

    carrier: Carrier | None = None
    ports_cached = False

    @abstractmethod
    async def open_pipe(self) -> Pipe:
        """Make the sandbox and start the relay in it. Raises ``KernelStartError``."""

    @abstractmethod
    async def close_sandbox(self) -> None:
        """Remove what ``open_pipe`` made, finished or not. May be called again."""

    def preamble(self) -> bytes:
        """Return what the carrier sends first: what ``remote.bootstrap`` reads. Override it with
        nothing where the relay is already there."""
        return preamble()

    # starting
    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        manager: Any = self.parent
        extra = kwargs.pop("extra_arguments", [])
        kwargs.pop("transport_encryption", None)  # the manager has it by now
        _provide_keys(manager)
        if manager.cache_ports and not self.ports_cached:
            cache = LocalPortCache.instance()
            for name in ("shell", "iopub", "stdin", "hb", "control"):
                setattr(manager, f"{name}_port", cache.find_available_port(manager.ip))
            self.ports_cached = True
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        kwargs = await super().pre_launch(**kwargs)
        return {**kwargs, "cmd": [*self.kernel_spec.argv, *extra]}

    def _environment(self, given: dict[str, str]) -> dict[str, str]:
        """Return the kernel's variables: what it gets of those handed over, and its own."""
        spec = {k: Template(v).safe_substitute(given) for k, v in self.kernel_spec.env.items()}
        passed = {name: given[name] for name in self.pass_env if name in given}
        return {**passed, **spec, **self.env}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it. Raises ``KernelStartError``; nothing is left then, nor after a cancellation."""
        order = Order(
            argv=cmd,
            env=self._environment(kwargs["env"]),
            cwd=self.kernel_cwd,
            max_message=self.max_message,
            max_put=self.max_put,
            unread=self.unread,
            silence_s=self.silence,
            patience_s=self.patience,
        )
        try:
            pipe = await self.open_pipe()
            self.carrier = Carrier(pipe, self.connection_info, order, self.preamble())
            await asyncio.to_thread(self.carrier.start, self.start_timeout)
        except BaseException:
            await to_the_end(self._release())
            raise
        return self.connection_info

    @property
    def sandbox_name(self) -> str:
        """Return the sandbox's name, for another kernel to join it; empty before the start, after
        the end, and where there is none."""
        return ""

    @property
    def rate(self) -> Rate:
        """Return what the sandbox costs."""
        return Rate()

    async def reason(self) -> str:
        """Return why the kernel is gone, in the words of whoever runs the sandbox where it knows
        more than the relay could say; empty while it runs and after ``cleanup``."""
        if self.carrier is None or not self.carrier.exited.done():
            return ""
        return self.carrier.reason

    # its end
    async def cleanup(self, restart: bool = False) -> None:
        await self._release()
        if self.ports_cached and not restart:
            cache = LocalPortCache.instance()
            for name in ("shell", "iopub", "stdin", "hb", "control"):
                cache.return_port(self.connection_info[f"{name}_port"])  # type: ignore[literal-required]
            self.ports_cached = False

    async def _release(self) -> None:
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            await asyncio.to_thread(carrier.close)
        await self.close_sandbox()
