"""What comes out of the pipe is not to be trusted: a carrier against a relay that misbehaves."""

from __future__ import annotations

import json
import queue
import socket
import threading
from pathlib import Path

import pytest

from rlm_kernel.environments.pipe.carrier import Carrier
from rlm_kernel.environments.pipe.pipe import Order
from rlm_kernel.errors import ContextError
from rlm_kernel.remote import relay

WAIT_S = 30.0


class Scripted:
    """A pipe whose other end says what a test wrote down."""

    def __init__(self, said: list[bytes]) -> None:
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        for data in said:
            self._said.put(data)
        self.written = b""
        self.reading = threading.Event()
        self.reading.set()

    def read(self) -> bytes:
        return self._said.get()

    def write(self, data: bytes) -> None:
        self.reading.wait(WAIT_S)
        self.written += data

    def say(self, data: bytes) -> None:
        self._said.put(data)

    def close(self) -> None:
        self._said.put(b"")


def order(**fields: object) -> bytes:
    return relay.pack(relay.ORDER, 0, json.dumps(fields).encode())


HELLO = order(do="hello", broker="/inside/broker", folder="/inside", pid=2)


def scripted(tmp_path: Path) -> tuple[Carrier, Scripted]:
    pipe = Scripted([HELLO])
    info = {"transport": "ipc", "ip": str(tmp_path / "k"), "key": b"k"}
    ports = {f"{name}_port": n for n, name in enumerate(("shell", "control", "stdin", "iopub"))}
    carrier = Carrier(pipe, {**info, **ports, "hb_port": 9}, Order(["x"], max_message=1000))
    carrier.start(WAIT_S)
    return carrier, pipe


def opened(number: int) -> bytes:
    return relay.pack(relay.OPEN, number, b"{}")


HOSTILE = {
    "garbage": (b"Traceback (most recent call last)", "a frame of kind 84"),
    "a huge frame": (relay.HEAD.pack(relay.DATA, 4, 1 << 31), "65,536 bytes at most"),
    "half a frame": (HELLO[:10], "the relay is gone"),
    "a huge message": (
        relay.pack(relay.DATA, relay.IOPUB, (1).to_bytes(4, "big") + (1 << 40).to_bytes(8, "big")),
        "the limit is 1,000",
    ),
    "a message of no parts": (relay.pack(relay.DATA, relay.IOPUB, bytes(4)), "0 parts"),
    "a lane never opened": (relay.pack(relay.DATA, 900, b"x"), "never opened"),
    "a lane of ours": (opened(17), "too many"),
    "a lane out of turn": (opened(18), "out of turn"),
    "an end of a channel": (relay.pack(relay.END, relay.SHELL), "as long as the pipe"),
    "too much credit": (relay.pack(relay.CREDIT, relay.SHELL, b"\xff" * 4), "given back more"),
    "no JSON": (relay.pack(relay.ORDER, 0, b"\xff{"), "no JSON"),
    "an unknown order": (order(do="run", code="1"), "means nothing"),
    "an exit without a code": (order(do="exit", code="0"), "without a number"),
    "an end of no kernel": (order(do="exit", code=0, kernel=7), "kernel 7, which there is not"),
    "a file that was not sent": (order(do="stored", lane=17, path="/x", sha256="0"), "not sent"),
    "a hello without a path": (order(do="hello", broker=7), "without a text"),
}


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case)
def test_what_breaks_the_rules_ends_the_pipe_with_the_reason(tmp_path: Path, case: str) -> None:
    said, why = HOSTILE[case]
    carrier, pipe = scripted(tmp_path)
    pipe.say(said)
    if case == "half a frame":
        pipe.say(b"")
    assert carrier.exited.result(WAIT_S) is None
    assert why in carrier.reason
    carrier.close()


def test_too_many_calls_at_once_end_the_pipe(tmp_path: Path) -> None:
    carrier, pipe = scripted(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "b"))
        listener.listen(4096)
        carrier.serve_broker(str(tmp_path / "b"))
        for number in range(relay.FIRST_FREE, relay.FIRST_FREE + 2 * relay.MAX_STREAMS + 2, 2):
            pipe.say(opened(number))
        assert carrier.exited.result(WAIT_S) is None
        assert "too many" in carrier.reason
        carrier.close()


def test_too_many_calls_that_the_broker_has_no_room_for_end_the_pipe(tmp_path: Path) -> None:
    carrier, pipe = scripted(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "b"))
        listener.listen(1)
        carrier.serve_broker(str(tmp_path / "b"))
        for number in range(relay.FIRST_FREE, relay.FIRST_FREE + 2 * relay.MAX_STREAMS + 2, 2):
            pipe.say(opened(number))
        assert carrier.exited.result(WAIT_S) is None
        assert "too many" in carrier.reason
        carrier.close()


def test_a_million_calls_whose_refusals_are_not_read_end_the_pipe(tmp_path: Path) -> None:
    carrier, pipe = scripted(tmp_path)
    pipe.reading.clear()
    for first in range(relay.FIRST_FREE, relay.FIRST_FREE + 2_000_000, 20_000):
        pipe.say(b"".join(opened(number) for number in range(first, first + 20_000, 2)))
    assert carrier.exited.result(WAIT_S) is None
    assert "does not read" in carrier.reason
    pipe.reading.set()
    carrier.close()


def test_a_broker_that_is_gone_is_nothing_to_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    carrier, pipe = scripted(tmp_path)
    carrier.serve_broker(str(tmp_path / "gone"))
    for number in range(relay.FIRST_FREE, relay.FIRST_FREE + 200, 2):
        pipe.say(opened(number))
    pipe.say(order(do="exit", code=0))
    assert carrier.exited.result(WAIT_S) == 0
    assert caplog.records == []
    carrier.close()


def test_a_file_that_was_changed_inside_is_noticed(tmp_path: Path) -> None:
    carrier, pipe = scripted(tmp_path)
    pipe.say(order(do="pong"))
    threading.Timer(0.1, pipe.say, [order(do="stored", lane=17, path="/x", sha256="00")]).start()
    with pytest.raises(ContextError, match="was changed on its way"):
        carrier.put("x", b"data")
    carrier.close()
