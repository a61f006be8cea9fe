"""What runs on the carrier's threads: the host's sockets, and what comes from the relay.

The sockets are bound as the kernel itself would bind them, and messages pass unread: they stay
signed from the client to the kernel. What comes out of the pipe was perhaps written by an LM's
code: ``relay.End`` bounds and checks it, and nothing of it is a path or a program on this side.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import zmq

from ...remote import relay
from ...remote.relay import Fields, PipeError
from .dialing import Dialing
from .pipe import Order, Pipe, Woken, signing
from .said import epitaph, number_of, text_of
from .transfer import Transfer, Upload

log = logging.getLogger(__name__)
PING_S = 10.0
LINGER_MS = 1000
READS = 16
SLOW_CLIENT_S = 10.0
"""So long a client may stand still and hold up the outputs of all; then it loses some."""
OnOver = Callable[[int | None, str], None]
"""Is told of a kernel's end: its exit code, or None, and words."""


class HostEnd(relay.End):
    """The host's end. ``do`` and ``stop`` may be called on any thread."""

    def __init__(
        self,
        pipe: Pipe,
        order: Order,
        on_hello: Callable[[str], None],
        on_over: OnOver,
    ) -> None:
        super().__init__()
        self.over = False
        self._on_over = {relay.FIRST: on_over}
        self._clients: dict[int, tuple[zmq.Socket[bytes], list[relay.Lane]]] = {}
        """By kernel what their clients connect to: the heartbeat, and the other channels' lanes."""
        self._pipe = pipe
        self._order = order
        self._on_hello = on_hello
        self._broker: str | None = None
        self._stopped = False
        self._has_complained = False
        self._greeted = False
        self._tasks: queue.SimpleQueue[Callable[[HostEnd], None]] = queue.SimpleQueue()
        self._came: deque[bytes] = deque()
        self._unread = threading.Semaphore(READS)
        self._going: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._writing = False
        self._pinged = time.monotonic()
        self._moved = (self._pinged, 0)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._woken, self._bell = socket.socketpair()
        self._woken.setblocking(False)
        self._bell.setblocking(False)
        self.watch(self._woken, zmq.POLLIN, self._wake)

    # before the threads run
    def bind(self, info: Mapping[str, Any]) -> None:
        """Bind what a client connects to. Raises ``zmq.ZMQError``."""
        self._bind(relay.FIRST, info, relay.Lane)

    def _bind(
        self, kernel: int, info: Mapping[str, Any], lane: Callable[[int], relay.Lane]
    ) -> None:
        """Bind what a kernel's client connects to; ``lane`` gives that of each channel."""
        heart = self._bound(zmq.REP, info, "hb")
        self.watch(heart, zmq.POLLIN, partial(_beat, heart))
        lanes = self._clients[kernel] = heart, list[relay.Lane]()
        for number, name in relay.CHANNELS.items():
            sock = self._bound(zmq.PUB if number == relay.IOPUB else zmq.ROUTER, info, name)
            channel = relay.Messages(self, lane(number), sock, self._order.max_message)
            self.add(channel)
            lanes[1].append(channel.lane)
            if number == relay.IOPUB:
                self._iopub = channel

    def _bound(self, kind: int, info: Mapping[str, Any], name: str) -> zmq.Socket[bytes]:
        sock = self._context.socket(kind)
        sock.linger = LINGER_MS
        if kind == zmq.ROUTER:
            sock.router_handover = True
        elif kind == zmq.PUB:
            sock.sndhwm = self._order.unread or sock.sndhwm
            sock.setsockopt(zmq.XPUB_NODROP, 1)  # all wait for a slow client, which misses nothing
        if "curve_secretkey" in info:
            sock.curve_secretkey = info["curve_secretkey"].encode()
            sock.curve_publickey = info["curve_publickey"].encode()
            sock.curve_server = True
        ipc = info["transport"] == "ipc"
        sock.bind(f"{info['transport']}://{info['ip']}{'-' if ipc else ':'}{info[name + '_port']}")
        return sock

    def order_start(self, info: Mapping[str, Any]) -> None:
        self.outbox.order(
            do="start",
            argv=self._order.argv,
            env=dict(self._order.env),
            cwd=self._order.cwd,
            **signing(info),
            max_message=self._order.max_message,
            max_put=self._order.max_put,
            unread=self._order.unread,
            patience_s=self._order.patience_s,
        )

    def write_first(self, data: bytes) -> None:
        self._going.put(data)

    # other threads
    def do(self, what: Callable[[HostEnd], None]) -> None:
        """Run ``what`` on the carrier's thread, soon; never, once the pipe has ended."""
        self._tasks.put(what)
        self._ring()

    def stop(self) -> None:
        self._stopped = True
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or nobody listens any more
            self._bell.send(b"\0")

    def read_pipe(self) -> None:
        """The reading thread. It waits while what it read was not looked at yet; what comes once
        all is over is read and forgotten, so that the pipe can end."""
        data = b"-"
        while data:
            try:
                data = self._pipe.read()
            except OSError as error:
                log.debug("reading from the relay: %s", error)
                data = b""
            except Exception:
                log.exception("reading from the relay failed")
                data = b""
            if not self.over:
                self._unread.acquire()
                self._came.append(data)
                self._ring()

    def write_pipe(self) -> None:
        """The writing thread."""
        while data := self._going.get():
            try:
                self._pipe.write(data)
            except OSError as error:
                log.debug("writing to the relay: %s", error)
                return  # the reading thread sees the end, after what the relay still said
            except Exception as error:
                log.exception("writing to the relay failed")
                self.do(partial(_broken, why=f"writing to the relay failed: {error!r}"))
                return
            self._writing = False
            self._ring()

    # the carrier's thread
    def run(self) -> None:
        reason = "the carrier failed"
        try:
            while not self._stopped:
                if self.outbox and not self._writing:
                    self._writing = True
                    self._going.put(self.take_batch())
                self.turn(int(min(500, 1000 * self._order.silence_s / 6)))
                self._look_at_the_clock()
        except (PipeError, zmq.ZMQError) as error:
            reason = f"the pipe to the kernel broke: {error}"
        except Exception as error:
            log.exception("the carrier failed")
            reason = f"the carrier failed: {error!r}"
        finally:
            for on_over in self._on_over.values():
                on_over(None, reason)
            self.over = True
            self._going.put(b"")
            self._unread.release(READS)
            self._pipe.close()
            self.release()

    def release(self) -> None:
        self.over = True
        self.close_lanes()
        self._context.destroy(LINGER_MS)
        self._woken.close()
        self._bell.close()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        # Until it greets, its start has a limit of its own.
        if self._greeted and now - self.heard > self._order.silence_s:
            raise PipeError(f"the relay gave no sign of life for {self._order.silence_s:g} s")
        if now - self._pinged > min(PING_S, self._order.silence_s / 3):
            self._pinged = now
            self.outbox.order(do="ping")
        if self._iopub not in self.stalled or self._iopub.sent != self._moved[1]:
            self._moved = (now, self._iopub.sent)
        elif now - self._moved[0] > SLOW_CLIENT_S:
            log.warning("a client reads no outputs: it loses some until it reads again")
            # What is full when one message is sent so is passed over from then on, until it
            # takes something; the other clients still miss nothing.
            self._iopub.sock.setsockopt(zmq.XPUB_NODROP, 0)
            self._iopub.send_first()
            self._iopub.sock.setsockopt(zmq.XPUB_NODROP, 1)

    def _wake(self, flags: int) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        while not self._tasks.empty():
            self._tasks.get()(self)
        while self._came:
            data = self._came.popleft()
            self._unread.release()
            if not data:
                raise PipeError("the relay is gone")
            self.feed(data)

    def _complain(self, what: str) -> None:
        """Log what goes wrong with connections from inside, the first time."""
        if not self._has_complained:
            self._has_complained = True
            log.warning("%s", what)

    # what others ask for
    def serve_broker(self, path: str) -> None:
        self._broker = path

    def begin(self, transfer: Transfer) -> Upload:
        """Open the lane of a transfer."""
        lane = self.new_lane(1, relay.WINDOW, name=transfer.name, tree=transfer.tree)
        upload = Upload(self, lane, transfer)
        self.add(upload)
        return upload

    def connect(self, name: str, sock: socket.socket) -> None:
        """Put the frozen fork of this name behind a socket."""
        lane = self.new_lane(1, relay.STREAM_WINDOW, fork=name)
        self.add(relay.ToFork(self, lane, sock))

    def adopt(self, woken: Woken, on_over: OnOver) -> None:
        """Take a fork that has woken for the kernel from now on, and bind its client's sockets."""
        info = woken.connection_info
        self._on_over[woken.number] = on_over
        self.outbox.order(
            do="adopt",
            kernel=woken.number,
            pid=woken.pid,
            keep=list(woken.keep),
            address=woken.address,
            log=woken.log,
            **signing(info),
        )
        open_lane = partial(self.new_lane, 1, relay.WINDOW, kernel=woken.number)
        try:
            self._bind(woken.number, info, lambda channel: open_lane(channel=channel))
        except zmq.ZMQError as error:
            on_over(None, f"its sockets cannot be bound: {error}")

    def let_go(self, kernel: int) -> None:
        """Close what the client of a kernel that has woken connected to."""
        if kernel in self._clients:
            heart, lanes = self._clients.pop(kernel)
            self.watch(heart, 0)
            heart.close()
            for lane in lanes:
                self.reset(lane)

    # what the relay says
    def opened(self, number: int, fields: Fields) -> None:
        if number % 2 or len(self.streams) >= relay.MAX_STREAMS:
            raise PipeError(f"lane {number} is one connection to the broker too many")
        lane = relay.Lane(number, relay.STREAM_WINDOW)
        if self._broker is None:
            self.outbox.send(relay.RESET, number)
            return
        dialing = Dialing(self, lane, self._broker, self._complain)
        self.add(dialing)
        dialing.retry()

    def ordered(self, fields: Fields) -> None:
        what = fields.get("do")
        if what == "hello":
            self._greeted = True
            self._on_hello(text_of(fields, "broker"))
        elif what == "exit":
            self._told_over(number_of({"kernel": relay.FIRST, **fields}, "kernel"), fields)
        elif what == "failed":
            self._on_over[relay.FIRST](None, text_of(fields, "why"))
        elif what in ("stored", "refused"):
            self._settle(fields)
        elif what != "pong":
            raise PipeError(f"the relay said {what!r:.80}, which means nothing")

    def _told_over(self, number: int, fields: Fields) -> None:
        if number not in self._on_over:
            raise PipeError(f"the relay spoke of the end of kernel {number}, which there is not")
        self._on_over[number](number_of(fields, "code"), epitaph(fields))

    def _settle(self, fields: Fields) -> None:
        upload = self.behind(number_of(fields, "lane"))
        if not isinstance(upload, Upload):
            raise PipeError("the relay spoke of a file that was not sent")
        if fields["do"] == "stored":
            upload.settle(text_of(fields, "path"), text_of(fields, "sha256"))
        else:
            upload.refuse(text_of(fields, "why"))


def _beat(heart: zmq.Socket[bytes], flags: int) -> None:
    with suppress(zmq.Again):
        heart.send(heart.recv(zmq.NOBLOCK), zmq.NOBLOCK)


def _broken(end: HostEnd, why: str) -> None:
    raise PipeError(why)
