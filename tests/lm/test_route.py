"""The way to an endpoint: which proxy is asked, where a redirect leads, where an answer ends."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from callers import KEY, Books, Says, client, completed, streamed, ways

from rlm_kernel.errors import LMError, UsageError
from rlm_kernel.lm import attempts, route, stream, transport
from rlm_kernel.testing import FakeEndpoint, Status

pytestmark = [
    pytest.mark.anyio,
    # How the transport that openai brings gives a proxy its login.
    pytest.mark.filterwarnings("ignore:(BasicAuth|The 'proxy_auth'):DeprecationWarning"),
]
NOWHERE = "http://127.0.0.1:9"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
FAR = "http://models.example.com/v1"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@ways
@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", [NOWHERE, "socks4://h:1"])
async def test_an_lm_on_this_machine_is_never_asked_through_a_proxy(
    ask: Callable[..., Any], name: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", "example.com")
    async with FakeEndpoint(Says("fine")) as fake:
        for host in ("127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0"):
            url = fake.base_url.replace("127.0.0.1", host)
            async with client(url, retries=0) as lm:
                assert (await ask(lm, Books())).text == "fine"
                assert await lm.models() == ["fake-model"]


@pytest.mark.parametrize(
    "host",
    ["[::1]", "127.1", "[::ffff:127.0.0.1]", "[::]", "localhost.", "a.localhost", "127.255.255.254",
     "2130706433", "0x7f.1"],
)  # fmt: skip
async def test_whatever_leads_to_this_machine_is_on_it(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert await route.proxy_to(f"http://{host}:8000/v1") is None


@pytest.mark.parametrize(
    ("addresses", "direct"),
    [
        (["127.0.1.1"], True),
        (["127.0.0.1", "::1"], True),
        (["127.0.0.1", "192.0.2.1"], False),
        (["192.0.2.1"], False),
        ([], False),
    ],
)
async def test_a_name_is_of_this_machine_if_all_its_addresses_are(
    addresses: list[str], direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: object, **more: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert (await route.proxy_to("http://mybox:8000/v1") is None) == direct


@asynccontextmanager
async def proxy(status: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy that answers itself: a reply, or a status."""
    asked: list[str] = []
    body = json.dumps({"choices": [{"message": {"content": "by proxy"}, "finish_reason": "stop"}]})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode().splitlines()[0])
        first = status or "200 OK"
        text = "no" if status else body
        writer.write(f"HTTP/1.1 {first}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@ways
async def test_others_are_asked_through_the_proxy(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy() as (url, asked):
        monkeypatch.setenv("http_proxy", url)
        async with client(FAR) as lm:
            assert (await ask(lm, Books())).text == "by proxy"
    assert asked == [f"POST {FAR}/chat/completions HTTP/1.1"]


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("models.example.com", True),
        ("example.com", True),
        (".example.com", True),
        ("*.example.com", True),
        ("*", True),
        ("other.com, models.example.com:80", False),
        ("xample.com", False),
        ("", False),
    ],
)
async def test_no_proxy_holds(no_proxy: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (await route.proxy_to(FAR) is None) == direct


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [("192.0.2.0/24", True), ("192.0.2.7", True), ("192.0.3.0/24", False), ("nonsense/8", False)],
)
async def test_no_proxy_may_name_networks(
    no_proxy: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (await route.proxy_to("http://192.0.2.7:8000/v1") is None) == direct


@ways
async def test_an_error_at_a_proxy_names_the_variable(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, url in (("http_proxy", FAR), ("ALL_PROXY", FAR), ("https_proxy", "https://x.test")):
        with monkeypatch.context() as patch:
            patch.setenv(name, "http://me:secret@127.0.0.1:9")
            async with client(url, retries=0) as lm:
                with pytest.raises(LMError, match=name) as caught:
                    await ask(lm, Books())
        assert caught.value.cause == "proxy"
        assert "secret" not in str(caught.value)
        assert "Start the server" not in str(caught.value)


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_an_answer_of_the_proxy_itself_names_the_variable(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy(status) as (url, _):
        for name, far in (("http_proxy", FAR), ("https_proxy", "https://x.test/v1")):
            monkeypatch.setenv(name, url)
            async with client(far, retries=0) as lm:
                with pytest.raises(LMError, match=name) as caught:
                    await completed(lm, Books())
            assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "ftp"])
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "ALL_PROXY"])
async def test_a_proxy_of_another_kind_is_refused_at_once(
    scheme: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"{scheme}://me:secret@127.0.0.1:9")
    with pytest.raises(
        UsageError, match=f"{name}={scheme}://127.0.0.1:9: .* is not supported"
    ) as e:
        async with client(FAR):
            pass
    assert "secret" not in str(e.value)
    monkeypatch.setenv("no_proxy", "models.example.com")
    async with client(FAR):
        pass


async def test_certificates_of_the_environment_are_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises((OSError, UsageError)):
        async with client("https://models.example.com/v1"):
            pass


# -- redirects ------------------------------------------------------------------------------------
@ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_gets_no_prompt(
    ask: Callable[..., Any], status: int
) -> None:
    async with FakeEndpoint(Says("stolen")) as other:
        for target in (
            f"{other.base_url}/chat/completions",
            f"//127.0.0.1:{other.base_url.split(':')[2]}/chat/completions",
            "http://evil.test/v1",
            "https://evil.test/v1",
            "http://me:secret@127.0.0.1.evil.test/",
        ):
            said = Says(Status(status, headers={"Location": target}))
            async with FakeEndpoint(said) as fake, client(fake.base_url) as lm:
                with pytest.raises(LMError) as caught:
                    await ask(lm, Books())
            assert len(fake.log) == 1
            assert (caught.value.cause, caught.value.status) == ("redirect", status)
            assert target.split("/")[2].rpartition("@")[2] in str(caught.value)
            assert "secret" not in str(caught.value)
            assert KEY not in str(caught.value)
        assert not other.log


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_server_that_keeps_the_request_is_followed(status: int) -> None:
    said = Says(Status(status, headers={"Location": "/v1/chat/completions?again"}), "fine")
    async with FakeEndpoint(said) as fake, client(fake.base_url) as lm:
        fake.answer = _any_path(fake.answer)  # type: ignore[method-assign]
        assert (await completed(lm, Books())).text == "fine"
    assert fake.log[1].messages == fake.log[0].messages


async def test_a_redirect_that_would_lose_the_request_is_told() -> None:
    said = Says(Status(301, headers={"Location": "/v1/elsewhere"}))
    async with FakeEndpoint(said) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError, match=r"refers to another address.*/v1/elsewhere"):
            await completed(lm, Books())


async def test_redirects_without_end_are_an_error() -> None:
    said = Says(Status(307, headers={"Location": "/v1/chat/completions"}))
    async with FakeEndpoint(said) as fake, client(fake.base_url, retries=0) as lm:
        with pytest.raises(LMError):
            await completed(lm, Books())
    assert len(fake.log) < 30


def _any_path(answer: Callable[..., Any]) -> Callable[..., Any]:
    def answered(exchange: Any) -> Any:
        exchange.path = exchange.path.partition("?")[0]
        return answer(exchange)

    return answered


# -- answers without an end -----------------------------------------------------------------------
@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 1 << 20)
    monkeypatch.setattr(stream, "MAX_EVENT_BYTES", 1 << 18)
    monkeypatch.setattr(attempts, "MAX_REPLY_CHARS", 200_000)


@asynccontextmanager
async def endless(head: str, piece: bytes, pause_s: float = 0.0) -> AsyncIterator[str]:
    """A server that never ends its answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode())
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    serving: set[asyncio.Task[None] | None] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        for task in filter(None, serving):
            task.cancel()
        await asyncio.gather(*filter(None, serving))


def _event(text: str, field: str = "content") -> bytes:
    body = {"choices": [{"delta": {field: text}}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@pytest.mark.usefixtures("small_bounds")
@ways
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("200 OK", b" " * 60_000),
        ("200 OK", b"x" * 60_000),
        ("500 Oh", b"x" * 60_000),
        ("302 There\r\nLocation: /v1/x", b"x" * 60_000),
        ("200 OK", _event("x" * 50_000)),
        ("200 OK", _event("x" * 50_000, "reasoning_content")),
        ("200 OK", b": still here\n" * 4000),
        ("200 OK", _event("") * 1000),
    ],
)
async def test_an_answer_without_an_end_is_an_error(
    ask: Callable[..., Any], head: str, piece: bytes
) -> None:
    async with endless(head, piece) as url, client(url, retries=0, timeout_s=1.0) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, Books())
    assert caught.value.cause in ("endless", "server", "redirect", "timeout")


async def test_a_stream_that_trickles_ends_in_its_time() -> None:
    loop = asyncio.get_running_loop()
    async with (
        endless("200 OK", _event("x"), 0.01) as url,
        client(url, timeout_s=0.1, retries=2) as lm,
    ):
        began = loop.time()
        with pytest.raises(LMError, match=r"still sending after 0\.6 s") as caught:
            await streamed(lm, Books())
        assert loop.time() - began < 10
    assert (caught.value.cause, caught.value.attempts) == ("endless", 1)
    assert not caught.value.may_pass


@pytest.mark.usefixtures("small_bounds")
@ways
@pytest.mark.parametrize(("status", "encoding"), [(200, "gzip"), (500, "gzip"), (200, "deflate")])
async def test_what_unpacks_to_gigabytes_is_an_error(
    ask: Callable[..., Any], status: int, encoding: str
) -> None:
    packed = _bomb(encoding)
    head = f"{status} Here\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}"
    async with endless(head, packed, 60) as url, client(url, retries=0) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, Books())
    assert caught.value.cause == ("endless" if status == 200 else "server")


def _bomb(encoding: str) -> bytes:
    bits = zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    blanks = b" " * (1 << 20)
    parts = [packer.compress(blanks) for _ in range(16)]
    return b"".join([*parts, packer.flush()])


@ways
async def test_a_packed_answer_is_read(ask: Callable[..., Any]) -> None:
    whole = {"choices": [{"message": {"content": "packed"}, "finish_reason": "stop"}]}
    packed = gzip.compress(json.dumps(whole).encode())
    head = f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}"
    async with endless(head, packed, 60) as url, client(url, retries=0) as lm:
        assert (await ask(lm, Books())).text == "packed"
