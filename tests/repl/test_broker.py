"""The broker against clients that are wrong, rude or gone."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.remote.guest import HEADER, MAX_HEADER, pack, unpack_header
from rlm_kernel.repl import broker, frames

pytestmark = pytest.mark.anyio


class Echo:
    """Answers with what was asked, or never; notes what was cancelled."""

    def __init__(self) -> None:
        self.asked: list[broker.Request] = []
        self.began, self.cancelled = asyncio.Event(), asyncio.Event()

    def takes(self, header: dict[str, Any]) -> int:
        return int(header.get("takes", frames.MAX_PAYLOAD))

    async def answer(self, request: broker.Request) -> dict[str, Any]:
        self.asked.append(request)
        self.began.set()
        if request.op == "never":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return {"value": [request.header, request.payload.size]}


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[tuple[Echo, broker.BrokerAddress]]:
    echo = Echo()
    async with asyncio.timeout(30), broker.serve(tmp_path, echo) as address:
        yield echo, address


@asynccontextmanager
async def connected(
    address: broker.BrokerAddress, token: Any = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(address.where))
    try:
        writer.write(pack({"token": address.token if token is None else token}))
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):  # it was refused with something unread
            await writer.wait_closed()


async def _reply(reader: asyncio.StreamReader) -> Any:
    size, extra = HEADER.unpack(await reader.readexactly(HEADER.size))
    assert extra == 0
    return unpack_header(await reader.readexactly(size))


async def _refused(reader: asyncio.StreamReader) -> bool:
    """The connection ends, perhaps with a word on why."""
    try:
        said = await reader.read()
    except ConnectionError:
        return True
    return not said or "error" in unpack_header(said[HEADER.size :])  # type: ignore[operator]


async def test_requests_are_answered_one_after_another(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, address), connected(address) as (reader, writer):
        for number in range(3):
            writer.write(pack({"op": "x", "n": number, "odd": "\ud800\0"}, b"abc"))
            assert await _reply(reader) == {
                "value": [{"op": "x", "n": number, "odd": "\ud800\0"}, 3]
            }


@pytest.mark.parametrize("token", ["wrong", "", 5, None.__class__.__name__, ["x"], "\ud800"])
async def test_a_wrong_token_is_refused(tmp_path: Path, token: Any) -> None:
    async with served(tmp_path) as (echo, address), connected(address, token) as (reader, writer):
        writer.write(pack({"op": "x"}))
        assert await _refused(reader)
        assert echo.asked == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 3,
        struct.pack(">IQ", 4, 0) + b"nope",
        struct.pack(">IQ", 2, 0) + b"[]",
        struct.pack(">IQ", 4, 0) + b"\xff\xfe\x00\x00",
        struct.pack(">IQ", 60_000, 0) + b"[" * 60_000,
        struct.pack(">IQ", MAX_HEADER + 1, 0),
        struct.pack(">IQ", 2, frames.MAX_PAYLOAD + 1) + b"{}",
    ],
)
async def test_garbage_ends_its_connection_and_no_other(tmp_path: Path, garbage: bytes) -> None:
    async with served(tmp_path) as (echo, address), connected(address) as (good, to_good):
        async with connected(address) as (reader, writer):
            writer.write(garbage)
            assert await _refused(reader)
        to_good.write(pack({"op": "still"}))
        assert await _reply(good) == {"value": [{"op": "still"}, 0]}
        assert [request.op for request in echo.asked] == ["still"]


@pytest.mark.parametrize("size", [(frames.TOKEN_FRAME + 1, 0), (2, 1)])
async def test_an_oversized_greeting_is_refused_before_it_is_read(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with served(tmp_path) as (_, address):
        reader, writer = await asyncio.open_unix_connection(str(address.where))
        writer.write(struct.pack(">IQ", *size))
        assert await _refused(reader)
        writer.close()


async def test_a_half_frame_and_a_hang_up_harm_nobody(tmp_path: Path) -> None:
    async with served(tmp_path) as (echo, address):
        async with connected(address) as (_, writer):
            writer.write(pack({"op": "x"})[:7])
        async with connected(address) as (reader, writer):
            writer.write(pack({"op": "y"}))
            await _reply(reader)
        assert [request.op for request in echo.asked] == ["y"]


async def test_a_caller_that_hangs_up_cancels_its_request(tmp_path: Path) -> None:
    async with served(tmp_path) as (echo, address):
        async with connected(address) as (_, writer):
            writer.write(pack({"op": "never"}))
            await echo.began.wait()
        await echo.cancelled.wait()


async def test_the_end_of_the_node_cancels_what_is_under_way(tmp_path: Path) -> None:
    async with served(tmp_path) as (echo, address):
        _, writer = await asyncio.open_unix_connection(str(address.where))
        writer.write(pack({"token": address.token}) + pack({"op": "never"}))
        await echo.began.wait()
    assert echo.cancelled.is_set()
    writer.close()


async def test_the_socket_is_the_owners_alone_and_tokens_differ(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    async with served(tmp_path) as (_, one), served(tmp_path / "b") as (_, two):
        assert Path(str(one.where)).stat().st_mode & 0o777 == 0o600
        assert one.token != two.token
        async with connected(two, one.token) as (reader, _):
            assert await _refused(reader)
