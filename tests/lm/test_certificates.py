"""Endpoints that speak TLS: trusted, not trusted, and addresses that are wrong about it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from callers import Books, client, completed

from rlm_kernel.errors import LMError, UsageError

pytestmark = pytest.mark.anyio
BODY = b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}'
AUTHORITY = trustme.CA()


@asynccontextmanager
async def serving(host: str | None = "127.0.0.1") -> AsyncIterator[tuple[str, list[str]]]:
    """An endpoint with a certificate for a host, or without one: where it is, and who came."""
    came: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if context is None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-le"))
        await reader.readexactly(size)
        came.append("request")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
        await writer.drain()
        writer.close()

    context = None
    if host is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert(host).configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", came


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_ones_own_is_trusted_by_its_variable() -> None:
    async with serving() as (url, came), client(url) as lm:
        assert (await completed(lm, Books())).text == "fine"
    assert came == ["request"]


async def test_a_certificate_that_is_not_trusted_is_named_and_not_tried_again() -> None:
    books = Books()
    async with serving() as (url, came), client(url) as lm:
        with pytest.raises(LMError, match="SSL_CERT_FILE") as caught:
            await completed(lm, books)
    assert (caught.value.cause, caught.value.attempts) == ("certificate", 1)
    assert "certificate verify failed" in str(caught.value)
    assert not caught.value.may_pass
    assert came == []
    assert books.usage.tokens == 0


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_host_is_said() -> None:
    async with serving("models.example.com") as (url, _), client(url) as lm:
        with pytest.raises(LMError, match="not valid for '127") as caught:
            await completed(lm, Books())
    assert (caught.value.cause, caught.value.attempts) == ("certificate", 1)


async def test_an_endpoint_without_tls_is_said() -> None:
    async with serving(None) as (url, _), client(url) as lm:
        with pytest.raises(LMError, match="its address begins with http:") as caught:
            await completed(lm, Books())
    assert (caught.value.cause, caught.value.attempts) == ("certificate", 1)


@pytest.mark.parametrize("content", [None, "junk"])
async def test_a_variable_that_names_no_certificates_is_said_at_once(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE=.*own\.pem: no certificates"):
        async with client("https://models.example.com/v1"):
            pass
