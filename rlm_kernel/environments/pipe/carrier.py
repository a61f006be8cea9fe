"""The host's end of the pipe to a relay, with threads of its own.

It uses no event loop of its caller, who may be a blocking kernel manager whose loop stands still.
``host_end`` has what runs on the threads.
"""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import zmq

from ...errors import ContextError, KernelDied, KernelStartError, UsageError
from ...remote import relay
from .host_end import HostEnd
from .pipe import Order, Pipe, Woken
from .transfer import Files, Transfer, Upload

CLOSE_S = 1.0


class PipedKernel(ABC):
    """A kernel behind a pipe, as its provisioner sees it. ``exited`` has its exit code, None when
    the pipe broke first; ``reason`` has the words."""

    def __init__(self) -> None:
        self.exited: concurrent.futures.Future[int | None] = concurrent.futures.Future()
        self.exited.set_running_or_notify_cancel()  # one waiter cannot cancel it for others
        self.reason = ""
        self._lock = threading.Lock()

    def over(self, code: int | None, reason: str) -> None:
        """Note that the kernel is gone; the first to say so is believed."""
        with self._lock:
            if not self.exited.done():
                self.reason = reason
                self.exited.set_result(code)

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to the kernel and what it started; does not wait."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it; waits about a second at most."""


class Carrier(PipedKernel):
    """The pipe, and the kernel that was started behind it. Its methods may be called on any thread;
    those that wait say so."""

    def __init__(
        self, pipe: Pipe, connection_info: Mapping[str, Any], order: Order, preamble: bytes = b""
    ) -> None:
        """``preamble`` goes into the pipe before all else: the relay's source, where it is not
        there yet."""
        super().__init__()
        self.broker = ""
        """Where code inside finds the host's broker; known after ``start``."""
        self._pipe = pipe
        self._info = connection_info
        self._order = order
        self._preamble = preamble
        self._greeted = threading.Event()
        self._newest: PipedKernel = self
        """The kernel that is there now."""
        self._end: HostEnd | None = None
        self._threads: list[threading.Thread] = []

    def start(self, timeout_s: float = 60.0) -> None:
        """Bind the sockets and wait for the relay. Raises ``KernelStartError``."""
        try:
            self._end = HostEnd(self._pipe, self._order, self._hello, self.over)
            self._end.bind(self._info)
            self._end.order_start(self._info)
        except (zmq.ZMQError, relay.PipeError) as error:
            self.close()
            raise KernelStartError(f"the kernel cannot be started: {error}") from error
        if self._preamble:
            self._end.write_first(self._preamble)
        for target in (self._end.run, self._end.read_pipe, self._end.write_pipe):
            thread = threading.Thread(target=target, name=f"rlm-{target.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()
        died = self._greeted.wait(timeout_s)
        if not died:
            self.over(None, f"the relay said nothing in {timeout_s:g} s")
        if not self.broker:
            self.close()
            raise KernelStartError(f"the kernel did not start: {self.reason}", died=died)

    def _hello(self, broker: str) -> None:
        self.broker = broker
        self._greeted.set()

    def over(self, code: int | None, reason: str) -> None:
        super().over(code, reason)
        self._greeted.set()

    def signal(self, number: int) -> None:
        self.send_signal(relay.FIRST, number)

    # frozen forks of the kernel
    @property
    def folder(self) -> PurePosixPath:
        """Return the private folder inside."""
        return PurePosixPath(self.broker).parent

    def connect(self, name: str) -> socket.socket:
        """Return a connection to the frozen fork of this name, which ends where there is none.
        Raises ``OSError``."""
        if self.closed:
            raise ConnectionError(f"the pipe to it has ended: {self.reason}")
        ours, theirs = socket.socketpair()
        self._do(lambda end: end.connect(name, theirs))
        return ours

    def adopt(self, woken: Woken) -> WokenKernel:
        """Let a fork that has woken have the kernel's place; what there was ends, but for what it
        is to keep."""
        kernel = self._newest = WokenKernel(self, woken.number)
        self._do(lambda end: end.adopt(woken, kernel.over))
        return kernel

    def send_signal(self, kernel: int, number: int) -> None:
        """Send a signal to a kernel and what it started; does not wait."""
        self._do(lambda end: end.outbox.order(do="signal", kernel=kernel, number=int(number)))

    def let_go(self, kernel: int) -> None:
        """Close what the client of a kernel that has woken connected to."""
        self._do(lambda end: end.let_go(kernel))

    def serve_broker(self, path: str) -> str:
        """From now on, connect what connects inside to this unix socket. Return the path there."""
        self._do(lambda end: end.serve_broker(path))
        return self.broker

    def put(self, name: str, source: Path | bytes) -> str:
        """Copy a file or bytes to where the kernel can read it; waits. Return the path there.

        Raises ``ContextError`` if it cannot be read here or stored there, ``KernelDied``.
        """
        return self._transfer(name, [("", source)], tree=False)

    def put_tree(self, name: str, files: Files) -> str:
        """Copy these files into a folder; waits. Return its path there. Raises as ``put``."""
        return self._transfer(name, files, tree=True)

    def _transfer(self, name: str, files: Files, *, tree: bool) -> str:
        if not relay.plain(name):
            raise UsageError(f"{name!r} is no plain file name: leave out separators")
        self._check()  # the relay outlives its kernel by a moment, and would still take it
        transfer = Transfer(name, files, tree=tree, limit=self._order.max_put)
        uploads: list[Upload] = []  # made on the carrier's thread
        self._do(lambda end: uploads.append(end.begin(transfer)))
        try:
            return transfer.run(lambda: self._do(lambda end: uploads[0].drained()), self._check)
        except ContextError:
            self._do(lambda end: uploads[0].cancel())
            raise

    def _check(self) -> None:
        if self._newest.exited.done():
            raise KernelDied(self._newest.reason, exit_code=self._newest.exited.result())

    def _do(self, what: Callable[[HostEnd], None]) -> None:
        if self._end is not None:
            self._end.do(what)

    @property
    def closed(self) -> bool:
        return self._end is None or self._end.over

    def close(self) -> None:
        """End the pipe, and with it the relay and all kernels; waits about a second at most."""
        self.over(None, "it was ended from here")
        if self._end is None or not self._threads:
            self._pipe.close()
            if self._end is not None:
                self._end.release()
            return
        self._end.stop()
        limit = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))


class WokenKernel(PipedKernel):
    """A frozen fork that has woken behind the pipe of the kernel that it was. Made by
    ``Carrier.adopt``."""

    def __init__(self, carrier: Carrier, number: int) -> None:
        super().__init__()
        self._carrier = carrier
        self._number = number

    def signal(self, number: int) -> None:
        self._carrier.send_signal(self._number, number)

    def close(self) -> None:
        self._carrier.let_go(self._number)
