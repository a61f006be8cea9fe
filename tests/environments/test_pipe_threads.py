"""A thread of a pipe that meets what it did not expect ends the pipe, and says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tunnelled import Proxy, Sandbox

from rlm_kernel.environments.modal.exec_pipe import ExecPipe
from rlm_kernel.environments.pipe.pipe import Pipe
from rlm_kernel.environments.pipe.tunnel import TunnelPipe

pytest.importorskip("modal")
WAIT_S = 20.0


class Process:
    """What ``Sandbox.exec`` gives. One of its streams raises what the SDK never did."""

    def __init__(self, broken: str) -> None:
        self.stdout, self.stdin = self, self
        self.broken = broken
        self.quiet = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        if self.broken == "reading":
            raise LookupError("a new kind of piece")
        self.quiet.wait(WAIT_S)
        return iter([])

    def write(self, data: bytes) -> None:
        raise LookupError("a new kind of piece")

    def drain(self) -> None: ...


def read_soon(pipe: Pipe) -> bytes:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(pipe.read).result(WAIT_S)


def fill(pipe: Pipe) -> None:
    """Write more than a pipe holds."""
    for _ in range(100):
        pipe.write(b"x" * (1 << 20))


@pytest.mark.parametrize("broken", ["reading", "writing"])
def test_a_pipe_to_modal_ends_with_the_error_of_its_thread(broken: str) -> None:
    process = Process(broken)
    pipe = ExecPipe(process, lambda: None, patience_s=WAIT_S)
    if broken == "writing":
        pipe.write(b"some")
    try:
        assert read_soon(pipe) == b""
        said = f"{broken} {'to' if broken == 'writing' else 'from'} the sandbox failed"
        assert pipe.reason == f"{said}: LookupError('a new kind of piece')"
        with pytest.raises(BrokenPipeError):
            pipe.write(b"more")
    finally:
        process.quiet.set()
        pipe.close()


def test_a_tunnel_ends_with_the_error_of_its_sending_thread(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox(tmp_path)
    proxy = Proxy(sandbox.port)

    def find_reason() -> str:
        raise LookupError("a vendor's own")

    pipe = TunnelPipe(proxy.url, sandbox.token, "kernel", "input()", find_reason=find_reason)
    try:
        pipe.start()
        proxy.dark = True
        proxy.cut_all()
        pipe.write(b"some\n")
        with pytest.raises((OSError, LookupError)):
            read_soon(pipe)
        with pytest.raises(OSError, match="sending to the sandbox failed"):
            fill(pipe)
        assert pipe.reason == """sending to the sandbox failed: LookupError("a vendor's own")"""
    finally:
        pipe.close()
        proxy.close()
        sandbox.end()
