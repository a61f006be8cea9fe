"""The HTTP side of the LM client: making the ``AsyncOpenAI``, and what its failures mean."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import UsageError
from . import chat
from .attempts import Attempt
from .chat import Failure

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MAX_CONNECT_S = 10.0


def connect(base_url: str, key: str, *, in_flight: int, connect_s: float) -> AsyncOpenAI:
    """A client for the running loop, with as many connections as there are requests in flight."""
    import openai
    from httpx2 import Limits

    # aiohttp's pool: 1000 calls of 100 ms with 256 in flight took 0.8 s of CPU, httpx2's own
    # 2.8 s, since it walks over all its connections for every request.
    http = openai.DefaultAioHttpClient(
        limits=Limits(max_connections=in_flight, keepalive_expiry=30.0)
    )
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=key or "none",
        max_retries=0,
        timeout=openai.Timeout(None, connect=min(connect_s, MAX_CONNECT_S)),
        http_client=http,
    )


@asynccontextmanager
async def watched(this: Attempt, timeout_s: float) -> AsyncIterator[asyncio.Timeout]:
    """Raise ``Failure`` for whatever goes wrong with a request, and note if it was charged."""
    from aiohttp import ClientError
    from httpx2 import RequestError
    from openai import APIConnectionError, APIStatusError

    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            yield deadline
    except TimeoutError:
        if not deadline.expired():  # one of a callback, not ours
            raise
        raise Failure("timeout", f"waited {timeout_s:g} s", again=True) from None
    except APIStatusError as e:
        this.charged = False
        body = _json_or_text(e.response.text)
        this.reported = chat.reported(body)
        failure = chat.failure(e.status_code, body)
        failure.wait_s = chat.retry_after(e.response.headers)
        raise failure from None
    except (APIConnectionError, RequestError, ClientError, ssl.SSLError) as e:
        failure = _broken(e)
        this.charged = failure.cause != "unreachable"
        raise failure from None


def _broken(error: BaseException) -> Failure:
    """A request whose transport failed. aiohttp's own error, among the causes, tells how."""
    from aiohttp import ClientConnectorError, ClientResponseError, ServerTimeoutError
    from httpx2 import DecodingError

    root: BaseException | None = error
    while root is not None:
        if isinstance(root, (ClientConnectorError, ServerTimeoutError)):
            return Failure("unreachable", str(root), again=True)
        if isinstance(root, (ClientResponseError, DecodingError)):
            return Failure("garbage", str(root), again=True)
        error, root = root, root.__cause__
    # The text of aiohttp's parser errors begins with a status that no server has sent.
    return Failure("cut", str(getattr(error, "message", error)), again=True)


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def checked_url(url: str) -> str:
    """Raises ``UsageError`` for what is no HTTP address."""
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
    return url


def shown_url(text: str) -> str:
    """An address, or a text with addresses, without the user and password in them."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def checked_key(key: str) -> str:
    """Raises ``UsageError`` for a key that no HTTP header can carry, without showing it."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            "the API key holds a character that cannot be sent: set RLM_API_KEY (or "
            "OPENAI_API_KEY) to the key alone"
        )
    return key
