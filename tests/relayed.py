"""A provisioner for tests: the relay as a process of this machine, over its stdin and stdout."""

from __future__ import annotations

import json
import os
import queue
import signal
import socketserver
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets import Bool, List, Unicode

from rlm_kernel.environments.pipe import provisioner
from rlm_kernel.environments.pipe.pipe import Pipe
from rlm_kernel.environments.pipe.programs import source
from rlm_kernel.errors import KernelStartError
from rlm_kernel.remote import bootstrap, relay

IPYKERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


class ProcessPipe:
    """The pipe to a local process. ``process`` is for tests to see and to harm."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in = self.process.stdin
        self._out = self.process.stdout

    def read(self) -> bytes:
        data = os.read(self._out.fileno(), 1 << 18)
        if not data:
            self._out.close()
        return data

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._in.closed:
                raise BrokenPipeError("the pipe was closed")
            view = view[os.write(self._in.fileno(), view) :]

    def close(self) -> None:
        with suppress(OSError):
            self._in.close()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(3)


class Relayed(provisioner.RelayProvisioner):
    """``command`` stands for the relay, if a test wants another one."""

    command = List(Unicode(), config=True)
    bootstrapped = Bool(False, config=True)
    pipe: ProcessPipe | None = None

    def preamble(self) -> bytes:
        return super().preamble() if self.bootstrapped else b""

    async def open_pipe(self) -> Pipe:
        argv = [sys.executable, relay.__file__]
        if self.bootstrapped:
            argv = [sys.executable, "-c", source(bootstrap)]
        try:
            self.pipe = ProcessPipe(self.command or argv)
        except OSError as error:
            raise KernelStartError(f"no relay: {error}") from error
        return self.pipe

    async def close_sandbox(self) -> None:
        if self.pipe is not None:
            self.pipe.close()


def spec(argv: list[str] | None = None, mode: str = "message", **config: object) -> KernelSpec:
    """A kernelspec that runs ``argv``, or ipykernel, through a relay."""
    provisioner = {"provisioner_name": "rlm-relayed", "config": config}
    return KernelSpec(
        argv=argv or IPYKERNEL,
        display_name="relayed",
        language="python",
        interrupt_mode=mode,
        metadata={"kernel_provisioner": provisioner},
    )


def install(folder: Path, argv: list[str] | None = None, **config: object) -> None:
    """The same as a kernelspec ``relayed`` in ``folder``, which is on ``JUPYTER_PATH``."""
    place = folder / "kernels" / "relayed"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec(argv, **config).to_dict()))


class Provided:
    """Makes ``rlm-relayed`` known to jupyter_client, which looks for entry points otherwise."""

    name = "rlm-relayed"
    value = "relayed:Relayed"

    @staticmethod
    def load() -> type[Relayed]:
        return Relayed


def managed(kind: type[KernelManager], kernelspec: KernelSpec) -> KernelManager:
    manager = kind(kernel_name="relayed")
    manager._kernel_spec = kernelspec  # what the manager would have found under the name
    return manager


def async_manager(argv: list[str] | None = None, **config: object) -> AsyncKernelManager:
    manager = managed(AsyncKernelManager, spec(argv, **config))
    assert isinstance(manager, AsyncKernelManager)
    return manager


CALL = """
import socket
def call(data):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect({path!r})
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: line.recv(1 << 20), b""))
"""
"""For a cell: calls the broker whose path is put in."""


class Echo(socketserver.StreamRequestHandler):
    """Sends back all that comes, turned round, once it has ended."""

    ended: queue.SimpleQueue[int]

    def handle(self) -> None:
        data = self.rfile.read()
        Echo.ended.put(len(data))
        self.wfile.write(data[::-1])


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 2  # fewer than come at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side hung up, as a test meant it to."""
