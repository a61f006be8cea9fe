"""Carries a kernel's channels, its broker calls and files over one byte pipe.

This file runs inside a container or sandbox (``main``), with the pipe as its standard input and
output, and is imported on the host for the rules of the pipe that both ends share. It needs
Python 3.9 and pyzmq, which ipykernel brings, and nothing of ours.

A frame is kind, lane and length, then at most ``CHUNK`` bytes. A lane is a stream of bytes each
way of which the sender may have ``WINDOW`` bytes under way; the receiver gives back what it has
passed on, so that a slow reader stops its own sender and nobody else. A kernel channel is a lane
that carries messages whole, unread and still signed; a connection to the broker and a transfer of
files have a lane for as long as they last, and so has a connection to a frozen fork of the kernel.
A fork that wakes takes the kernel's place behind lanes of its own. What opens, ends or orders
something is small and goes ahead of data; control and stdin go ahead of other lanes. Whatever
breaks a rule ends the pipe with ``PipeError``: the host trusts nothing that comes from inside.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Union

try:
    import zmq
except ImportError:  # said over the pipe, where somebody reads it
    zmq = None  # type: ignore[assignment]

Bytes = Union[bytes, bytearray, memoryview]  # noqa: UP007 (evaluated, and 3.9 has no other way)
Frame = tuple[int, int, bytes]
Fields = dict[str, Any]

HEAD = struct.Struct(">BII")
CHUNK = 1 << 16
WINDOW = 1 << 22
STREAM_WINDOW = 1 << 19
BATCH = 1 << 18
DATA, END, RESET, CREDIT, OPEN, ORDER = range(1, 7)
SHELL, CONTROL, STDIN, IOPUB = range(1, 5)
FIRST = 0
"""Number of the kernel that was started; those that woke later are counted from there."""
CHANNELS = {SHELL: "shell", CONTROL: "control", STDIN: "stdin", IOPUB: "iopub"}
FIRST_FREE = 16
"""Lanes from here on are opened one after another: even ones inside, odd ones on the host."""
MAX_STREAMS = 72
"""Connections to the broker: a few more than it serves, so that silent ones can give way there."""
MAX_URGENT = 10_000
"""Small frames that wait for the other end to read; one that reads leaves a handful."""
MAX_PARTS = 1 << 16
STALL_MS = 5
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
LOG_BYTES = 1 << 14


class PipeError(Exception):
    """Raised where the pipe's rules are broken, or the other end is silent or gone."""


# bytes to frames, frames to bytes


def pack(kind: int, lane: int, payload: Bytes = b"") -> bytes:
    return HEAD.pack(kind, lane, len(payload)) + payload


class Decoder:
    """Makes frames of bytes that come cut anywhere."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._start = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now. Raises ``PipeError`` for a head that no frame has,
        before its payload is waited for."""
        if len(self._start) < 80:
            self._start += data[: 80 - len(self._start)]
        self._rest += data
        frames, at = [], 0
        while len(self._rest) - at >= HEAD.size:
            kind, lane, size = HEAD.unpack_from(self._rest, at)
            if not DATA <= kind <= ORDER or size > CHUNK:
                raise PipeError(
                    f"a frame of kind {kind} with {size:,} bytes (there are kinds 1 to 6, and"
                    f" {CHUNK:,} bytes at most); the stream began with {self._start!r}"
                )
            if len(self._rest) - at < HEAD.size + size:
                break
            at += HEAD.size
            with memoryview(self._rest) as view:
                frames.append((kind, lane, bytes(view[at : at + size])))
            at += size
        del self._rest[:at]
        return frames


def parse_fields(payload: bytes) -> Fields:
    try:
        fields = json.loads(payload.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise PipeError(f"an order that is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise PipeError(f"an order that is no JSON object: {payload[:80]!r}")
    return fields


def dump_fields(fields: Fields) -> bytes:
    """Return an order as payload. Raises ``PipeError`` for what does not fit into one frame."""
    payload = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(payload) > CHUNK:
        raise PipeError(f"an order of {len(payload):,} bytes; a frame holds {CHUNK:,}")
    return payload


# messages and records: what lanes carry


def pack_message(parts: list[bytes]) -> list[Bytes]:
    """Return a multipart message as pieces to put on a lane; a small one is one piece."""
    head = struct.pack(f">I{len(parts)}Q", len(parts), *map(len, parts))
    if sum(map(len, parts)) < CHUNK:
        return [b"".join([head, *parts])]
    return [head, *parts]


class MessageReader:
    """Makes the messages of one lane of chunks that are cut anywhere."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._sizes: tuple[int, ...] | None = None

    def feed(self, data: bytes) -> list[list[memoryview]]:
        """Return the messages that are whole now. Raises ``PipeError`` for one over the limit,
        before it is collected."""
        self._rest += data
        messages = []
        while self._read_sizes() and self._sizes is not None:
            total = sum(self._sizes)
            if len(self._rest) < total:
                break
            body, self._rest = self._rest, self._rest[total:]
            messages.append(_split(memoryview(body), self._sizes))
            self._sizes = None
        return messages

    def _read_sizes(self) -> bool:
        if self._sizes is not None:
            return True
        if len(self._rest) < 4:
            return False
        (count,) = struct.unpack_from(">I", self._rest)
        if not 1 <= count <= MAX_PARTS:
            raise PipeError(f"a message of {count} parts, the limit is {MAX_PARTS}")
        if len(self._rest) < 4 + 8 * count:
            return False
        sizes = struct.unpack_from(f">{count}Q", self._rest, 4)
        if sum(sizes) > self._limit:
            raise PipeError(f"a message of {sum(sizes):,} bytes, the limit is {self._limit:,}")
        self._sizes = sizes
        del self._rest[: 4 + 8 * count]
        return True


def _split(body: memoryview, sizes: tuple[int, ...]) -> list[memoryview]:
    parts, at = [], 0
    for size in sizes:
        parts.append(body[at : at + size])
        at += size
    return parts


def pack_record(name: str, size: int) -> bytes:
    """The head of one file of a transfer; ``size`` bytes follow it."""
    data = dump_fields({"name": name, "size": size})
    return struct.pack(">I", len(data)) + data


def plain(name: str) -> bool:
    """Return whether a name is that of a file in a folder and nothing else."""
    return 0 < len(name) <= 200 and name not in (".", "..") and not set(name) & set("/\\\0")


# lanes


class Lane:
    """One lane: bytes to be sent, and how many each end may still send on it."""

    def __init__(self, number: int, window: int = WINDOW, channel: int = 0) -> None:
        """``channel`` is the kernel's that it carries, where that is not its number."""
        self.number = number
        self.ahead = (channel or number) in (CONTROL, STDIN)
        self.window = window
        self.credit = window
        self.allowed = window
        self.owed = 0
        self.queued = 0
        self.ending = False
        self.ended = False
        self._queue: deque[memoryview] = deque()

    @property
    def full(self) -> bool:
        """Return whether its source should wait until some of this has gone."""
        return self.queued >= BATCH

    @property
    def sendable(self) -> bool:
        if self._queue:
            return self.credit > 0
        return self.ending and not self.ended

    def push(self, *pieces: Bytes) -> None:
        for piece in pieces:
            if len(piece):
                self._queue.append(memoryview(piece))
                self.queued += len(piece)

    def cut(self) -> bytes:
        """The next frame."""
        if not self._queue:
            self.ended = True
            return pack(END, self.number)
        size = left = min(CHUNK, self.credit, self.queued)
        pieces: list[Bytes] = [HEAD.pack(DATA, self.number, size)]
        while left:
            piece = self._queue.popleft()
            if len(piece) > left:
                self._queue.appendleft(piece[left:])
                piece = piece[:left]
            pieces.append(piece)
            left -= len(piece)
        self.queued -= size
        self.credit -= size
        return b"".join(pieces)


class Outbox:
    """The queue to the host: orders, then control and stdin, then a chunk of each lane in turn."""

    def __init__(self) -> None:
        self._urgent: deque[bytes] = deque()
        self._turns: tuple[deque[Lane], deque[Lane]] = (deque(), deque())
        self._waiting: set[Lane] = set()

    def __bool__(self) -> bool:
        return bool(self._urgent or self._waiting)

    def send(self, kind: int, lane: int, payload: Bytes = b"") -> None:
        if len(self._urgent) >= MAX_URGENT:
            raise PipeError(f"{MAX_URGENT:,} frames wait for the other end, which does not read")
        self._urgent.append(pack(kind, lane, payload))

    def order(self, **fields: Any) -> None:
        self.send(ORDER, 0, dump_fields(fields))

    def stir(self, lane: Lane) -> None:
        """Queue a lane that may have something to send now."""
        if lane.sendable and lane not in self._waiting:
            self._waiting.add(lane)
            self._turns[not lane.ahead].append(lane)

    def forget(self, lane: Lane) -> None:
        if lane in self._waiting:
            self._waiting.discard(lane)
            self._turns[not lane.ahead].remove(lane)

    def batch(self) -> tuple[bytes, set[Lane]]:
        """Frames to write at once, about ``BATCH`` bytes at most, and the lanes they came from."""
        frames: list[bytes] = []
        size, drained = 0, set()
        while self._urgent and size < BATCH:
            frames.append(self._urgent.popleft())
            size += len(frames[-1])
        for turns in self._turns:
            while turns and size < BATCH:
                lane = turns.popleft()
                self._waiting.discard(lane)
                frames.append(lane.cut())
                size += len(frames[-1])
                drained.add(lane)
                self.stir(lane)
        return b"".join(frames), drained


# what is behind a lane


class Channel:
    """A lane and what it leads to. Its methods are called by its ``End``, on one thread."""

    to_broker = False

    def __init__(self, end: End, lane: Lane) -> None:
        self.end = end
        self.lane = lane

    def receive(self, data: bytes) -> None:
        """Take bytes that came. ``end.passed_on`` gives them back as credit once they went on."""
        raise PipeError(f"data on lane {self.lane.number}, which has only one way")

    def ended(self) -> None:
        """Take it that the other end has no more to send."""
        raise PipeError(f"lane {self.lane.number} ended, which lasts as long as the pipe")

    def drained(self) -> None:
        """Go on: something of the lane was sent, or credit came."""

    def retry(self) -> None:
        """Try again what could not go on a moment ago."""

    def close(self) -> None:
        """Let go of what it leads to; the lane is gone already."""


class Messages(Channel):
    """One kernel channel: whole multipart messages from and to a zmq socket."""

    def __init__(
        self,
        end: End,
        lane: Lane,
        sock: zmq.Socket[bytes],
        limit: int,
        checked: Callable[[list[bytes]], list[bytes]] = list,
    ) -> None:
        """``limit`` is for messages from the pipe; those from the socket go through ``checked``."""
        super().__init__(end, lane)
        self.sock = sock
        self._checked = checked
        self._reader = MessageReader(limit)
        self._ready: deque[list[memoryview]] = deque()
        self._held = 0
        self.sent = 0
        self.drained()

    def drained(self) -> None:
        self.end.watch(self.sock, 0 if self.lane.full else zmq.POLLIN, self._read)

    def _read(self, flags: int) -> None:
        with suppress(zmq.Again):
            while not self.lane.full:
                parts = self._checked(self.sock.recv_multipart(zmq.NOBLOCK))
                self.end.push(self.lane, *pack_message(parts))
        self.drained()

    def receive(self, data: bytes) -> None:
        self._held += len(data)
        self._ready.extend(self._reader.feed(data))
        self.retry()

    def send_first(self) -> None:
        """Send one message that is ready. Raises ``zmq.Again`` where there is no room."""
        self.sock.send_multipart(self._ready[0], zmq.NOBLOCK, copy=False)
        self._ready.popleft()
        self.sent += 1

    def retry(self) -> None:
        """Send what is ready. A socket that is full is tried again a moment later: a PUB socket
        that must not drop says nothing when there is room."""
        while self._ready:
            try:
                self.send_first()
            except zmq.Again:
                self.end.stalled.add(self)
                return
        self.end.stalled.discard(self)
        self.end.passed_on(self.lane, self._held)
        self._held = 0

    def close(self) -> None:
        self.end.watch(self.sock, 0)
        self.sock.close()


class Stream(Channel):
    """One connection to the broker: bytes from and to a unix socket."""

    to_broker = True

    def __init__(self, end: End, lane: Lane, sock: socket.socket) -> None:
        super().__init__(end, lane)
        self.sock = sock
        self._waiting: deque[memoryview] = deque()
        self._peer_ended = False
        sock.setblocking(False)
        self._interest()

    def _interest(self) -> None:
        wanted = 0 if self.lane.full or self.lane.ending else zmq.POLLIN
        self.end.watch(self.sock, wanted | (zmq.POLLOUT if self._waiting else 0), self._event)

    def _event(self, flags: int) -> None:
        try:
            if flags & ~zmq.POLLOUT and not self.lane.full and not self.lane.ending:
                self._read()
            if self._waiting:
                self._write()
        except OSError:
            self.end.reset(self.lane)
        else:
            self._after()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            data = self.sock.recv(CHUNK)
            if data:
                self.end.push(self.lane, data)
            else:
                self.end.finish(self.lane)

    def _write(self) -> None:
        with suppress(BlockingIOError):
            while self._waiting:
                sent = self.sock.send(self._waiting[0])
                self.end.passed_on(self.lane, sent)
                rest = self._waiting.popleft()[sent:]
                if rest:
                    self._waiting.appendleft(rest)
        if self._peer_ended and not self._waiting:
            self.sock.shutdown(socket.SHUT_WR)

    def _after(self) -> None:
        if self.lane.ended and self._peer_ended and not self._waiting:
            self.end.drop(self.lane)
        else:
            self._interest()

    def receive(self, data: bytes) -> None:
        if self._peer_ended:
            raise PipeError(f"data on lane {self.lane.number} after its end")
        self._waiting.append(memoryview(data))
        self._event(0)

    def ended(self) -> None:
        self._peer_ended = True
        try:
            self._write()
        except OSError:
            self.end.reset(self.lane)
        else:
            self._after()

    def drained(self) -> None:
        self._after()

    def close(self) -> None:
        self.end.watch(self.sock, 0)
        self.sock.close()


class ToFork(Stream):
    """A connection to a frozen fork."""

    to_broker = False


Handler = Callable[[int], None]


class End:
    """One end of the pipe: its lanes and what is behind them. Used on one thread."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.stalled: set[Channel] = set()
        self.streams: set[int] = set()
        self.heard = time.monotonic()
        self._decoder = Decoder()
        self._channels: dict[int, Channel] = {}
        self._opened = [FIRST_FREE - 2, FIRST_FREE - 1]
        self._poller = zmq.Poller()
        self._watched: dict[Any, tuple[int, Handler]] = {}

    # what the two ends do otherwise
    def ordered(self, fields: Fields) -> None:
        raise NotImplementedError

    def opened(self, number: int, fields: Fields) -> None:
        raise NotImplementedError

    # lanes
    def add(self, channel: Channel) -> None:
        self._channels[channel.lane.number] = channel
        if channel.to_broker:
            self.streams.add(channel.lane.number)

    def behind(self, number: int) -> Channel | None:
        return self._channels.get(number)

    def new_lane(self, parity: int, window: int, **fields: Any) -> Lane:
        """Open a lane with what the other end must know of it."""
        self._opened[parity] += 2
        self.outbox.send(OPEN, self._opened[parity], dump_fields(fields))
        return Lane(self._opened[parity], window, fields.get("channel", 0))

    def push(self, lane: Lane, *pieces: Bytes) -> None:
        lane.push(*pieces)
        self.outbox.stir(lane)

    def finish(self, lane: Lane) -> None:
        lane.ending = True
        self.outbox.stir(lane)

    def passed_on(self, lane: Lane, size: int) -> None:
        """Give back credit, in portions that are worth a frame."""
        lane.owed += size
        if lane.owed * 4 >= lane.window:
            self.outbox.send(CREDIT, lane.number, struct.pack(">I", lane.owed))
            lane.allowed += lane.owed
            lane.owed = 0

    def reset(self, lane: Lane) -> None:
        """End a lane at once on both ends; what it had under way is lost."""
        if self.drop(lane):
            self.outbox.send(RESET, lane.number)

    def drop(self, lane: Lane) -> bool:
        self.outbox.forget(lane)
        self.streams.discard(lane.number)
        channel = self._channels.pop(lane.number, None)
        if channel is None:
            return False
        self.stalled.discard(channel)
        channel.close()
        return True

    def close_lanes(self) -> None:
        for channel in list(self._channels.values()):
            self.drop(channel.lane)

    # frames
    def feed(self, data: bytes) -> None:
        """Do what the frames in ``data`` say. Raises ``PipeError``."""
        self.heard = time.monotonic()
        for kind, number, payload in self._decoder.feed(data):
            if kind == ORDER:
                self.ordered(parse_fields(payload))
            elif kind == OPEN:
                self._open(number, parse_fields(payload))
            else:
                self._frame(kind, number, payload)

    def _open(self, number: int, fields: Fields) -> None:
        if number != self._opened[number % 2] + 2:
            raise PipeError(f"lane {number} was opened out of turn")
        self._opened[number % 2] = number
        self.opened(number, fields)

    def _frame(self, kind: int, number: int, payload: bytes) -> None:
        channel = self._channels.get(number)
        if channel is None:
            # One that we closed: the other end did not know yet.
            if number not in CHANNELS and not FIRST_FREE <= number <= self._opened[number % 2]:
                raise PipeError(f"a frame for lane {number}, which was never opened")
            return
        lane = channel.lane
        if kind == DATA:
            lane.allowed -= len(payload)
            if lane.allowed < 0:
                raise PipeError(f"lane {number} sent more than it was given room for")
            channel.receive(payload)
        elif kind == END:
            channel.ended()
        elif kind == RESET:
            self.drop(lane)
        else:
            self._credit(lane, payload)

    def _credit(self, lane: Lane, payload: bytes) -> None:
        more = int.from_bytes(payload, "big")
        if len(payload) != 4 or lane.credit + more > lane.window:
            raise PipeError(f"lane {lane.number} was given back more than it had sent")
        lane.credit += more
        self.outbox.stir(lane)

    def take_batch(self) -> bytes:
        batch, drained = self.outbox.batch()
        for lane in drained:
            channel = self._channels.get(lane.number)
            if channel is not None:
                channel.drained()
        return batch

    # events
    def watch(self, what: Any, flags: int, handler: Handler = lambda flags: None) -> None:
        """Call ``handler`` when ``what`` (a zmq socket, a socket or a descriptor) is ready."""
        key = what.fileno() if isinstance(what, socket.socket) else what
        before = self._watched.pop(key, None)
        if flags:
            self._watched[key] = (flags, handler)
            if before is None or before[0] != flags:
                self._poller.register(key, flags)
        elif before is not None:
            self._poller.unregister(key)

    def turn(self, timeout_ms: int) -> None:
        """Wait for something to happen, and handle it."""
        events = self._poller.poll(min(timeout_ms, STALL_MS) if self.stalled else timeout_ms)
        for what, flags in events:
            if what in self._watched:
                self._watched[what][1](flags)
        for channel in list(self.stalled):
            channel.retry()


# inside only, from here on


def _remove(path: str) -> None:
    """Remove a file or a folder, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


class Files(Channel):
    """Files that come in: records of a name and bytes, put in place when all are whole."""

    def __init__(self, end: Relay, lane: Lane, fields: Fields) -> None:
        super().__init__(end, lane)
        self._name = str(fields["name"])
        self._tree = bool(fields["tree"])
        self._max = self._room = end.max_put
        self._target = os.path.join(end.folder, "files", self._name)
        self._temporary = f"{self._target}.part{lane.number}"
        self._digest = hashlib.sha256()
        self._head = bytearray()
        self._left = 0
        self._file: BinaryIO | None = None
        if not plain(self._name):
            raise PipeError(f"a file named {self._name!r}")
        if self._tree:
            os.makedirs(self._temporary)

    def receive(self, data: bytes) -> None:
        self._digest.update(data)
        try:
            self._take(memoryview(data))
        except OSError as error:
            self._refuse(error)
        else:
            self.end.passed_on(self.lane, len(data))

    def _take(self, data: memoryview) -> None:
        while data:
            if self._file is None:
                data = self._take_head(data)
                continue
            piece = data[: self._left]
            written = self._file.write(piece)
            data = data[written:]
            self._left -= written
            if not self._left:
                self._close_file()

    def _take_head(self, data: memoryview) -> memoryview:
        wanted = 4 if len(self._head) < 4 else 4 + int.from_bytes(self._head[:4], "big")
        taken = min(wanted - len(self._head), len(data))
        self._head += data[:taken]
        if len(self._head) == wanted > 4:
            self._begin(parse_fields(bytes(self._head[4:])))
            self._head.clear()
        return data[taken:]

    def _begin(self, record: Fields) -> None:
        size, name = int(record["size"]), str(record["name"])
        self._room -= size
        if size < 0 or self._room < 0:
            raise OSError(f"over the limit of {self._max:,} bytes")
        path = self._temporary
        if self._tree:
            if not all(map(plain, name.split("/"))):
                raise PipeError(f"a file named {name!r}")
            path = os.path.join(path, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
        self._file, self._left = open(path, "wb", buffering=0), size  # noqa: SIM115
        if not size:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def ended(self) -> None:
        try:
            if self._file is not None or self._head:
                raise OSError("the transfer ended in the middle of a file")
            _remove(self._target)
            os.replace(self._temporary, self._target)
        except OSError as error:
            self._refuse(error)
            return
        digest = self._digest.hexdigest()
        self.end.outbox.order(do="stored", lane=self.lane.number, path=self._target, sha256=digest)
        self.end.drop(self.lane)

    def _refuse(self, error: OSError) -> None:
        why = error.strerror or str(error)
        self.end.outbox.order(do="refused", lane=self.lane.number, why=why)
        self.end.drop(self.lane)

    def close(self) -> None:
        self._close_file()
        if os.path.isdir(self._temporary):
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)


class Caller(Stream):
    """A cell's connection. Once the broker has hung up, and all that it said is passed on, the
    cell's end leads nowhere: it must not count as a connection."""

    def _after(self) -> None:
        if self._peer_ended and not self._waiting:
            self.end.reset(self.lane)
        else:
            super()._after()


class KernelProcess:
    """A kernel: its process, the ``address`` of its sockets, and the lanes of its channels."""

    pid: int

    def __init__(self, number: int, address: str, order: Fields) -> None:
        self.number = number
        self.address = address
        self.key = str(order["key"])
        self.scheme = str(order["signature_scheme"])
        self.code: int | None = None
        self.lanes: list[Lane] = []
        self._oom_kills = _oom_kills()

    def signal(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    @property
    def out_of_memory(self) -> bool:
        return self.code == -signal.SIGKILL and _oom_kills() > self._oom_kills

    def written(self) -> bytes:
        """Return the end of what it wrote outside of cells."""
        raise NotImplementedError


class StartedKernel(KernelProcess):
    """The kernel that the order names, with the private folder of all that come of it."""

    def __init__(self, order: Fields) -> None:
        self.folder = _private_folder()
        super().__init__(FIRST, os.path.join(self.folder, "k"), order)
        self._log = b""
        try:
            os.mkdir(os.path.join(self.folder, "files"))
            self._spawn(order)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _spawn(self, order: Fields) -> None:
        path = os.path.join(self.folder, "kernel.json")
        with open(path, "w") as file:
            json.dump(connection(self.address, self.key, self.scheme), file)
        argv = [str(part).replace("{connection_file}", path) for part in order["argv"]]
        if argv[0] in ("python", "python3", "python{}.{}".format(*sys.version_info)):
            argv[0] = sys.executable
        env = {**os.environ, **order["env"]}
        process = subprocess.Popen(
            argv,
            cwd=order.get("cwd"),
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.pid = process.pid
        process.returncode = 0  # it is reaped with all others, not by the object
        assert process.stdout is not None
        self.output = process.stdout
        with suppress(OSError), open(f"/proc/{self.pid}/oom_score_adj", "w") as file:
            file.write("500")  # short of memory, the kernel goes and not the relay

    def read_log(self) -> bool:
        """Keep the end of what the kernel wrote; False when there will be no more."""
        data = os.read(self.output.fileno(), CHUNK)
        self._log = (self._log + data)[-LOG_BYTES:]
        return bool(data)

    def written(self) -> bytes:
        return self._log

    def end(self) -> None:
        """End the kernel and all that it started, and delete its folder."""
        self.signal(signal.SIGKILL)
        limit = time.monotonic() + 2
        while time.monotonic() < limit:
            for _ in _reaped():
                pass
            left = list(_children())
            if not left:
                break
            for pid in left:  # what these had started becomes ours
                _kill(pid)
            time.sleep(0.005)
        shutil.rmtree(self.folder, ignore_errors=True)


class WokenKernel(KernelProcess):
    """A frozen fork that has woken in the kernel's place. What it writes is in a file."""

    def __init__(self, order: Fields) -> None:
        super().__init__(int(order["kernel"]), str(order["address"]), order)
        self.pid = int(order["pid"])
        self._log = str(order["log"])

    def written(self) -> bytes:
        flags = os.O_RDONLY | os.O_NONBLOCK  # a cell may have put there what one would wait for
        with suppress(OSError), open(os.open(self._log, flags), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            return file.read(LOG_BYTES) or b""
        return b""


def connection(address: str, key: str, scheme: str) -> Fields:
    """Return what is in the connection file of a kernel whose sockets are at this address."""
    ports = {name + "_port": port for name, port in PORTS.items()}
    return {**ports, "transport": "ipc", "ip": address, "key": key, "signature_scheme": scheme}


def _reaped() -> Iterator[tuple[int, int]]:
    """Yield every child that ended, with its exit code: as a container's first process we have
    many."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, _exit_code(status)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _private_folder() -> str:
    """Make a folder for this user only; its path is short, as a socket's ends at 108 bytes."""
    parent = tempfile.gettempdir()
    if len(parent) > 70:
        parent = "/tmp"
    return tempfile.mkdtemp(prefix="rlm-", dir=parent)


def _exit_code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _oom_kills() -> int:
    """Return how often this container's memory ran out, by either version of cgroups."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with suppress(OSError), open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _parents() -> dict[int, int]:
    """Return each process that can be seen, and its parent."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def _children() -> Iterator[int]:
    return (pid for pid, parent in _parents().items() if parent == os.getpid())


def _below(root: int) -> set[int]:
    """Return the processes below this one."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        more = children.get(waiting.pop(), [])
        found.update(more)
        waiting += more
    return found


PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Relay(End):
    """The end of the pipe that is inside the container or sandbox."""

    def __init__(self, kernel: StartedKernel, order: Fields, fd_in: int, fd_out: int) -> None:
        super().__init__()
        self.folder = kernel.folder
        self.max_put = int(order["max_put"])
        self._max_message = int(order["max_message"])
        self._unread = int(order["unread"])
        self._patience_s = float(order["patience_s"])
        self._first = kernel
        self._kernels: dict[int, KernelProcess] = {kernel.number: kernel}
        """Those whose end was not told yet; the newest has the others' place."""
        self._forked = False
        self._in, self._out = fd_in, fd_out
        self.pending = memoryview(b"")
        self._over = False
        self._context = zmq.Context()
        for number in CHANNELS:
            self._connect(kernel, Lane(number), number)
        self._listen()
        self._wake_on_signals()
        os.set_blocking(fd_in, False)
        os.set_blocking(fd_out, False)
        self.watch(fd_in, zmq.POLLIN, self._read)
        self.watch(kernel.output.fileno(), zmq.POLLIN, self._read_log)

    def _connect(self, kernel: KernelProcess, lane: Lane, channel: int) -> None:
        """Put a channel of a kernel behind a lane."""
        sock = self._context.socket(zmq.SUB if channel == IOPUB else zmq.DEALER)
        sock.linger = 0
        sock.reconnect_ivl = 10
        if channel == IOPUB:
            sock.rcvhwm = self._unread  # a kernel without our guest drops what is over it
            sock.subscribe(b"")
        else:
            sock.identity = b"relay"  # one for all: the kernel finds stdin by that of shell
        sock.connect(f"ipc://{kernel.address}-{PORTS[CHANNELS[channel]]}")
        checked = Substitute(kernel, self._max_message, channel)
        self.add(Messages(self, lane, sock, sys.maxsize, checked))
        kernel.lanes.append(lane)

    def _listen(self) -> None:
        self.broker = os.path.join(self.folder, "broker.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.broker)
        os.chmod(self.broker, 0o600)
        self._listener.listen(256)
        self._listener.setblocking(False)
        self.watch(self._listener, zmq.POLLIN, self._accept)

    def _accept(self, flags: int) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            while len(self.streams) < MAX_STREAMS:
                connection, _ = self._listener.accept()
                lane = self.new_lane(0, STREAM_WINDOW)
                self.add(Caller(self, lane, connection))
            self.watch(self._listener, 0)  # until one of them ends

    def drop(self, lane: Lane) -> bool:
        if lane.number in self.streams:
            self.watch(self._listener, zmq.POLLIN, self._accept)
        return super().drop(lane)

    def _wake_on_signals(self) -> None:
        self._woken, wake = socket.socketpair()
        self._woken.setblocking(False)
        wake.setblocking(False)
        self._wake = wake
        signal.signal(signal.SIGTERM, self._terminated)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self.watch(self._woken, zmq.POLLIN, lambda flags: self._reap())

    def _terminated(self, number: int, frame: object) -> None:
        self._over = True

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        codes = dict(_reaped())
        for kernel in self._kernels.values():
            kernel.code = codes.get(kernel.pid, kernel.code)

    # the pipe
    def _read(self, flags: int) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._in, BATCH)
            self._over = self._over or not data
            self.feed(data)

    def _write(self, flags: int = 0) -> None:
        """Write what the pipe takes; the rest when it takes more."""
        try:
            while self.pending or self.outbox:
                if not self.pending:
                    self.pending = memoryview(self.take_batch())
                self.pending = self.pending[os.write(self._out, self.pending) :]
        except BlockingIOError:
            self.watch(self._out, zmq.POLLOUT, self._write)
        except OSError:
            self._over = True
        else:
            self.watch(self._out, 0)

    def _read_log(self, flags: int = 0) -> None:
        if not self._first.read_log():
            self.watch(self._first.output.fileno(), 0)

    # orders
    def ordered(self, fields: Fields) -> None:
        if fields.get("do") == "ping":
            self.outbox.order(do="pong")
        elif fields.get("do") == "signal":
            kernel = self._kernels.get(int(fields["kernel"]))
            if kernel is not None:
                kernel.signal(int(fields["number"]))
        elif fields.get("do") == "adopt":
            self._adopt(WokenKernel(fields), set(map(int, fields["keep"])))
        else:
            raise PipeError(f"the order {fields.get('do')!r}")

    def _adopt(self, woken: WokenKernel, kept: set[int]) -> None:
        """Take a fork of the kernel, which has become our child, for the kernel from now on. What
        there was before, and all that it started, ends, but for the frozen forks ``kept``."""
        if woken.pid not in _children():
            self._say_exit(woken.number, 1, f"process {woken.pid} is no fork of the kernel")
            return
        for pid in _below(os.getpid()) - _below(woken.pid) - {woken.pid, *kept}:
            _kill(pid)
        for kernel in self._kernels.values():
            self._disconnect(kernel)
        self._kernels[woken.number] = woken

    def _disconnect(self, kernel: KernelProcess) -> None:
        for lane in kernel.lanes:
            self.drop(lane)

    def opened(self, number: int, fields: Fields) -> None:
        if "fork" in fields:
            self._dial(Lane(number, STREAM_WINDOW), str(fields["fork"]))
        elif "kernel" in fields:
            self._open_channel(number, int(fields["kernel"]), int(fields["channel"]))
        else:
            self._open_files(Lane(number), fields)

    def _dial(self, lane: Lane, name: str) -> None:
        """Connect a lane to the frozen fork of this name."""
        if not plain(name):
            raise PipeError(f"a frozen fork named {name!r}")
        self._forked = True
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(os.path.join(self.folder, name))
        except OSError:  # it is gone
            sock.close()
            self.outbox.send(RESET, lane.number)
        else:
            self.add(ToFork(self, lane, sock))

    def _open_channel(self, number: int, kernel: int, channel: int) -> None:
        if kernel in self._kernels and channel in CHANNELS:
            self._connect(self._kernels[kernel], Lane(number, channel=channel), channel)
        else:
            self.outbox.send(RESET, number)

    def _open_files(self, lane: Lane, fields: Fields) -> None:
        try:
            self.add(Files(self, lane, fields))
        except OSError as error:
            why = error.strerror or str(error)
            self.outbox.order(do="refused", lane=lane.number, why=why)

    # life
    def run(self) -> None:
        """Serve until the pipe ends, or the kernel where it cannot wake again."""
        self.outbox.order(
            do="hello",
            folder=self.folder,
            broker=self.broker,
            pid=self._first.pid,
            python="{}.{}.{}".format(*sys.version_info),
        )
        self._reap()  # it may have ended before we listened
        while not self._over:
            for kernel in [each for each in self._kernels.values() if each.code is not None]:
                self._farewell(kernel)
            if not self._kernels and not self._forked:
                self._write_last()
                return
            if time.monotonic() - self.heard > self._patience_s:
                return
            self._write()
            self.turn(int(1000 * min(10.0, self._patience_s)))

    def _farewell(self, kernel: KernelProcess) -> None:
        """Pass on what a kernel still said before it ended, then how it ended."""
        channels = [c for lane in kernel.lanes if (c := self.behind(lane.number)) is not None]
        limit, quiet = time.monotonic() + 2, 0
        while channels and quiet < 3 and not self._over and time.monotonic() < limit:
            before = [c.lane.credit + c.lane.queued for c in channels]
            self._write()
            self.turn(10)
            same = before == [c.lane.credit + c.lane.queued for c in channels]
            quiet = quiet + 1 if same and not any(c.lane.queued for c in channels) else 0
        code, oom = kernel.code, kernel.out_of_memory
        if self._forked:  # another one may come: zmq is not to look for this one
            self._disconnect(kernel)
        self._say_exit(kernel.number, code, kernel.written().decode("utf-8", "replace"), oom=oom)
        del self._kernels[kernel.number]

    def _say_exit(self, number: int, code: int | None, log: str, *, oom: bool = False) -> None:
        self.outbox.order(do="exit", kernel=number, code=code, oom=oom, log=log)

    def _write_last(self) -> None:
        limit = time.monotonic() + 2
        while (self.outbox or self.pending) and not self._over and time.monotonic() < limit:
            self._write()
            self.turn(10)


class Substitute:
    """Puts in the place of a message that is too large one that says so, signed as the kernel's."""

    def __init__(self, kernel: KernelProcess, limit: int, channel: int) -> None:
        self._key = kernel.key.encode()
        self._digest = kernel.scheme.partition("-")[2]
        self._limit = limit
        self._channel = channel

    def __call__(self, parts: list[bytes]) -> list[bytes]:
        size, count = sum(map(len, parts)), len(parts)
        if size <= self._limit and count <= MAX_PARTS:
            return parts
        what, limit = f"{size:,} bytes", self._limit
        if size <= limit:
            what, limit = f"{count:,} parts", MAX_PARTS
        try:
            text = f"rlm: a message of {what} was left out; the limit is {limit:,}\n"
            return self._instead(parts, text)
        except (ValueError, TypeError, RecursionError):
            return [b"no message"]  # nor was it: whoever reads it leaves it out

    def _instead(self, parts: list[bytes], text: str) -> list[bytes]:
        at = parts.index(b"<IDS|MSG>") + 1
        header, parent, metadata = parts[at + 1 : at + 4]
        content: Fields = {"status": "error", "ename": "TooLarge", "evalue": text, "traceback": []}
        if self._channel == IOPUB:
            header = json.dumps({**json.loads(header), "msg_type": "stream"}).encode()
            content = {"name": "stderr", "text": text}
        signed = [header, parent, metadata, json.dumps(content).encode()]
        return [*parts[:at], self._signature(signed), *signed]

    def _signature(self, signed: list[bytes]) -> bytes:
        if not self._key:
            return b""
        return hmac.new(self._key, b"".join(signed), self._digest).hexdigest().encode()


def _take_pipe() -> tuple[int, int]:
    """Return the ends of the pipe, out of reach of a stray print and of the kernel."""
    fd_in, fd_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return fd_in, fd_out


def _first_order(fd_in: int) -> tuple[Fields, bytes]:
    """The order to start a kernel, and what came after it. Raises ``PipeError``."""
    data = b""
    while True:
        more = os.read(fd_in, BATCH)
        if not more:
            raise PipeError("the pipe ended before it said which kernel to start")
        data += more
        frames = Decoder().feed(data)
        if frames:
            kind, _, payload = frames[0]
            fields = parse_fields(payload)
            if kind != ORDER or fields.get("do") != "start":
                raise PipeError("the first order is not to start a kernel")
            return fields, data[HEAD.size + len(payload) :]


def _fail(fd_out: int, why: str, relay: Relay | None) -> None:
    """Say what went wrong, after what is half written."""
    said = pack(ORDER, 0, dump_fields({"do": "failed", "why": why[-4000:]}))
    os.set_blocking(fd_out, True)
    with suppress(OSError):
        os.write(fd_out, (bytes(relay.pending) if relay else b"") + said)


def main() -> None:
    fd_in, fd_out = _take_pipe()
    _prctl(PR_SET_DUMPABLE, 0)  # the kernel runs as the same user
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    # SIGINT is for the kernel. It is not ignored here, or the kernel would inherit that.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    kernel = relay = None
    try:
        if zmq is None:
            raise PipeError(f"{sys.executable} has no pyzmq: install ipykernel there")
        order, rest = _first_order(fd_in)
        kernel = StartedKernel(order)
        relay = Relay(kernel, order, fd_in, fd_out)
        relay.feed(rest)
        relay.run()
    except (
        PipeError,
        OSError,
        subprocess.SubprocessError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        _fail(fd_out, f"{type(error).__name__}: {error}", relay)
    finally:
        if kernel is not None:
            kernel.end()
    os._exit(0)  # zmq's threads have nothing left to say


if __name__ == "__main__":
    main()
