"""For tests of the tunnel: a gateway as a process of this machine, a proxy on the way to it that
cuts connections, and a provisioner whose vendor these two are."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import tornado
from traitlets import Unicode

from rlm_kernel.environments.pipe import provisioner
from rlm_kernel.environments.pipe.pipe import Pipe
from rlm_kernel.environments.pipe.programs import source
from rlm_kernel.environments.pipe.tunnel import TunnelPipe, gateway_command
from rlm_kernel.remote import bootstrap

WAIT_S = 30.0
ECHO = """
import os
while data := os.read(0, 1 << 16):
    while data:
        data = data[os.write(1, data):]
"""


def eventually(true: Callable[[], bool]) -> bool:
    limit = time.monotonic() + WAIT_S
    while not true() and time.monotonic() < limit:
        threading.Event().wait(0.02)
    return true()


class Sandbox:
    """A gateway here, with a token of its own."""

    def __init__(
        self, folder: Path | str, python: str | None = None, token: str = "", **options: Any
    ) -> None:
        self.token = token or secrets.token_urlsafe(32)
        options = {"port": 0, "address": "127.0.0.1", "folder": str(folder), **options}
        _, *command = gateway_command(self.token, **options)
        packages = str(Path(tornado.__file__).parents[1])  # another Python may have none
        self.process = subprocess.Popen(
            [python or sys.executable, *command],
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": packages} if python else None,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line.split()[-1])
        self.url = f"http://127.0.0.1:{self.port}"

    def fate(self) -> str:
        """What a vendor would say of a sandbox that is gone."""
        code = self.process.poll()
        return "" if code in (None, 0) else f"the vendor says: killed ({code})"

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Proxy:
    """Passes bytes between its port and another.

    ``cut_up`` and ``cut_down`` are numbers of bytes, to the other port and from it, after which
    the connection that they pass is cut; once, or again and again with ``repeat``. While it is
    ``dark``, connections are dropped.
    """

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self.repeat = False
        self.cuts = 0
        self.dark = False
        self.refused = threading.Event()
        self._target = port
        self._context = context
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            if self.dark:
                self.refused.set()
                return
            if self._context:
                near = self._context.wrap_socket(near, server_side=True)
            with near, socket.create_connection(("127.0.0.1", self._target)) as far:
                with self._lock:
                    self._lines |= {near, far}
                down = threading.Thread(target=self._pass, args=(far, near, "cut_down"))
                down.start()
                self._pass(near, far, "cut_up")
                down.join()
                with self._lock:
                    self._lines -= {near, far}

    def _pass(self, source: socket.socket, target: socket.socket, limit: str) -> None:
        left = None
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    left = self._left(limit, len(data))
                target.sendall(data if left is None else data[:left])
                if left is not None:
                    break
        for end in (source, target):
            with suppress(OSError):
                socket.socket.shutdown(end, socket.SHUT_RDWR)

    def _left(self, limit: str, size: int) -> int | None:
        """How much of this piece still passes before a cut; None for all, and no cut."""
        left: int | None = getattr(self, limit)
        if left is None:
            return None
        if size <= left:
            setattr(self, limit, left - size)
            return None
        self.cuts += 1
        setattr(self, limit, left + 500_000 if self.repeat else None)
        return left

    def cut_all(self) -> None:
        with self._lock:
            for line in self._lines:
                with suppress(OSError):
                    socket.socket.shutdown(line, socket.SHUT_RDWR)

    def close(self) -> None:
        self.dark = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not end `accept`
        self._listener.close()
        self.cut_all()


class Tunnelled(provisioner.RelayProvisioner):
    """Its sandbox is a process here; ``folder`` is where it works."""

    folder = Unicode(config=True)
    sandbox: Sandbox | None = None
    proxy: Proxy | None = None
    pipe: TunnelPipe | None = None

    async def open_pipe(self) -> Pipe:
        self.sandbox = Sandbox(self.folder)
        self.proxy = Proxy(self.sandbox.port)
        self.pipe = TunnelPipe(
            self.proxy.url,
            self.sandbox.token,
            "kernel",
            source(bootstrap),
            find_reason=self.sandbox.fate,
        )
        await asyncio.to_thread(self.pipe.start)
        return self.pipe

    async def close_sandbox(self) -> None:
        if self.pipe is not None:
            self.pipe.close()
        if self.proxy is not None:
            self.proxy.close()
        if self.sandbox is not None:
            self.sandbox.end()


class Provided:
    """Makes ``rlm-tunnelled`` known to jupyter_client, which looks for entry points otherwise."""

    name = "rlm-tunnelled"
    value = "tunnelled:Tunnelled"

    @staticmethod
    def load() -> type[Tunnelled]:
        return Tunnelled
