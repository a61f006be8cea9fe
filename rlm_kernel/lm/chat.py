"""The chat completions protocol: requests written, bodies, stream events and errors read.

Nothing here does any I/O; what a reply has used is read in ``usage``. Bodies come from endpoints of
many makers, so every shape is checked.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ..errors import Cause
from . import usage

STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""What is added to a request for a stream that ends with its usage."""
COMPLETIONS = "/chat/completions"
MODELS = "/models"
"""Paths below the endpoint's address."""
IMAGE_CHARS = 4000  # an image is charged about a thousand tokens, whatever its bytes
HEARD_CHARS = 20_000
MAX_EVENT_BYTES = 8 << 20
"""The most of a body, or of one event of a stream."""
NO_DATA = (b":", b"event:", b"id:", b"retry:")
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
_THOUGHT_TYPES = ("thinking", "reasoning", "reasoning_content")

WINDOW = re.compile(
    r"context[_ ](length|window|size)|(prompt|input) is too long|exceeds the maximum number of tok",
    re.IGNORECASE,
)
NO_MODEL = re.compile(
    r"model_not_found|invalid[_ ]model|not a valid model|model\b.{0,80}(not found|not exist)",
    re.IGNORECASE | re.DOTALL,
)
REFUSED = re.compile(r"content_filter|content_policy|content management policy", re.IGNORECASE)


class Failure(Exception):
    """One request that failed. ``cause`` is that of ``LMError``, ``said`` what the endpoint
    said about it; ``again`` whether another try may help, ``wait_s`` how long it asked to wait;
    ``reported`` what it used, and ``charged`` false where no work was done."""

    def __init__(
        self, cause: Cause, said: str = "", *, again: bool = False, status: int | None = None
    ) -> None:
        super().__init__(cause, said)
        self.cause = cause
        self.said = said
        self.again = again
        self.status = status
        self.clues = said
        """Its words and its codes, in which its cause is looked for."""
        self.wait_s: float | None = None
        self.reported: usage.Reported | None = None
        self.charged = True


@dataclass(frozen=True)
class Piece:
    """The part of a reply in one body, or in one event of a stream. ``thoughts`` are those that the
    endpoint sends apart from the text."""

    text: str
    thoughts: str
    refusal: str
    finish: str | None
    model: str | None
    reported: usage.Reported | None


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the field of a request that asks for a reply that fits a JSON Schema."""
    about = {"name": "reply", "schema": schema, "strict": _closed(schema)}
    return {"type": "json_schema", "json_schema": about}


def _closed(schema: object) -> bool:
    """Return whether no object of a schema may lack or add a property, as strict modes require."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, Mapping):
        return True
    names = schema.get("properties")
    if isinstance(names, Mapping):
        required = schema.get("required")
        whole = isinstance(required, list) and set(required) == set(names)
        if not whole or schema.get("additionalProperties") is not False:
            return False
    elif schema.get("type") == "object":
        return False
    return all(map(_closed, schema.values()))


def piece(body: object) -> Piece:
    """Read a completion or one event of a stream.

    Raises ``Failure`` for an error that was sent with status 200, and for what is no chat
    completion.
    """
    if not isinstance(body, dict):
        raise Failure("garbage", _short(body), again=True)
    if body.get("error"):
        code = _mapping(body["error"]).get("code")
        raise failure(code if isinstance(code, int) else 500, body)
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise Failure("garbage", f"no choices, only {sorted(map(str, body))[:8]}", again=True)
    choice = _mapping(choices[0]) if choices else {}
    message = _mapping(choice.get("delta") or choice.get("message"))
    finish, model, refusal = choice.get("finish_reason"), body.get("model"), message.get("refusal")
    return Piece(
        text=_text(message.get("content")),
        thoughts=_thoughts(message),
        refusal=refusal if isinstance(refusal, str) else "",
        finish=finish if isinstance(finish, str) else None,
        model=model if isinstance(model, str) else None,
        reported=usage.reported(body),
    )


def failure(status: int, body: object) -> Failure:
    """Return the failure that an error status and its body mean."""
    error = _mapping(body).get("error", body)
    said = _short(_mapping(error).get("message") or _mapping(body).get("detail") or error)
    code = " ".join(_short(_mapping(error).get(name)) for name in ("code", "type", "param"))
    cause, again = _cause(status, f"{code} {said}", code)
    found = Failure(cause, said, again=again, status=status)
    found.clues = f"{code} {said}"
    found.reported = usage.reported(body)
    return found


def _cause(status: int, text: str, code: str) -> tuple[Cause, bool]:
    if status in (401, 403):
        return "auth", False
    if status in (400, 413, 422, 500) and WINDOW.search(text):
        return "window", False
    if status == 400 and REFUSED.search(text):
        return "refusal", False
    if status == 404 or (status in (400, 422) and NO_MODEL.search(text)):
        return "model", False
    if status == 429:
        return "rate_limit", "insufficient_quota" not in code
    if status == 408:
        return "timeout", True
    if status == 409 or status >= 500:
        return "server", True
    return "bad_request", False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks us to wait, from its headers; None if it does not."""
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, ms / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


async def pieces(data: AsyncIterator[bytes]) -> AsyncGenerator[Piece | None]:
    """The events of a streamed reply; None for the ``[DONE]`` that ends it.

    Chat endpoints send one line an event. Split on bytes: text methods would also split at
    U+2028, which may stand inside a payload. Raises ``Failure`` for what is no such stream, and for
    an event that is longer than ``MAX_EVENT_BYTES``.
    """
    rest = b""
    async for chunk in data:
        *lines, rest = (rest + chunk).split(b"\n")
        check_size(len(rest))
        for line in lines:
            payload = line.removeprefix(b"data:").strip()
            if payload == b"[DONE]":
                yield None
                return
            # Bare JSON passes: errors come so, and replies of endpoints that do not stream.
            if payload and not line.startswith(NO_DATA):
                yield piece(parse(payload))
    if rest.strip() and not rest.startswith(NO_DATA):
        yield piece(parse(rest.removeprefix(b"data:").strip()))


def parse(payload: bytes) -> object:
    """A payload as JSON. Raises ``Failure`` if it is none, too long or nested too deeply."""
    check_size(len(payload))
    try:
        return json.loads(payload)
    except RecursionError:
        raise Failure("garbage", "JSON that is nested too deeply", again=True) from None
    except ValueError:
        raise Failure("garbage", _short(payload.decode("utf-8", "replace")), again=True) from None


def json_or_text(payload: bytes) -> object:
    """The body of an error, which need not be JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


def check_size(size: int) -> None:
    """Raise ``Failure`` for a body or an event of more bytes than any reply takes."""
    if size > MAX_EVENT_BYTES:
        raise Failure("endless", f"more than {MAX_EVENT_BYTES >> 20} MiB in one piece")


def model_names(body: object) -> list[str]:
    """The names in the body of ``GET /models``. Raises ``Failure`` if it is none."""
    listed = _mapping(body).get("data")
    if not isinstance(listed, list):
        raise Failure("garbage", _short(body))
    return [name for item in listed if isinstance(name := _mapping(item).get("id"), str)]


class Joiner:
    """Joins the deltas of a stream: a surrogate pair may come in two halves."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, text: str) -> str:
        text = self._half + text
        split = "\ud800" <= text[-1:] <= "\udbff"
        self._half = text[-1] if split else ""
        return mend(text[:-1] if split else text)

    def end(self) -> str:
        """Return what is left: U+FFFD for a half that never met its other."""
        return mend(self._half)


def mend(text: str) -> str:
    """``text`` with surrogate pairs joined and each lone surrogate as U+FFFD.

    JSON over UTF-8 cannot carry them, and endpoints do send halves of an escaped pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def mend_all(value: Any) -> Any:
    """``mend`` for every text inside messages."""
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, list):
        return [mend_all(item) for item in value]
    if isinstance(value, dict):
        return {key: mend_all(item) for key, item in value.items()}
    return value


def size(messages: list[dict[str, Any]]) -> int:
    """The characters of all texts in messages; a part that is no text counts ``IMAGE_CHARS``."""
    return sum(_size(message.get("content")) for message in messages)


def _size(content: object) -> int:
    if isinstance(content, list):
        texts = [_mapping(part).get("text") for part in content]
        return sum(len(text) if isinstance(text, str) else IMAGE_CHARS for text in texts)
    return len(content) if isinstance(content, str) else 0


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object) -> str:
    """The text of a message, whose parts may be thoughts too."""
    if isinstance(content, list):
        parts = [part for part in map(_mapping, content) if part.get("type") not in _THOUGHT_TYPES]
        return "".join(_string(part.get("text")) for part in parts)
    return _string(content)


def _thoughts(message: dict[str, Any]) -> str:
    """The thoughts that stand beside the text, in the fields and parts that makers have for it."""
    beside = next((text for name in _THOUGHT_FIELDS if (text := _string(message.get(name)))), "")
    content = message.get("content")
    parts = map(_mapping, content) if isinstance(content, list) else ()
    for part in (part for part in parts if part.get("type") in _THOUGHT_TYPES):
        inner = part.get("thinking") or part.get("text")
        beside += _text(inner)
    return beside


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if number == number else None


def _short(value: object) -> str:
    try:
        text = str(value)
    except RecursionError:
        text = "JSON that is nested too deeply"
    return " ".join(text[: 8 * HEARD_CHARS].split())[:HEARD_CHARS]
