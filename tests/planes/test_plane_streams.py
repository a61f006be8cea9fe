"""Streams by offset: nothing is written twice, lost, or kept for ever."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from plane.stdio import ROOM, WINDOW, Dropped, Gone, Input, Output

pytestmark = pytest.mark.anyio


class Written:
    """What arrives at a process."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = 0

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        self.closed += 1


async def read(output: Output, offset: int, count: int) -> bytes:
    """So many bytes from there on; the reader goes then."""
    data = b""
    async with aclosing(output.read(offset)) as chunks:
        while len(data) < count:
            chunk, _ = await anext(chunks)
            data += chunk
    return data


async def test_what_is_written_again_arrives_once() -> None:
    process = Written()
    stdin = Input(process, process.close)
    await stdin.write(0, b"abc")
    await stdin.write(0, b"abc")
    await stdin.write(2, b"cde", eof=True)
    await stdin.write(2, b"cde", eof=True)
    assert (process.data, process.closed, stdin.written) == (b"abcde", 1, 5)


async def test_a_gap_in_what_is_written_is_refused() -> None:
    process = Written()
    with pytest.raises(Dropped, match="offset 4"):
        await Input(process, process.close).write(4, b"e")
    assert process.data == b""


async def test_after_the_end_nothing_more_is_taken() -> None:
    process = Written()
    stdin = Input(process, process.close)
    await stdin.write(0, b"abc", eof=True)
    with pytest.raises(ConnectionError):
        await stdin.write(3, b"d")


async def test_a_read_starts_again_where_it_says() -> None:
    output = Output()
    await output.put(b"abcdef")
    assert await read(output, 0, 6) == b"abcdef"
    assert await read(output, 2, 4) == b"cdef"
    with pytest.raises(Dropped, match="offset 1"):
        await read(output, 1, 1)


async def test_a_process_that_nobody_reads_stands_still() -> None:
    output = Output()
    await output.put(bytes(ROOM))
    more = asyncio.create_task(output.put(b"more"))
    _, waiting = await asyncio.wait([more], timeout=0.05)
    assert waiting == {more}
    assert len(await read(output, 0, ROOM)) == ROOM
    await asyncio.wait_for(more, 5)
    assert await read(output, ROOM, 4) == b"more"


async def test_what_must_have_arrived_is_not_kept() -> None:
    output = Output()
    offset = 0
    while offset <= WINDOW:
        await output.put(bytes(ROOM))
        offset += len(await read(output, offset, ROOM))
    with pytest.raises(Dropped):
        await read(output, 0, 1)


async def test_the_end_of_a_sandbox_is_no_end_of_output() -> None:
    output = Output()
    await output.put(b"abc")
    output.lose()
    output.close()
    assert await read(output, 0, 3) == b"abc"
    with pytest.raises(Gone):
        await read(output, 3, 1)
