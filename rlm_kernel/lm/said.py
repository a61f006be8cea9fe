"""The words of an endpoint about a failure, brought to one line, and the wait that it asks for.

Errors come as JSON of many shapes, as lists, web pages and plain text. Nothing here does any I/O.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import Any

HEARD_CHARS = 20_000
DEPTH = 6
_ITEMS = 5
_PAGE_CHARS = 200
_MESSAGES = (
    "message",
    "detail",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "Message",
    "description",
    "error_description",
    "reason",
    "title",
    "text",
)
"""The names that makers have for what they say, the usual ones first."""
INSIDE = ("error", "errors", "base_resp", "detail", "response")
"""The names of what an error stands in."""
_CODES = ("code", "type", "param", "status", "reason", "error_code", "error_type", "status_code")
_SOON = re.compile(
    r"(?:try|retry)(?: again)? (?:in|after) (?:(\d+)\s*h(?:ours?|rs?)?)?\s*"
    r"(?:(\d+)\s*m(?!s)(?:in\w*)?)?\s*(?:(\d+(?:\.\d+)?)\s*(ms|s))?",
    re.IGNORECASE,
)


def said_in(body: object) -> str:
    """Return what an error says, in one line: its message wherever it stands, else all of it."""
    return next(filter(None, map(short, _said(body, DEPTH))), "") or short(body)


def _said(value: object, depth: int) -> Iterator[str]:
    """The messages in a body, the outermost error's first."""
    if depth == 0:
        return
    if isinstance(value, str):
        yield from _said_in_text(value, depth)
    elif isinstance(value, list):
        shown = [next(_said(item, depth - 1), "") for item in value[:_ITEMS]]
        yield "; ".join(filter(None, shown))
    elif isinstance(value, dict):
        yield from _said_in_mapping(value, depth)


def _said_in_text(text: str, depth: int) -> Iterator[str]:
    """A text, or the message in it where an error of another server is quoted whole."""
    if text.lstrip()[:1] == "{" and isinstance(inner := json_or_text(text.encode()), dict):
        yield from _said(inner, depth - 1)
    yield text


def _said_in_mapping(value: dict[str, Any], depth: int) -> Iterator[str]:
    if isinstance(value.get("loc"), list) and isinstance(value.get("msg"), str):
        yield f"{'.'.join(map(str, value['loc']))}: {value['msg']}"
    raw = value.get("metadata")
    if isinstance(raw, dict) and isinstance(raw.get("raw"), str):
        yield ": ".join(
            filter(None, [str(value.get("message") or ""), next(_said(raw["raw"], depth - 1))])
        )
    for name in (*INSIDE, *_MESSAGES):
        if value.get(name):
            yield from _said(value[name], depth - 1)


def codes_in(value: object, depth: int = DEPTH) -> Iterator[str]:
    """The codes in a body: what makers say of an error in one word."""
    if depth and isinstance(value, list):
        for item in value[:_ITEMS]:
            yield from codes_in(item, depth - 1)
    if depth and isinstance(value, dict):
        yield from (short(value[n]) for n in _CODES if isinstance(value.get(n), str | int))
        for name in (*INSIDE, "details"):
            yield from codes_in(value.get(name), depth - 1)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks us to wait, from its headers; None if it does not."""
    if (ms := number_of(headers.get("retry-after-ms"))) is not None:
        return max(0.0, ms / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := number_of(value)) is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def delay_in(body: object, said: str) -> float | None:
    """The seconds that an error itself asks us to wait."""
    told = re.search(r"['\"]retryDelay['\"]:\s*['\"]([\d.]+)s", short(body))
    if told and (seconds := number_of(told[1])) is not None:
        return seconds
    found = _SOON.search(said)
    if not found or not any(found.groups()):
        return None
    hours, minutes, rest, unit = found.groups()
    seconds = (number_of(rest) or 0.0) / (1000 if (unit or "").lower() == "ms" else 1)
    return float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds


def page_of(text: str) -> str | None:
    """Return the words of a web page, in one short line; None for what is no page."""
    if not re.search(
        r"<(?:!doctype\s+html|\?xml|html|head|body|title|h1)\b", text[:2_000], re.IGNORECASE
    ):
        return None
    page = _Page()
    page.feed(text[:HEARD_CHARS])
    words = " ".join(" ".join(page.words).split())
    title = " ".join(page.title.split())
    shown = words if not title or words.startswith(title) else f"{title}: {words}"
    return f"a web page: {shown[:_PAGE_CHARS].strip(' :')}" if shown else "a web page without words"


class _Page(HTMLParser):
    """The words of a page that a person would see."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.words: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("title", "script", "style"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if self._within[-1:] == ["title"]:
            self.title += data
        elif not self._within:
            self.words.append(data)


def json_or_text(payload: bytes) -> object:
    """Return the body of an error, which need not be JSON."""
    text = payload.decode("utf-8-sig", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def short(value: object) -> str:
    """Return a value as one line of bounded length."""
    try:
        text = value if isinstance(value, str) else str(value)
    except RecursionError:
        text = "JSON that is nested too deeply"
    return " ".join(text[: 8 * HEARD_CHARS].split())[:HEARD_CHARS]


def number_of(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number == number else None
