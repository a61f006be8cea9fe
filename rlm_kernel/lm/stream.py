"""The bytes of an answer, split into what they say: JSON bodies and events, one after another.

A stream is one of server-sent events, of lines of JSON, or one body of any form, since endpoints
answer with each whatever they were asked for. Nothing here does any I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

from .failures import Failure, sent_as_error
from .said import short

MAX_EVENT_BYTES = 8 << 20
"""The most of a body, or of one event of a stream."""
DONE = object()
"""Says that a stream has come to its end."""
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELD = re.compile(rb"(data|event|id|retry)?\s*:")
_JSON = json.JSONDecoder(strict=False)
_BOM = b"\xef\xbb\xbf"


class Events:
    """Splits the bytes of an answer as they come.

    Split on bytes: text methods would also split at U+2028, which may stand inside a payload. An
    event may have no blank line after it where it is one line of JSON.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._after_return = False
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        self._size = 0
        self._event = ""
        self._begun = False

    def feed(self, chunk: bytes) -> Iterator[object]:
        """Yield what a piece of the answer completes: values of JSON, ``DONE``, texts that are
        no JSON. Raises ``Failure`` for broken JSON, for an event that is an error, and for one of
        more than ``MAX_EVENT_BYTES``."""
        if self._after_return:  # the last piece ended within a line end
            chunk = chunk.removeprefix(b"\n")
        self._after_return = chunk.endswith(b"\r")
        self._rest += chunk
        check_size(self._size + len(self._rest))
        if b"\n" not in chunk and b"\r" not in chunk:
            return
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[object]:
        """Yield what is left when no more comes."""
        yield from self._line(bytes(self._rest))
        yield from self._dispatched()
        yield from self._body()

    def _line(self, line: bytes) -> Iterator[object]:
        if not self._begun:
            self._begun, line = True, line.removeprefix(_BOM)
        field = _FIELD.match(line)
        if self._bare or not (field or not line.strip()):
            yield from self._bare_line(line, ends=bool(field))
        elif field is None:
            yield from self._dispatched()
        elif field[1] == b"event":
            self._event = line[field.end() :].decode("utf-8", "replace").strip()
        elif field[1] == b"data":
            yield from self._data_line(line[field.end() :].strip())

    def _data_line(self, data: bytes) -> Iterator[object]:
        """A line of data, mostly a whole event."""
        if self._data:
            self._keep(self._data, data)
        elif data == b"[DONE]":
            yield DONE
        elif data:
            try:
                value = json.loads(data.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                self._keep(self._data, data)
            else:
                yield self._judged(value)

    def _bare_line(self, line: bytes, *, ends: bool) -> Iterator[object]:
        """A line outside of events: JSON of one line, or a part of a body."""
        if ends:
            yield from self._body()
            yield from self._line(line)
            return
        if not self._bare and line.lstrip()[:1] == b"{":
            try:
                yield json.loads(line.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                pass
            else:
                return
        self._keep(self._bare, line)

    def _dispatched(self) -> Iterator[object]:
        """The event of several lines that a blank one ends."""
        data, self._data, self._size = self._data, [], 0
        if data:
            yield self._judged(parse(b"\n".join(data)))
        self._event = ""

    def _body(self) -> Iterator[object]:
        bare, self._bare, self._size = self._bare, [], 0
        if bare:
            yield parse(b"\n".join(bare))

    def _judged(self, value: object) -> object:
        if self._event == "error":
            raise sent_as_error(value)
        return value

    def _keep(self, lines: list[bytes], line: bytes) -> None:
        lines.append(line)
        self._size += len(line) + 1


async def values(data: AsyncIterator[bytes], alive: Callable[[], None]) -> AsyncGenerator[object]:
    """Yield what an answer says as it comes, as ``Events`` does. ``alive`` is called for every
    sign of life, such as a comment that only keeps the connection open."""
    events = Events()
    async for chunk in data:
        alive()
        for value in events.feed(chunk):
            yield value
    for value in events.end():
        yield value


def parse(payload: bytes) -> object:
    """Return a payload as JSON, or as text where it is none. Raises ``Failure`` for JSON that is
    broken or nested too deeply, and for a payload that is too long."""
    check_size(len(payload))
    text = payload.decode("utf-8-sig", "replace").strip()
    try:
        value, end = _JSON.raw_decode(text)
        if text[end:].lstrip()[:5] not in ("", "data:"):  # some end a body as they do a stream
            raise ValueError
        return value
    except RecursionError:
        raise Failure("garbage", "JSON that is nested too deeply", again=True) from None
    except ValueError:
        if text.lstrip()[:1] in ("{", "["):
            raise Failure("garbage", short(text), again=True) from None
        return text


def check_size(size: int) -> None:
    """Raise ``Failure`` for a body or an event of more bytes than any reply takes."""
    if size > MAX_EVENT_BYTES:
        raise Failure("endless", f"more than {MAX_EVENT_BYTES >> 20} MiB in one piece")
