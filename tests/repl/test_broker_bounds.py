"""What a node's calls may take of the host: memory, disk, connections and time."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from test_broker import Echo, _refused, _reply, connected, served

from rlm_kernel.remote.guest import MAX_HEADER, pack
from rlm_kernel.repl import broker, frames

pytestmark = pytest.mark.anyio
MIB = 1 << 20


@asynccontextmanager
async def open_call(tmp_path: Path) -> AsyncIterator[tuple[Echo, Any, Any]]:
    async with served(tmp_path) as (echo, address), connected(address) as (reader, writer):
        yield echo, reader, writer


def announced(header: dict[str, Any], payload: int) -> bytes:
    """A frame's head that announces a payload, and the header."""
    frame = pack(header)
    return struct.pack(">IQ", len(frame) - 12, payload) + frame[12:]


@pytest.mark.parametrize("size", [frames.MAX_PAYLOAD + 1, 1 << 32, 2**63, 2**64 - 1])
async def test_a_payload_that_is_too_large_is_refused_before_any_of_it_comes(
    tmp_path: Path, size: int
) -> None:
    async with open_call(tmp_path) as (echo, reader, writer):
        writer.write(announced({"op": "rlm_query"}, size))
        assert "268,435,456 of contexts" in (await _reply(reader))["error"]["message"]
        assert await _refused(reader)
        assert echo.asked == []


async def test_a_header_that_is_too_large_is_refused_before_any_of_it_comes(
    tmp_path: Path,
) -> None:
    async with open_call(tmp_path) as (_, reader, writer):
        writer.write(struct.pack(">IQ", MAX_HEADER + 1, 0))
        assert "one may carry 67,108,864" in (await _reply(reader))["error"]["message"]
        assert await _refused(reader)


async def test_a_payload_of_a_call_that_takes_none_is_passed_over_with_a_word(
    tmp_path: Path,
) -> None:
    async with open_call(tmp_path) as (echo, reader, writer):
        writer.write(pack({"op": "ran", "takes": 0}, bytes(3 * MIB)))
        assert "takes no contexts" in (await _reply(reader))["error"]["message"]
        assert list(tmp_path.iterdir()) == [tmp_path / "broker.sock"]
        writer.write(pack({"op": "next"}))
        assert (await _reply(reader))["value"][0]["op"] == "next"
        assert [request.op for request in echo.asked] == ["next"]


async def test_a_large_payload_is_in_a_private_file_until_its_call_is_answered(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (echo, address):
        async with connected(address) as (_, writer):
            data = bytes(range(256)) * (MIB // 64)
            writer.write(pack({"op": "never"}, data))
            await echo.began.wait()
            [request] = echo.asked
            path = request.payload.path
            assert path is not None
            assert path.stat().st_mode & 0o777 == 0o600
            assert request.payload.part(1, len(data) - 1).read() == data[1:]
        await echo.cancelled.wait()
        while path.exists():
            await asyncio.sleep(0)


async def test_payloads_wait_for_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "SPOOLED_BYTES", 3 * MIB)
    async with served(tmp_path) as (echo, address), connected(address) as (reader, writer):
        async with connected(address) as (_, first):
            first.write(pack({"op": "never"}, bytes(2 * MIB)))
            await echo.began.wait()
            writer.write(pack({"op": "second"}, bytes(2 * MIB)))
            assert await _silent(reader)
        assert (await _reply(reader))["value"][1] == 2 * MIB


async def test_headers_wait_for_room_in_memory_and_small_ones_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "HELD_BYTES", 3 * MIB)
    async with served(tmp_path) as (echo, address), connected(address) as (reader, writer):
        async with connected(address) as (_, first), connected(address) as (other, to_other):
            first.write(pack({"op": "never", "prompts": ["x" * 2 * MIB]}))
            await echo.began.wait()
            writer.write(pack({"op": "second", "prompts": ["x" * 2 * MIB]}))
            assert await _silent(reader)
            to_other.write(pack({"op": "ran"}))
            assert (await _reply(other))["value"][0]["op"] == "ran"
        assert (await _reply(reader))["value"][0]["op"] == "second"


async def _silent(reader: asyncio.StreamReader) -> bool:
    """Nothing has come though all could."""
    for _ in range(50):
        await asyncio.sleep(0)
    return not reader._buffer  # type: ignore[attr-defined]


@pytest.mark.parametrize("item", ["[],", "{},", "0,", '"a",', '"",'])
async def test_values_that_would_fill_the_memory_once_read_are_refused(
    tmp_path: Path, item: str
) -> None:
    many = f'{{"op": "x", "prompts": [{item * (24 * MIB // len(item))}0]}}'.encode()
    async with open_call(tmp_path) as (echo, reader, writer):
        writer.write(struct.pack(">IQ", len(many), 0) + many)
        assert "too many together" in (await _reply(reader))["error"]["message"]
        assert echo.asked == []


async def test_a_thousand_long_prompts_pass(tmp_path: Path) -> None:
    prompts = [f'{i}, \U0001f600 [\\"{{' + "é," * 5_000 for i in range(1000)]
    async with open_call(tmp_path) as (echo, reader, writer):
        writer.write(pack({"op": "llm_query_batched", "prompts": prompts}))
        await _reply(reader)
        assert echo.asked[0].header["prompts"] == prompts


async def test_a_connection_without_a_token_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "HELLO_S", 0.05)
    async with served(tmp_path) as (_, address):
        reader, writer = await asyncio.open_unix_connection(str(address.where))
        assert await _refused(reader)
        writer.close()


@pytest.mark.parametrize("begun", [pack({"op": "x" * 100})[:50], announced({"op": "x"}, 1 << 20)])
async def test_a_frame_that_never_comes_whole_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(frames, "PATIENCE_S", 0.05)
    monkeypatch.setattr(frames, "SLOWEST", 1 << 40)
    async with open_call(tmp_path) as (_, reader, writer):
        writer.write(begun)
        assert await _refused(reader)


async def test_the_silent_give_way_to_those_who_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "SILENT_S", 0.02)
    async with served(tmp_path) as (_, address):
        with ExitStack() as stack:
            for _ in range(4 * broker.MAX_CONNECTIONS):
                _hold(stack, address)
            for _ in range(3):
                async with connected(address) as (reader, writer):
                    writer.write(pack({"op": "x"}))
                    assert await _reply(reader)


def _hold(stack: ExitStack, address: broker.BrokerAddress) -> None:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.setblocking(False)
    try:
        sock.connect(str(address.where))
        sock.send(pack({"token": address.token}))
    except BlockingIOError:
        return  # as many wait as the system lets wait


async def test_those_who_were_served_give_way_when_all_places_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "SILENT_S", 0.02)
    async with served(tmp_path) as (_, address), AsyncExitStack() as stack:
        for _ in range(broker.MAX_CONNECTIONS + 8):
            reader, writer = await stack.enter_async_context(connected(address))
            writer.write(pack({"op": "x"}))
            await _reply(reader)


async def test_those_who_are_served_do_not_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "SILENT_S", 0.02)
    async with served(tmp_path) as (echo, address), connected(address) as (_, writer):
        writer.write(pack({"op": "never"}))
        await echo.began.wait()
        with ExitStack() as stack:
            for _ in range(2 * broker.MAX_CONNECTIONS):
                _hold(stack, address)
            async with connected(address) as (reader, to_broker):
                to_broker.write(pack({"op": "x"}))
                await _reply(reader)
        assert not echo.cancelled.is_set()


async def test_without_descriptors_one_line_is_logged_and_the_caller_is_served_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "ACCEPT_S", 0.01)
    async with served(tmp_path) as (_, address), connected(address) as (first, to_first):
        to_first.write(pack({"op": "x"}))
        await _reply(first)
        with socket.socket(socket.AF_UNIX) as late:
            with _no_more_files():
                late.connect(str(address.where))
                while not caplog.records:
                    to_first.write(pack({"op": "x"}))
                    await _reply(first)
            late.sendall(pack({"token": address.token}) + pack({"op": "y"}))
            late.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(late, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "calls of a kernel were refused; of more nothing is said: no connection can be taken: "
        "Too many open files"
    ]


class _no_more_files:
    def __enter__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as lowest:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), self._limits[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)


async def test_a_flood_of_wrong_calls_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path) as (_, address):
        for _ in range(20):
            async with connected(address, "wrong") as (reader, _):
                assert await _refused(reader)
    assert len(caplog.records) == 1
