"""A byte pipe to a relay over HTTP, for sandboxes that offer only a tunnel to a port inside.

The sandbox's first process is ``gateway.py``; ``gateway_command`` has it whole. ``TunnelPipe``
reaches it through the tunnel's address. What is asked inside queues there until a long poll takes
it; what is answered is posted back. A connection that is lost is picked up where it was: kernel
and relay notice nothing. With a vendor's ``sandboxes`` this is all that a provisioner needs::

    class VendorProvisioner(RelayProvisioner):
        sandbox = pipe = None

        async def open_pipe(self) -> Pipe:
            token = secrets.token_urlsafe(32)
            command = gateway_command(token, port=8000, user=(65534, 65534))
            self.sandbox = await sandboxes.start(*command, tunnel_to=8000)
            program = source(bootstrap)
            self.pipe = TunnelPipe(self.sandbox.url, token, "kernel", program)
            await asyncio.to_thread(self.pipe.start)
            return self.pipe

        async def close_sandbox(self) -> None:
            if self.pipe is not None:
                await asyncio.to_thread(self.pipe.close)
            if self.sandbox is not None:
                await self.sandbox.end()

An image for it has Python 3.9 or newer with ipykernel. Without ``user``, what cells run could end
the gateway. ``find_reason`` lets the vendor say what befell a sandbox; ``reason`` has it then. A
second pipe of another name to the same gateway gives a second kernel in the same sandbox.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import ssl
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from ...errors import KernelStartError, UsageError
from ...remote import gateway, unpack
from .http_connection import GatewayAddress, HttpAnswer, HttpConnection, Lost, Untrusted
from .programs import command, source
from .said import printable
from .send_buffer import Outgoing

log = logging.getLogger("rlm_kernel")
CLOSE_S = 1.0
LOOK_S = 1.0
"""Lost for longer, the tunnel may be gone with its sandbox: ``find_reason`` is asked."""
POSTED = 1 << 21
"""Bytes of input in one request; less after each that was lost, which has to pass whole."""
POSTED_LEAST = 1 << 12

WORDS = {
    401: "the gateway refuses the token",
    404: "the gateway knows nothing of this pipe: it was started anew",
    409: "the gateway has another program, or other input, under this pipe's name",
    413: "the gateway refuses what is sent: it is too large",
    416: "the gateway no longer has the output that comes next",
    429: "the gateway has as many pipes as it can",
    500: "the gateway cannot start the program: look at its user, folder and limits",
}


def gateway_command(
    token: str,
    *,
    port: int,
    address: str = "0.0.0.0",
    patience_s: float = 120.0,
    folder: str = "/work",
    user: tuple[int, int] | None = None,
    pids: int | None = None,
) -> list[str]:
    """Return what a sandbox runs first; under 60 kB. Only a digest of the token is in it.

    The gateway listens at ``port``, and ends after ``patience_s`` without a request. Programs work
    in ``folder``, which is made if it is missing. ``user`` (as numbers; then the gateway itself
    must be root) and ``pids`` lower their rights.
    """
    packed = base64.b85encode(zlib.compress(source(gateway).encode(), 9))
    settings = {
        "digest": hashlib.sha256(token.encode()).hexdigest(),
        "port": port,
        "address": address,
        "patience_s": patience_s,
        "folder": folder,
        "uid": user[0] if user else None,
        "gid": user[1] if user else None,
        "pids": pids,
    }
    return command(unpack, packed.decode(), json.dumps(settings))


@dataclass(frozen=True)
class Patience:
    start_s: float = 60.0
    """Until the gateway must have answered first."""
    lost_s: float = 60.0
    """Until a tunnel that is lost counts as gone."""
    poll_s: int = 20
    """A poll is answered after so long at the latest."""
    answer_s: float = 10.0
    """Silence beyond that after which a request is sent again."""


class TunnelPipe:
    """The standard input and output of a Python program that a gateway runs.

    ``start`` comes first and waits; ``read`` and ``write`` are used on a thread each; ``close``
    may be called on any, at any time, and ends the program.
    """

    def __init__(
        self,
        url: str,
        token: str,
        name: str,
        program: str,
        *,
        context: ssl.SSLContext | None = None,
        find_reason: Callable[[], str] = lambda: "",
        patience: Patience = Patience(),
    ) -> None:
        """``context`` is for certificates of an authority that the system does not know.
        ``find_reason`` says what befell the sandbox, if anything did; it may wait, and is asked
        while the tunnel is lost and when the program ended. Raises ``UsageError``."""
        if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
            raise UsageError(f"the pipe's name is {name!r}: write up to 64 letters, digits, - or _")
        self.reason = ""
        """Why it ended, if it was not closed and the program did not end well."""
        self._address = GatewayAddress(url, token, context or ssl.create_default_context())
        self._path = f"/pipes/{name}"
        self._program = program.encode()
        self._find_reason = find_reason
        self._patience = patience
        self._reading, self._writing = HttpConnection(self._address), HttpConnection(self._address)
        self._outgoing = Outgoing(POSTED)
        self._had = self._given = 0
        self._closed = threading.Event()
        self._wanted = False
        self._trying = self._retrying(patience.lost_s)

    def _retrying(self, patience_s: float) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(Lost),
            wait=wait_exponential(multiplier=0.05, max=1),
            stop=stop_after_delay(patience_s) | stop_when_event_set(self._closed),
            sleep=sleep_using_event(self._closed),
            before_sleep=self._look,
            reraise=True,
        )

    def _look(self, trying: RetryCallState) -> None:
        """Give up a sandbox that is gone. Raises ``OSError``."""
        if (trying.seconds_since_start or 0) > LOOK_S:
            reason = self._find_reason()
            if reason:
                raise OSError(reason)

    def start(self) -> None:
        """Start the program as soon as the gateway answers. Raises ``KernelStartError``."""
        self._wanted = True
        try:
            trying = self._retrying(self._patience.start_s)
            ask = partial(self._once, self._writing, "PUT", body=self._program)
            self._expect(self._ask(ask, trying, "no gateway answers"), 200, 201)
        except OSError as error:
            raise KernelStartError(f"the sandbox cannot be reached: {error}") from error
        threading.Thread(target=self._post, name="rlm-post", daemon=True).start()

    def _once(
        self, line: HttpConnection, method: str, query: str = "", body: bytes = b""
    ) -> HttpAnswer:
        wait_s = self._patience.answer_s
        if query:
            query = f"?{query}&wait={self._patience.poll_s}"
            wait_s += self._patience.poll_s
        answer = line.ask(method, self._path + query, body, timeout_s=wait_s)
        if query and answer.status == 200 and answer.at is None and not answer.body:
            raise Lost("the head of an answer was cut")
        return answer

    def _ask(
        self,
        ask: Callable[[], HttpAnswer],
        trying: Retrying | None = None,
        lost: str = "the tunnel to the sandbox was lost",
    ) -> HttpAnswer:
        """Ask until there is an answer, and return it. Raises ``OSError`` when it is given up."""
        try:
            return (trying or self._trying)(ask)
        except Lost as error:
            raise self._give_up(f"{lost} ({error})") from error
        except OSError as error:
            raise self._give_up(str(error)) from error

    def _expect(self, answer: HttpAnswer, *statuses: int, at: range | None = None) -> None:
        if answer.status not in statuses:
            raise self._give_up(WORDS.get(answer.status, f"the gateway answers {answer.status}"))
        if at is not None and answer.at not in at:
            raise self._give_up(f"the gateway speaks of byte {answer.at}, not of {at[0]}")

    def _give_up(self, why: str) -> OSError:
        if not self._closed.is_set():
            self.reason = self.reason or self._find_reason() or why
            self._end(self.reason)
        return OSError(self.reason or "the pipe was closed")

    def read(self) -> bytes:
        while True:
            answer = self._ask(partial(self._once, self._reading, "GET", f"from={self._had}"))
            if answer.status == 410:
                self._bury(answer.body)
                return b""
            self._expect(answer, 200, 204, at=range(self._had, self._had + 1))
            if answer.body:
                self._had += len(answer.body)
                return answer.body

    def _bury(self, body: bytes) -> None:
        """Note that the program ended."""
        self._wanted = False
        self._outgoing.end("the program has ended")
        how = _epitaph(body)
        if how and not self._closed.is_set():
            self.reason = self.reason or self._find_reason() or how

    def write(self, data: bytes) -> None:
        """Return when it is on its way, which it is at once unless much else is."""
        self._outgoing.put(data)

    def _post(self) -> None:
        """The sending thread."""
        try:
            while piece := self._outgoing.first(POSTED):
                self._outgoing.drop(self._taken(piece))
        except OSError as error:
            self._outgoing.end(str(error))
        except Exception as error:
            log.exception("sending to the sandbox failed")
            self.reason = self.reason or f"sending to the sandbox failed: {error!r}"
            self._end(self.reason)

    def _taken(self, piece: bytes) -> int:
        before = self._given
        sizes = (max(POSTED_LEAST, len(piece) >> lost) for lost in count())
        answer = self._ask(
            lambda: self._once(self._writing, "POST", f"at={before}", piece[: next(sizes)])
        )
        if answer.status == 410:
            raise BrokenPipeError("the program takes no more input")
        self._expect(answer, 200, at=range(before, before + len(piece) + 1))
        assert answer.at is not None
        self._given = answer.at
        return answer.at - before

    def close(self) -> None:
        self._end("the pipe was closed")
        if self._wanted:
            self._wanted = False
            with suppress(Lost, Untrusted):  # the gateway ends the program itself, later
                line = HttpConnection(self._address)
                line.ask("DELETE", self._path, timeout_s=CLOSE_S)
                line.cut()

    def _end(self, why: str) -> None:
        self._closed.set()
        self._outgoing.end(why)
        self._reading.cut()
        self._writing.cut()


def _epitaph(body: bytes) -> str:
    """Return how the program ended, unless it ended well."""
    try:
        said: Any = json.loads(body)
        code, stderr = int(said["code"]), str(said["stderr"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "the program ended, and the gateway does not say how"
    if code == 0:
        return ""
    how = f"exit code {code}" if code > 0 else f"signal {-code}"
    tail = printable(stderr[-2000:]).strip()
    return f"the program in the sandbox ended ({how})" + (f"\n{tail}" if tail else "")
