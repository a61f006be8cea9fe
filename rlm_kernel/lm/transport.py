"""The HTTP side of the LM client: making the ``AsyncOpenAI``, and what its failures mean."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit

try:
    import resource
except ImportError:  # on Windows, which has no such limit
    resource = None  # type: ignore[assignment]

from ..errors import UsageError
from . import failures, said
from .attempts import Attempt
from .chat import COMPLETIONS
from .failures import Failure
from .route import Proxy

if TYPE_CHECKING:
    from httpx2 import Request, Response
    from openai import AsyncOpenAI

_NO_KEY = "none"  # the openai package wants one
MAX_CONNECT_S = 10.0
MAX_ANSWER_BYTES = 64 << 20
"""The most of one answer, unpacked: a stream of as many tokens as ``MAX_REPLY_CHARS`` may have."""
MAX_ERROR_BYTES = 64 << 10
PROXY_LOGIN = 407
_UNREAD = {"X-Stainless-Raw-Response": "stream"}
"""Tells the openai package to leave the body of an answer to us."""
TOTAL_TIMES = 6
"""A reply that goes on may take so many times the seconds that a silence may."""
AFTER_FINISH_S = 5.0
"""For the usage, when a reply has its finish reason and its connection stays open."""


def most_connections(wanted: int) -> int:
    """Return how many connections there may be: half of the files that this process may have open
    are left to kernels and records."""
    if resource is None:
        return wanted
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if allowed == resource.RLIM_INFINITY else max(1, min(wanted, allowed // 2))


def connect(
    base_url: str,
    key: str,
    headers: dict[str, str],
    *,
    in_flight: int,
    connect_s: float,
    proxy: Proxy | None,
) -> AsyncOpenAI:
    """Return a client for the running loop, with as many connections as there are requests in
    flight. A query in the address goes with every request.

    Answers are bounded in size, and redirects lead to no other host.
    """
    import openai
    from httpx2 import Limits

    # aiohttp's pool: 1000 calls of 100 ms with 256 in flight took 0.8 s of CPU, httpx2's own
    # 2.8 s, since it walks over all its connections for every request.
    http = openai.DefaultAioHttpClient(
        limits=Limits(max_connections=in_flight, keepalive_expiry=30.0),
        proxy=proxy.url if proxy else None,
        trust_env=False,  # or the environment's proxies would hold for loopback too
        verify=_trusted(),
        event_hooks={
            "request": [_without_key] if headers and not key else [],
            "response": [_gate],
        },
    )
    return openai.AsyncOpenAI(
        base_url=base_url.partition("?")[0],
        default_query=dict(parse_qsl(urlsplit(base_url).query, keep_blank_values=True)),
        api_key=key or _NO_KEY,
        default_headers=headers,
        max_retries=0,
        timeout=openai.Timeout(None, connect=min(connect_s, MAX_CONNECT_S)),
        http_client=http,
    )


def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted. Raises ``UsageError`` where the environment names some
    that cannot be read."""
    from httpx2 import create_ssl_context

    try:
        return create_ssl_context()  # of the environment, so that SSL_CERT_FILE holds
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE")
        raise UsageError(
            f"SSL_CERT_FILE={named}: no certificates can be read there: {error}"
        ) from None


async def _without_key(request: Request) -> None:
    """Take the stand-in for a key out: some refuse it beside a header that they would take."""
    if request.headers.get("authorization") == f"Bearer {_NO_KEY}":
        del request.headers["authorization"]


@asynccontextmanager
async def answered(
    client: AsyncOpenAI, path: str, body: dict[str, Any]
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Send a request, and give the bytes of its answer as they come."""
    options: Any = {"headers": _UNREAD}
    answer: Any = await client.post(path, cast_to=object, body=body, options=options)
    try:
        async with aclosing(answer.iter_bytes()) as data:
            yield data
    finally:
        await answer.close()


async def _gate(response: Response) -> None:
    """Bound an answer. Raises ``Failure`` for one that is an error or a redirect elsewhere."""
    _unpack(response)
    if response.has_redirect_location:
        _check_redirect(response)
    elif not response.is_success:
        body = await _beginning(response)
        failure = failures.failure(response.status_code, said.json_or_text(body))
        failure.wait(said.retry_after(response.headers))
        failure.charged = False
        raise failure


def _unpack(response: Response) -> None:
    """Let the body be unpacked in a stream that counts: a small one may unpack to gigabytes."""
    from httpx2 import AsyncByteStream
    from httpx2 import Response as Packed

    packed = Packed(response.status_code, headers=response.headers, stream=response.stream)
    response.headers.pop("content-encoding", None)

    class Counted(AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in packed.aiter_bytes():
                size += len(chunk)
                if size > MAX_ANSWER_BYTES:
                    raise Failure("endless", f"more than {MAX_ANSWER_BYTES >> 20} MiB")
                yield chunk

        async def aclose(self) -> None:
            await packed.aclose()

    response.stream = Counted()


async def _beginning(response: Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    return body[:MAX_ERROR_BYTES]


def _check_redirect(response: Response) -> None:
    """Raise ``Failure`` unless the same request goes to the same server, or to it by https."""
    here = str(response.request.url)
    target = urljoin(here, response.headers["location"])
    kept = response.status_code in (307, 308) or response.request.method == "GET"
    if kept and _server(target) in (_server(here), ("https", *_server(here)[1:2], 443)):
        return
    failure = Failure("redirect", f"to {target}", status=response.status_code)
    failure.charged = False
    raise failure


def _server(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address; no host where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname or "", port
    except ValueError:
        return "", "", None


class Deadline:
    """Gives a request up: a while after its last sign of life, and in any case in the end.

    ``silence_s`` bounds the first, ``TOTAL_TIMES`` as much the second.
    """

    def __init__(self, silence_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence_s = silence_s
        self._last = self._loop.time() + silence_s * TOTAL_TIMES
        self.timeout = asyncio.timeout(silence_s)

    def extend(self) -> None:
        """Note a sign of life."""
        self.timeout.reschedule(min(self._loop.time() + self._silence_s, self._last))

    def failure(self) -> Failure:
        """Return why it was given up."""
        if self._loop.time() < self._last:
            return Failure("timeout", f"waited {self._silence_s:g} s", again=True)
        whole = self._silence_s * TOTAL_TIMES
        return Failure("endless", f"still sending after {whole:g} s")


@asynccontextmanager
async def until_finished(this: Attempt) -> AsyncIterator[asyncio.Timeout]:
    """Read a reply to its end, or for as long as the timeout says that it is still worth it.

    What goes wrong after its finish reason does not take it away.
    """
    from aiohttp import ClientError
    from httpx2 import RequestError
    from openai import APIConnectionError

    try:
        async with asyncio.timeout(None) as rest:
            yield rest
    except TimeoutError:
        if not rest.expired():  # another's
            raise
    except (Failure, APIConnectionError, RequestError, ClientError, ssl.SSLError):
        if this.finish is None:
            raise


@asynccontextmanager
async def watched(this: Attempt, timeout_s: float) -> AsyncIterator[Deadline]:
    """Raise ``Failure`` for whatever goes wrong with a request, and note if it was charged."""
    from aiohttp import ClientError
    from httpx2 import RequestError
    from openai import APIConnectionError

    deadline = Deadline(timeout_s)
    try:
        async with deadline.timeout:
            yield deadline
    except TimeoutError:
        if not deadline.timeout.expired():  # one of a callback, not ours
            raise
        raise deadline.failure() from None
    except (Failure, APIConnectionError, RequestError, ClientError, ssl.SSLError) as e:
        failure = _broken(e)
        unsent = failure.cause in ("unreachable", "proxy", "certificate")
        this.charged = (failure.charged or this.written > 0) and not unsent
        this.unanswered = failure.cause == "timeout"
        this.reported = failure.reported or this.reported
        raise failure from None


def _broken(error: BaseException) -> Failure:
    """A request whose transport failed. aiohttp's own error, among the causes, tells how."""
    from aiohttp import (
        ClientConnectorCertificateError,
        ClientConnectorError,
        ClientConnectorSSLError,
        ClientHttpProxyError,
        ClientProxyConnectionError,
        ClientResponseError,
        ServerTimeoutError,
    )
    from httpx2 import DecodingError

    causes = list(_causes(error))
    for root in causes:
        if isinstance(root, Failure):
            # Of a request that is not encrypted the proxy's answer looks like the endpoint's.
            root.cause = "proxy" if root.status == PROXY_LOGIN else root.cause
            return root
        if isinstance(root, ClientHttpProxyError):
            again = root.status != PROXY_LOGIN
            return Failure("proxy", f"{root.status} {root.message}", again=again)
        if isinstance(root, ClientProxyConnectionError):
            return Failure("proxy", str(root), again=True)
        if isinstance(root, ClientConnectorCertificateError):
            return Failure("certificate", _reason(root.certificate_error))
        if isinstance(root, ClientConnectorSSLError):
            hint = "; if it has no TLS, its address begins with http://"
            return Failure("certificate", f"no TLS: {_reason(root)}{hint}")
        if isinstance(root, ClientConnectorError | ServerTimeoutError):
            return Failure("unreachable", str(root), again=True)
        if isinstance(root, ClientResponseError | DecodingError):
            return Failure("garbage", str(root), again=True)
    # The text of aiohttp's parser errors begins with a status that no server has sent.
    return Failure("cut", str(getattr(causes[-1], "message", causes[-1])), again=True)


def _reason(error: BaseException) -> str:
    """The part of a TLS error that is said for a person."""
    return re.sub(r"\[SSL[^\]]*\]\s*|\s*\(_ssl.c:\d+\)", "", str(error))


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__


def checked_url(url: str) -> str:
    """Return the address. Raises ``UsageError`` for what is no HTTP address."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"base URL {shown_url(url)!r}: give an address like https://api.openai.com/v1 or "
            "http://localhost:8000/v1"
        )
    address, asked, query = url.partition("?")
    # What a portal shows to be copied is often the whole address of the completions.
    return address.rstrip("/").removesuffix(COMPLETIONS) + asked + query


def shown_url(text: str) -> str:
    """Return an address, or a text with addresses, without the user and password in them."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def checked_key(key: str) -> str:
    """Return the key. Raises ``UsageError`` for one that no HTTP header can carry, without showing
    it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            "the API key holds a character that cannot be sent: set RLM_API_KEY (or "
            "OPENAI_API_KEY) to the key alone"
        )
    return key
