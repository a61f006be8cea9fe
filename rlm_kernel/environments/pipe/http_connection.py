"""One connection to a gateway, kept for many requests.

``http.client`` is enough for it, and lets another thread cut a request that waits. What comes back
is bounded and checked, whoever sent it.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ...errors import UsageError
from ...remote.gateway import MAX_ANSWER
from .said import printable

CONNECT_S = 5.0
READ = 1 << 16


class Lost(OSError):
    """No answer of a gateway came. Every request may be sent again."""


class Untrusted(OSError):
    """The other side's certificate is not to be trusted."""


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    body: bytes
    at: int | None
    """The offset in a stream that it speaks of."""


class Plain(http.client.HTTPConnection):
    """Sends head and body together: apart, the body waits for an acknowledgement of the head where
    something on the way has Nagle's algorithm on (42 ms a request instead of 1.5)."""

    _held: bytearray | None = None

    def request(self, *args: Any, **options: Any) -> None:
        self._held = bytearray()
        super().request(*args, **options)
        held, self._held = self._held, None
        super().send(held)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)
        else:
            self._held += data


class Secure(Plain, http.client.HTTPSConnection):
    pass


@dataclass(frozen=True)
class GatewayAddress:
    """A gateway's URL, and what it lets in. Raises ``UsageError``."""

    url: str
    token: str = field(repr=False)
    context: ssl.SSLContext

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_~.-]+", self.token):
            raise UsageError("the gateway's token has other characters than letters, digits, -_.~")
        if not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?(/[\w./~-]*)?", self.url, re.ASCII):
            raise UsageError(f"the gateway's address is {self.url!r}: write https://HOST:PORT/PATH")
        if self.url.startswith("http:") and not _is_this_machine(self.host):
            raise UsageError(f"the gateway's address is {self.url!r}: only https keeps the token")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        return urlsplit(self.url).path.rstrip("/")

    def connection(self) -> http.client.HTTPConnection:
        port = urlsplit(self.url).port
        if self.url.startswith("http:"):
            return Plain(self.host, port, timeout=CONNECT_S)
        return Secure(self.host, port, timeout=CONNECT_S, context=self.context)


def _is_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class HttpConnection:
    """Asks one thing at a time. ``cut`` may be called on any thread."""

    def __init__(self, address: GatewayAddress) -> None:
        self._address = address
        self._connection = address.connection()
        self._socket: socket.socket | None = None
        self._lock, self._busy = threading.Lock(), threading.Lock()
        self._cut = False

    def ask(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> HttpAnswer:
        """Return the gateway's answer. Raises ``Lost`` if there is none, ``Untrusted``.

        ``timeout_s`` is the longest silence. Not promised: an end to an answer that trickles; who
        waits for frames ends the pipe then.
        """
        try:
            with self._busy:
                return self._ask(method, path, body, timeout_s)
        finally:
            if self._cut:
                self._let_go()

    def _ask(self, method: str, path: str, body: bytes, timeout_s: float) -> HttpAnswer:
        try:
            self._connect()
            assert self._socket is not None
            self._socket.settimeout(timeout_s)
            headers = {"Authorization": f"Bearer {self._address.token}"}
            self._connection.request(method, self._address.path + path, body or None, headers)
            response = self._connection.getresponse()
            answer = _read(response)
            if not response.isclosed():  # the rest of it did not come
                self._connection.close()
            return answer
        except ssl.SSLCertVerificationError as error:
            self._connection.close()
            raise Untrusted(
                f"the tunnel's certificate is refused: {error.verify_message}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            # Not chained: what an error shows of a request might be its token.
            raise Lost(printable(str(error) or type(error).__name__)[:200]) from None

    def _connect(self) -> None:
        if self._connection.sock is not None:
            return
        self._connection.connect()
        with self._lock:
            self._socket = self._connection.sock
            if self._cut:
                raise Lost("it was closed here")

    def cut(self) -> None:
        """End what is under way; nothing can be asked from then on."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                with suppress(OSError):  # it has ended already
                    # The plain one: the method of ssl's own must not be called from elsewhere.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

        self._let_go()

    def _let_go(self) -> None:
        """Close the connection, unless it is in use: whoever uses it does so at the end."""
        if self._busy.acquire(blocking=False):
            self._connection.close()
            self._busy.release()


def _read(response: http.client.HTTPResponse) -> HttpAnswer:
    """Return the answer. Raises ``Lost`` for what no gateway says."""
    if response.headers.get("Rlm-Gateway") != "1":
        raise Lost(f"the tunnel itself answered with status {response.status}")
    body = _body(response)
    if len(body) > MAX_ANSWER:
        raise Lost(f"an answer has more than {MAX_ANSWER:,} bytes")
    at = response.headers.get("Rlm-At", "")
    return HttpAnswer(response.status, body, int(at) if re.fullmatch("[0-9]{1,18}", at) else None)


def _body(response: http.client.HTTPResponse) -> bytes:
    """Return it as far as it comes: of a stream any beginning is of use, of all else the whole."""
    body = bytearray()
    try:
        for piece in _pieces(response):
            body += piece
            if len(body) > MAX_ANSWER:
                break
    except (OSError, http.client.HTTPException):
        if response.status != 200 or not body:
            raise
    return bytes(body)


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Give it piece by piece, counted here: before Python 3.13 ``read1`` forgets to."""
    left = response.length
    while left != 0:
        piece = response.read1(READ if left is None else min(READ, left))
        if left is None:
            left = None if piece else 0
        elif piece:
            left -= len(piece)
        else:
            raise Lost("an answer was cut")
        yield piece
    response.close()
