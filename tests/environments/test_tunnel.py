"""The byte pipe over HTTP: connections are cut, sandboxes go, and strangers answer."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from tunnelled import ECHO, Proxy, Sandbox, eventually

from rlm_kernel.environments.pipe.tunnel import Patience, TunnelPipe
from rlm_kernel.errors import KernelStartError, UsageError

WAIT_S = 30.0
HASTY = Patience(start_s=1.5, lost_s=1.5, poll_s=1, answer_s=0.5)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("work"))
    with closing(TunnelPipe(sandbox.url, sandbox.token, "keeper", ECHO)) as keeper:
        keeper.start()  # it would end after its last program
        yield sandbox
    sandbox.end()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """For one test, which may harm it."""
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.end()


Opener = Callable[..., TunnelPipe]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens pipes, each of a name of its own, and closes them."""
    pipes: list[TunnelPipe] = []

    def make(sandbox: Sandbox, program: str = ECHO, url: str = "", **options: Any) -> TunnelPipe:
        name = uuid.uuid4().hex
        pipes.append(TunnelPipe(url or sandbox.url, sandbox.token, name, program, **options))
        pipes[-1].start()
        return pipes[-1]

    yield make
    for pipe in pipes:
        pipe.close()


@pytest.fixture
def proxied(shared: Sandbox) -> Iterator[Proxy]:
    proxy = Proxy(shared.port)
    yield proxy
    proxy.close()


def received(pipe: TunnelPipe, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = pipe.read()
        assert more, pipe.reason
        data += more
    return bytes(data)


def echoed(pipe: TunnelPipe, data: bytes, piece: int = 1 << 18) -> bytes:
    def write() -> None:
        for at in range(0, len(data), piece):
            pipe.write(data[at : at + piece])

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        came = received(pipe, len(data))
        written.result(WAIT_S)
    return came


def fill(pipe: TunnelPipe) -> None:
    """Write more than is held on this side."""
    for _ in range(9):
        pipe.write(bytes(1 << 20))


# bytes


def test_bytes_pass_both_ways_as_they_were(shared: Sandbox, opened: Opener) -> None:
    data = os.urandom(64 << 20)
    assert echoed(opened(shared), data) == data


def test_two_pipes_of_one_gateway_keep_their_bytes_apart(shared: Sandbox, opened: Opener) -> None:
    first, second = opened(shared), opened(shared)
    first.write(b"one")
    second.write(b"two!")
    assert (received(second, 4), received(first, 3)) == (b"two!", b"one")
    first.close()
    second.write(b"still")
    assert received(second, 5) == b"still"


@pytest.mark.parametrize("way", ["cut_up", "cut_down"])
@pytest.mark.parametrize("after", [0, 1, 40, 300, 100_000, 900_000])
def test_a_connection_that_is_cut_loses_and_repeats_nothing(
    shared: Sandbox, opened: Opener, proxied: Proxy, way: str, after: int
) -> None:
    pipe = opened(shared, url=proxied.url)
    data = os.urandom(3_000_000)
    assert echoed(pipe, data[:1000]) == data[:1000]
    setattr(proxied, way, after)
    assert echoed(pipe, data) == data
    assert proxied.cuts == 1


def test_many_cuts_on_both_ways_lose_and_repeat_nothing(
    shared: Sandbox, opened: Opener, proxied: Proxy
) -> None:
    pipe = opened(shared, url=proxied.url)
    data = os.urandom(8_000_000)
    proxied.repeat = True
    proxied.cut_up, proxied.cut_down = 700_000, 600_000
    assert echoed(pipe, data) == data
    assert proxied.cuts > 10


def test_a_gateway_that_is_slow_to_start_is_waited_for(
    shared: Sandbox, opened: Opener, proxied: Proxy
) -> None:
    proxied.dark = True
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(opened, shared, url=proxied.url)
        assert proxied.refused.wait(WAIT_S)
        proxied.dark = False
        assert echoed(starting.result(WAIT_S), b"hello") == b"hello"


# ends


def test_closing_ends_a_read_and_the_program(shared: Sandbox, opened: Opener) -> None:
    pipe = opened(shared, "import os; os.write(1, b'%d' % os.getpid()); os.read(0, 1)")
    program = psutil.Process(int(pipe.read()))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(pipe.read)
        pipe.close()
        with pytest.raises(OSError, match="closed"):
            reading.result(WAIT_S)
    program.wait(WAIT_S)
    with pytest.raises(OSError, match="closed"):
        pipe.write(b"x")
    pipe.close()
    assert pipe.reason == ""


def test_closing_ends_a_write_that_is_not_taken(shared: Sandbox, opened: Opener) -> None:
    pipe = opened(shared, "import os, time; os.write(1, b'1'); time.sleep(600)")
    received(pipe, 1)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(fill, pipe)
        pipe.close()
        with pytest.raises(OSError, match="closed"):
            writing.result(WAIT_S)


def test_closing_ends_a_start(shared: Sandbox, proxied: Proxy) -> None:
    proxied.dark = True
    pipe = TunnelPipe(proxied.url, shared.token, "never", ECHO)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(pipe.start)
        assert proxied.refused.wait(WAIT_S)
        pipe.close()
        with pytest.raises(KernelStartError):
            starting.result(WAIT_S)


def test_a_program_that_ends_well_gives_its_last_output_and_no_reason(
    shared: Sandbox, opened: Opener
) -> None:
    pipe = opened(shared, "print('bye')")
    assert received(pipe, 4) == b"bye\n"
    assert pipe.read() == b""
    assert pipe.reason == ""


def test_a_program_that_fails_says_why(shared: Sandbox, opened: Opener) -> None:
    pipe = opened(shared, "import sys; sys.exit('no ipykernel\\x1b[2J here')")
    assert pipe.read() == b""
    assert "ended (exit code 1)\nno ipykernel[2J here" in pipe.reason
    with pytest.raises(OSError, match="the program has ended"):
        pipe.write(b"x")


def test_a_program_that_is_killed_is_told_apart(shared: Sandbox, opened: Opener) -> None:
    pipe = opened(shared, "import os; os.write(1, b'%d' % os.getpid()); os.read(0, 1)")
    os.kill(int(pipe.read()), signal.SIGKILL)
    assert pipe.read() == b""
    assert "signal 9" in pipe.reason


def test_a_gateway_that_is_gone_is_given_up_in_the_end(sandbox: Sandbox, opened: Opener) -> None:
    pipe = opened(sandbox, patience=HASTY)
    sandbox.process.kill()
    with pytest.raises(OSError, match="the tunnel to the sandbox was lost"):
        pipe.read()
    with pytest.raises(OSError, match="lost"):
        pipe.write(b"x")
    assert "refused" in pipe.reason


def test_who_knows_what_befell_the_sandbox_is_believed_at_once(
    sandbox: Sandbox, opened: Opener
) -> None:
    fate = [""]
    pipe = opened(sandbox, find_reason=lambda: fate[0])
    sandbox.process.kill()
    fate[0] = "the sandbox ran out of time"
    with pytest.raises(OSError, match="the sandbox ran out of time"):
        pipe.read()
    assert pipe.reason == fate[0]


def test_a_gateway_that_was_started_anew_has_nothing_of_the_old_one(
    sandbox: Sandbox, opened: Opener, tmp_path: Path
) -> None:
    pipe = opened(sandbox)
    token, port = sandbox.token, sandbox.port
    sandbox.end()
    sandbox.__init__(tmp_path, token=token, port=port)  # type: ignore[misc]
    with pytest.raises(OSError, match="started anew"):
        pipe.read()


# whom it trusts


def test_a_wrong_token_is_refused_at_once_and_not_shown(shared: Sandbox) -> None:
    pipe = TunnelPipe(shared.url, "wrong-token", "x", ECHO)
    with pytest.raises(KernelStartError, match="refuses the token") as raised:
        pipe.start()
    assert "wrong-token" not in f"{raised.value!r} {pipe!r} {vars(pipe)}"


@pytest.mark.parametrize(
    ("url", "token", "why"),
    [
        ("http://example.org", "t", "only https keeps the token"),
        ("ftp://127.0.0.1", "t", "write https://HOST"),
        ("127.0.0.1:80", "t", "write https://HOST"),
        ("https://127.0.0.1:x", "t", "write https://HOST"),
        ("https://127.0.0.1/a b", "t", "write https://HOST"),
        ("https://example.org", "sec\r\nret", "other characters than"),
    ],
)
def test_what_cannot_be_safe_is_refused(url: str, token: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        TunnelPipe(url, token, "x", ECHO)
    assert "ret" not in str(raised.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secured(shared: Sandbox, authority: trustme.CA) -> Iterator[Proxy]:
    """A proxy that ends TLS, as a vendor's does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = Proxy(shared.port, context)
    yield proxy
    proxy.close()


def test_tls_is_spoken_with_an_authority_that_is_known(
    shared: Sandbox, opened: Opener, secured: Proxy, authority: trustme.CA
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    pipe = opened(shared, url=secured.url, context=context)
    data = os.urandom(2_000_000)
    assert echoed(pipe, data) == data
    secured.cut_down = 300_000
    assert echoed(pipe, data) == data


def test_the_authority_may_be_named_by_the_environment(
    shared: Sandbox, opened: Opener, secured: Proxy, authority: trustme.CA, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert echoed(opened(shared, url=secured.url), b"hello") == b"hello"


def test_a_certificate_of_nobody_known_is_refused_at_once(shared: Sandbox, secured: Proxy) -> None:
    pipe = TunnelPipe(secured.url, shared.token, "x", ECHO)
    with pytest.raises(KernelStartError, match="the tunnel's certificate is refused"):
        pipe.start()


class Stranger:
    """Takes connections and says one thing to whatever is asked, and then nothing."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self.asked = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            taken, _ = self._listener.accept()
            self._taken.append(taken)
            self.asked = taken.recv(1 << 16)
            if self.asked == b"stop":
                return
            taken.sendall(self._said)

    def close(self) -> None:
        with socket.create_connection(self._listener.getsockname()) as line:
            line.sendall(b"stop")
            self._thread.join(WAIT_S)
        for taken in (*self._taken, self._listener):
            taken.close()


OK = b"HTTP/1.1 200 OK\r\nRlm-Gateway: 1\r\n"
ANSWERS = {
    "silence": (b"", "timed out"),
    "half a head": (OK, "timed out"),
    "no HTTP": (b"SSH-2.0-x\r\n\r\n", "SSH-2.0"),
    "a proxy's error": (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "status 502"),
    "a redirect": (
        b"HTTP/1.1 302 x\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n",
        "status 302",
    ),
    "a page": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "status 200"),
    "a huge body": (
        OK + b"Content-Length: 2000000\r\n\r\n" + bytes(1_100_000),
        "more than 1,048,576 bytes",
    ),
    "endless headers": (OK + b"A: b\r\n" * 200, "100 headers"),
    "a wrong offset": (OK + b"Rlm-At: 7\r\nContent-Length: 1\r\n\r\nx", "speaks of byte 7"),
    "no offset": (OK + b"Rlm-At: -0\r\nContent-Length: 1\r\n\r\nx", "speaks of byte None"),
    "an unknown status": (b"HTTP/1.1 418 x\r\nRlm-Gateway: 1\r\nContent-Length: 0\r\n\r\n", "418"),
    "an end that says nothing": (
        b"HTTP/1.1 410 x\r\nRlm-Gateway: 1\r\nContent-Length: 2\r\n\r\n[]",
        "does not say how",
    ),
}


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case)
def test_an_answer_that_no_gateway_gives_ends_the_pipe_with_the_reason(case: str) -> None:
    said, why = ANSWERS[case]
    hasty = Patience(start_s=0.5, lost_s=0.5, poll_s=0, answer_s=0.3)
    stranger = Stranger(said)
    pipe = TunnelPipe(stranger.url, "t", "x", ECHO, patience=hasty)
    try:
        if case == "an end that says nothing":
            assert pipe.read() == b""
        else:
            with pytest.raises(OSError, match=why):
                pipe.read()
        assert why in pipe.reason
    finally:
        pipe.close()
        stranger.close()


def test_half_an_answer_and_then_silence_is_taken_as_far_as_it_came() -> None:
    stranger = Stranger(OK + b"Rlm-At: 0\r\nContent-Length: 9\r\n\r\nhalf")
    hasty = Patience(poll_s=0, answer_s=0.3)
    with (
        closing(stranger),
        closing(TunnelPipe(stranger.url, "t", "x", ECHO, patience=hasty)) as pipe,
    ):
        assert pipe.read() == b"half"
        with pytest.raises(OSError, match="speaks of byte 0, not of 4"):
            pipe.read()
        assert b"?from=4&" in stranger.asked


def test_an_offset_that_was_not_written_is_not_believed() -> None:
    stranger = Stranger(OK + b"Rlm-At: 4\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    pipe = TunnelPipe(stranger.url, "t", "x", ECHO)
    with closing(stranger), closing(pipe):
        pipe.start()
        pipe.write(b"abc")
        assert eventually(lambda: "speaks of byte 4, not of 0" in pipe.reason)
        with pytest.raises(OSError, match="speaks of byte 4"):
            pipe.write(b"d")
