"""Serves byte pipes to programs here over HTTP, for sandboxes that offer only a tunnel to a port.

This file runs inside as the sandbox's first process (``main``). It needs Python 3.9 and tornado,
which ipykernel brings, and nothing of ours. Its only argument is its settings as JSON.

A pipe is a program and two streams of bytes, its standard input and output, each counted from its
start. What is asked names its offset, so that any request may be sent again: it changes nothing.

- ``PUT /pipes/NAME`` with a Python program as the body starts it.
- ``GET /pipes/NAME?from=N&wait=S``: output from ``N`` on, as soon as there is some. What lies
  before ``N`` has arrived and is forgotten. 204 after ``S`` seconds of silence; 410 at the end,
  with JSON: the exit ``code`` and the end of ``stderr``.
- ``POST /pipes/NAME?at=N&wait=S``: input that begins at ``N``. It is answered when the program
  has taken it, or after ``S`` seconds; ``Rlm-At`` says up to where.
- ``DELETE /pipes/NAME`` ends the program.

401 without the right token, 404 for an unknown pipe, 409 for another program under a name or a gap
in the input, 413 for a body over the limit, 416 for output that is not kept or not there yet. Each
answer carries ``Rlm-Gateway``, which tells it from one of a proxy on the way.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import hmac
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

try:
    from tornado.httpserver import HTTPServer
    from tornado.locks import Condition
    from tornado.netutil import bind_sockets
    from tornado.web import Application, HTTPError, RequestHandler, stream_request_body
except ModuleNotFoundError as error:
    raise SystemExit(f"gateway: {sys.executable}: {error}; install ipykernel there") from None

MAX_PROGRAM = 1 << 16
MAX_INPUT = 1 << 22
MAX_ANSWER = 1 << 20
KEPT = 1 << 22
"""Output that has not arrived yet, up to which the program is read."""
READ = 1 << 18
STDERR_KEPT = 1 << 12
MAX_PIPES = 64
MAX_NAMES = 1024
"""Of programs that ended, too: one that is asked for again is not started again."""
MAX_WAIT_S = 60.0
LINGER_S = 2.0
"""After the last program has ended."""
GRACE_S = 3.0
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38

Settings = dict[str, Any]


class Refused(HTTPError):
    """Raised for a request that cannot be met; the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(status, reason=why)


# programs


class Program:
    """A process, started when this is made, and its two streams. Raises ``OSError``."""

    def __init__(self, source: bytes, settings: Settings) -> None:
        self.source = source
        self.taken = 0
        """Bytes of input that the process has."""
        self.code: int | None = None
        self._first = 0
        """The offset of what is kept of the output."""
        self._kept = bytearray()
        self._full = False
        self._stderr = b""
        self._turn = asyncio.Lock()
        self._news, self._room = Condition(), Condition()
        self._loop = asyncio.get_running_loop()
        process: Any = _start(source, settings)
        self.pid = process.pid
        process.returncode = 0  # it is reaped with all others, not by the object
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        for stream in (self._in, self._out, self._err):
            os.set_blocking(stream.fileno(), False)
        self._loop.add_reader(self._out, self._read)
        self._loop.add_reader(self._err, self._read_stderr)

    # its output
    def _read(self) -> None:
        data = os.read(self._out.fileno(), READ)
        if data:
            self._kept += data
            self._heed_size()
        else:
            self._close(self._out)
        self._news.notify_all()

    def _heed_size(self) -> None:
        """Let the process wait while much of what it said has not arrived."""
        full, self._full = self._full, len(self._kept) >= KEPT
        if self._out.closed or full == self._full:
            return
        if self._full:
            self._loop.remove_reader(self._out)
        else:
            self._loop.add_reader(self._out, self._read)

    def _read_stderr(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._err.fileno(), READ)
            self._stderr = (self._stderr + data)[-STDERR_KEPT:]
            if not data:
                self._close(self._err)

    async def output(self, start: int, wait_s: float) -> bytes | None:
        """Some output from ``start`` on; empty after a silence, None at the end."""
        self._forget(start)
        limit = time.monotonic() + wait_s
        while start == self._first and not self._kept and not self.ended:
            left = limit - time.monotonic()
            if left <= 0 or not await self._news.wait(timeout=timedelta(seconds=left)):
                break
        if start != self._first:
            raise Refused(416, "Output before this was asked for since")
        return None if self.settled else bytes(self._kept[:MAX_ANSWER])

    def _forget(self, upto: int) -> None:
        arrived = upto - self._first
        if not 0 <= arrived <= len(self._kept):
            raise Refused(416, "The output there is kept no more, or is not there yet")
        del self._kept[:arrived]
        self._first = upto
        self._heed_size()

    # its input
    async def give(self, start: int, data: bytes, wait_s: float) -> None:
        """Write what is new of ``data``, as much as the process takes in ``wait_s``."""
        with suppress(asyncio.TimeoutError):  # ``taken`` says how far it came
            await asyncio.wait_for(self._give(start, data), wait_s)

    async def _give(self, start: int, data: bytes) -> None:
        async with self._turn:
            if start > self.taken:
                raise Refused(409, "Input is missing before this")
            rest = memoryview(data)[self.taken - start :]
            while rest:
                size = await self._write(rest)
                self.taken += size
                rest = rest[size:]

    async def _write(self, data: memoryview) -> int:
        if self._in.closed:
            raise Refused(410, "The program takes no more input")
        try:
            return os.write(self._in.fileno(), data)
        except BlockingIOError:
            self._loop.add_writer(self._in, self._has_room)
            await self._room.wait()
        except BrokenPipeError:
            self._close(self._in)
        return 0

    def _has_room(self) -> None:
        self._loop.remove_writer(self._in)
        self._room.notify_all()

    # its end
    def _close(self, stream: Any) -> None:
        if not stream.closed:
            self._loop.remove_reader(stream)
            self._loop.remove_writer(stream)
            stream.close()
        self._room.notify_all()

    def end(self) -> None:
        """Have the process end, soon; its streams end now."""
        self._close(self._in)
        self._close(self._out)
        self._kept.clear()
        self._signal(signal.SIGTERM)
        self._loop.call_later(GRACE_S, self._signal, signal.SIGKILL)
        self._news.notify_all()

    def _signal(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def reaped(self, code: int) -> None:
        self.code = code
        self._close(self._in)
        if not self._err.closed:
            self._read_stderr()  # another process may hold it open for ever
        self._news.notify_all()

    @property
    def settled(self) -> bool:
        """Return whether it has ended and all that it said has arrived."""
        return self.ended and not self._kept

    @property
    def ended(self) -> bool:
        return self.code is not None and self._out.closed

    def epitaph(self) -> Settings:
        return {"code": self.code, "stderr": self._stderr.decode("utf-8", "replace")}


def _start(source: bytes, settings: Settings) -> subprocess.Popen[bytes]:
    """Start the program, with fewer rights than ours where the settings say so."""
    folder = settings["folder"]
    return subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=folder,
        env={**os.environ, "HOME": folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        preexec_fn=lambda: _confine(settings["pids"]),
        user=settings["uid"],
        group=settings["gid"],
        extra_groups=None if settings["uid"] is None else [],
    )


def _confine(pids: int | None) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    if pids is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (pids, pids))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _children() -> Iterator[int]:
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    yield int(name)


# the pipes


class Gateway:
    """The pipes by their names, and the time for which the host may be silent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._digest = bytes.fromhex(settings["digest"])
        self._programs: dict[str, Program] = {}
        self._heard = time.monotonic()
        self._changed = asyncio.Event()
        self._over = False

    def admits(self, authorization: str) -> bool:
        """Return whether a request may be answered; one that may shows that we are still wanted."""
        kind, _, token = authorization.partition(" ")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = hmac.compare_digest(digest, self._digest) and kind == "Bearer"
        if known:
            self._heard = time.monotonic()
        return known

    def start(self, name: str, source: bytes) -> bool:
        """Start a program; return false if it runs, or ran, already."""
        program = self._programs.get(name)
        if program is not None:
            if program.source != source:
                raise Refused(409, "Another program has this name")
            return False
        settled = [name for name, program in self._programs.items() if program.settled]
        if len(self._programs) - len(settled) >= MAX_PIPES:
            raise Refused(429, f"There are {MAX_PIPES} pipes already")
        if len(self._programs) >= MAX_NAMES:
            del self._programs[settled[0]]
        try:
            self._programs[name] = Program(source, self._settings)
        except (OSError, subprocess.SubprocessError) as error:
            raise Refused(500, f"The program does not start: {type(error).__name__}") from error
        return True

    def __getitem__(self, name: str) -> Program:
        if name not in self._programs:
            raise Refused(404, "There is no such pipe")
        return self._programs[name]

    def reap(self) -> None:
        """Collect every child that ended: what programs leave behind becomes ours."""
        codes = dict(_ended_children())
        for program in self._programs.values():
            if program.code is None and program.pid in codes:
                program.reaped(codes[program.pid])
        self._changed.set()

    def stop(self) -> None:
        self._over = True
        self._changed.set()

    async def serve(self) -> None:
        """Return when nobody asks any more, or some seconds after the last program."""
        while not self._over:
            now = time.monotonic()
            left = self._heard + self._settings["patience_s"] - now
            if self._programs and all(program.settled for program in self._programs.values()):
                left = min(left, self._heard + LINGER_S - now)
            if left <= 0:
                return
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, LINGER_S))

    async def close(self) -> None:
        """End all programs, and whatever they left."""
        for program in self._programs.values():
            program.end()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_ended(), GRACE_S)
        signal.alarm(int(GRACE_S))  # ends us if something does not die
        with suppress(ChildProcessError):
            while True:  # what these had started becomes ours
                for pid in _children():
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)

    async def _all_ended(self) -> None:
        while any(program.code is None for program in self._programs.values()):
            self._changed.clear()
            await self._changed.wait()


def _ended_children() -> Iterator[tuple[int, int]]:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            exited = os.WIFEXITED(status)
            yield pid, os.WEXITSTATUS(status) if exited else -os.WTERMSIG(status)


# requests


@stream_request_body
class Gate(RequestHandler):
    """The gate of every request; a path that is no pipe's ends here. A body is taken only of a
    request that is let in."""

    gateway: Gateway

    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.body = bytearray()

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Rlm-Gateway", "1")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/octet-stream")

    def prepare(self) -> None:
        if not self.gateway.admits(self.request.headers.get("Authorization", "")):
            raise HTTPError(401)
        if self.request.method in ("PUT", "POST"):
            size = self.request.headers.get("Content-Length", "")
            if not size.isdigit():
                raise HTTPError(411)
            if int(size) > (MAX_PROGRAM if self.request.method == "PUT" else MAX_INPUT):
                raise HTTPError(413)
        self.check()

    def check(self) -> None:
        raise HTTPError(404)

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.finish(self._reason)

    def compute_etag(self) -> None:
        """Return none: an answer is never the same as another."""


@stream_request_body
class Pipe(Gate):
    """The requests to one pipe."""

    def check(self) -> None:
        pass

    def put(self, name: str) -> None:
        self.set_status(201 if self.gateway.start(name, bytes(self.body)) else 200)

    async def get(self, name: str) -> None:
        program, start = self.gateway[name], self._number("from")
        output = await program.output(start, self._wait_s())
        self.set_header("Rlm-At", str(start))
        if output is None:
            self.set_status(410)
            self.finish(program.epitaph())
        elif output:
            self.finish(output)
        else:
            self.set_status(204)

    async def post(self, name: str) -> None:
        program = self.gateway[name]
        await program.give(self._number("at"), bytes(self.body), self._wait_s())
        self.set_header("Rlm-At", str(program.taken))

    def delete(self, name: str) -> None:
        self.gateway[name].end()
        self.set_status(204)

    def _number(self, name: str) -> int:
        text = self.get_query_argument(name)
        if not re.fullmatch("[0-9]{1,18}", text):
            raise HTTPError(400)
        return int(text)

    def _wait_s(self) -> float:
        return min(self._number("wait"), MAX_WAIT_S)


def _server(gateway: Gateway) -> HTTPServer:
    given = {"gateway": gateway}
    application = Application(
        [("/pipes/([A-Za-z0-9_-]{1,64})", Pipe, given)],
        default_handler_class=Gate,
        default_handler_args=given,
        log_function=lambda handler: None,
    )
    return HTTPServer(
        application,
        max_header_size=1 << 14,
        max_body_size=MAX_INPUT,
        max_buffer_size=2 * MAX_INPUT,
        chunk_size=READ,
        idle_connection_timeout=2 * MAX_WAIT_S,
        body_timeout=MAX_WAIT_S,
    )


def _make_folder(settings: Settings) -> None:
    os.makedirs(settings["folder"], exist_ok=True)
    if settings["uid"] is not None:
        os.chown(settings["folder"], settings["uid"], settings["gid"])


async def _main(settings: Settings) -> None:
    _make_folder(settings)
    gateway = Gateway(settings)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, gateway.reap)
    loop.add_signal_handler(signal.SIGTERM, gateway.stop)
    server = _server(gateway)
    sockets = bind_sockets(settings["port"], settings["address"])
    server.add_sockets(sockets)
    print("gateway: port", sockets[0].getsockname()[1], flush=True)
    await gateway.serve()
    server.stop()
    await gateway.close()


def main() -> None:
    """Serve until nobody asks any more.

    The settings: ``digest`` (SHA-256 of the token), ``port`` and ``address`` to listen at,
    ``patience_s`` (seconds without a request), ``folder`` to work in, and for the programs
    ``uid``, ``gid`` and ``pids``, or null.
    """
    _prctl(PR_SET_DUMPABLE, 0)  # a program may run as the same user
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    settings = json.loads(sys.argv[1])
    if settings["uid"] is not None and os.geteuid():
        sys.exit("gateway: only root can start programs as another user")
    asyncio.run(_main(settings))


if __name__ == "__main__":
    main()
