"""The gate for an inner kernel's messages: a cell can write on its kernel's sockets what it likes.

Each message is checked here once, by type and size, and mended where that is sensible; what cannot
be read is replaced by a note to whoever waits for it. Behind the gate a message has the fields of
its kind with the types that they must have, all of it is JSON that can be written again, and
nothing nests deeper than ``MAX_DEPTH``.
"""

from __future__ import annotations

import datetime
import hmac
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from jupyter_client.session import DELIM, Session

Message = dict[str, Any]
"""A Jupyter message as ``jupyter_client.session`` gives it, ``buffers`` included."""
Channel = Literal["shell", "control", "iopub", "stdin"]

MAX_DEPTH = 100
MAX_BYTES = 1 << 28
"""Of a message without its buffers, which nobody here parses."""
MAX_NAME = 200
"""Characters of a message's type and of its identity."""
REFUSED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What jupyter_client raises for frames that are no message."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT = re.compile(r"(?:text|image|audio|video)/(?!.*json\Z)|application/(?:javascript|pdf)\Z")
_STATUSES = {
    "is_complete_reply": ("complete", "incomplete", "invalid", "unknown", "error", "aborted"),
}
_ENDS = ("ok", "error", "aborted", "abort")


class NotSigned(Exception):
    """Frames that did not come from the kernel's own session, or no message at all."""


def receive(session: Session, frames: list[bytes], channel: Channel) -> Message:
    """Return the message in the frames, mended; a note instead where it cannot be read.

    Raises ``NotSigned``.
    """
    if DELIM not in frames:
        raise NotSigned("frames without a delimiter")
    parts = frames[frames.index(DELIM) + 1 :]
    try:
        if (size := sum(map(len, parts[1:5]))) > MAX_BYTES:
            raise ValueError(f"it has {size:,} bytes, the most is {MAX_BYTES:,}")
        return _mended(session.deserialize(parts), channel)
    except REFUSED as error:
        if len(parts) < 5 or not _signed(session, parts):
            raise NotSigned(str(error)) from None
        return _in_place(session, parts, channel, str(error) or type(error).__name__)


def _signed(session: Session, parts: list[bytes]) -> bool:
    return hmac.compare_digest(session.sign(parts[1:5]), bytes(parts[0]))


def _in_place(session: Session, parts: list[bytes], channel: Channel, why: str) -> Message:
    """Return what whoever waits for a message gets where it cannot be read."""
    said = f"a message of the kernel was left out: {why[:MAX_NAME]}"
    kind, content = {
        "iopub": ("stream", {"name": "stderr", "text": f"rlm: {said}\n"}),
        "stdin": ("input_request", {"prompt": f"[{said}] ", "password": False}),
    }.get(channel, ("reply", failure("UnreadableReply", said)))
    parent = {"header": _parent_of(session, parts[2])}
    return {**session.msg(kind, plain(content), parent=parent), "buffers": []}


def _parent_of(session: Session, frame: bytes) -> Message:
    try:
        return _parent(plain(session.unpack(frame[: 1 << 16])))
    except REFUSED:
        return {}


def failure(name: str, text: str) -> dict[str, Any]:
    """Return the content of an error reply, and of an ``error`` output."""
    return {"status": "error", "ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}


# -- values ---------------------------------------------------------------------------------------
def plain(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON that can be written: no NaN, and a note for what nests too deep.
    Dates, which jupyter_client makes of texts, stay."""
    if isinstance(value, (dict, list)) and depth >= MAX_DEPTH:
        return f"[nested deeper than {MAX_DEPTH} levels: left out]"
    if isinstance(value, dict):
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def pack_any_text(session: Session) -> None:
    """Let the session send lone surrogates too, as U+FFFD: they have no bytes in UTF-8."""
    pack = session.pack

    def packed(value: Any) -> bytes:
        try:
            made: bytes = pack(value)
        except UnicodeEncodeError:
            made = pack(_encodable(value))
        return made

    session.pack = packed


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _lines(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_text(line) for line in value]
    return [] if value is None else [_text(value)]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: Any) -> int:
    """Return a cell's number, or an offset in its code; JavaScript counts no further."""
    counts = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if counts else 0


def _stream(value: Any) -> str:
    return value if value in ("stdout", "stderr") else "stdout"


def _bundle(value: Any) -> dict[str, Any]:
    """Return a MIME bundle; what is known to be a text is one."""
    if not isinstance(value, dict):
        return {} if value is None else {"text/plain": _text(value)}
    return {mime: _whole(item) if _TEXT.match(mime) else item for mime, item in value.items()}


def _whole(value: Any) -> str:
    """Return a text, which files may have as a list of its lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return _text(value)


def _transient(value: Any) -> dict[str, Any]:
    kept = dict(_object(value))
    if "display_id" in kept:
        kept["display_id"] = _text(kept["display_id"])
    return kept


# -- messages -------------------------------------------------------------------------------------
Fields = Mapping[str, Callable[[Any], Any]]
_DISPLAY: Fields = {"data": _bundle, "metadata": _object}
_ERROR: Fields = {"ename": _text, "evalue": _text, "traceback": _lines}
_FIELDS: Mapping[str, Fields] = {
    "stream": {"name": _stream, "text": _text},
    "display_data": _DISPLAY,
    "update_display_data": _DISPLAY,
    "execute_result": {**_DISPLAY, "execution_count": _count},
    "error": _ERROR,
    "clear_output": {"wait": bool},
    "execute_input": {"code": _text, "execution_count": _count},
    "status": {"execution_state": _text},
    "comm_open": {"comm_id": _text, "target_name": _text, "data": _object},
    "comm_msg": {"comm_id": _text, "data": _object},
    "comm_close": {"comm_id": _text, "data": _object},
    "input_request": {"prompt": _text, "password": bool},
    "complete_reply": {
        "matches": _lines,
        "cursor_start": _count,
        "cursor_end": _count,
        "metadata": _object,
    },
    "inspect_reply": {"found": bool, **_DISPLAY},
    "history_reply": {"history": _list},
    "comm_info_reply": {"comms": _object},
    "create_subshell_reply": {"subshell_id": _text},
}
"""What a message of each kind must have; what is missing is made of None."""
_OPTIONAL: Fields = {
    "transient": _transient,
    "execution_count": _count,
    "user_expressions": _object,
    "payload": _objects,
    "supported_features": _lines,
    "indent": _text,
}
"""What it may have, whatever its kind."""


def _mended(message: Message, channel: Channel) -> Message:
    """Return the message as its kind must be. Raises one of ``REFUSED`` where that cannot be."""
    header, content = plain(message["header"]), plain(message["content"])
    for name in ("msg_type", "msg_id"):
        said = header[name]
        if not (isinstance(said, str) and 0 < len(said) <= MAX_NAME and said.isprintable()):
            raise ValueError(f"its {name} is {said!r:.80}")
    if not isinstance(content, dict):
        raise ValueError(f"its content is no object but {content!r:.80}")
    kind, replies = header["msg_type"], channel in ("shell", "control")
    content = _fitted(kind, _ended(kind, content) if replies else content, replies)
    return {
        **message,
        "header": _header(header),
        "msg_id": header["msg_id"],
        "msg_type": kind,
        "parent_header": _parent(plain(message["parent_header"])),
        "metadata": _object(plain(message["metadata"])),
        "content": content,
    }


def _fitted(kind: str, content: dict[str, Any], replies: bool) -> dict[str, Any]:
    failed = replies and content.get("status") == "error"
    fields = {name: mend for name, mend in _OPTIONAL.items() if name in content}
    fields |= _ERROR if failed else _FIELDS.get(kind, {})
    return {**content, **{name: mend(content.get(name)) for name, mend in fields.items()}}


def _ended(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a reply that says how it ended."""
    status = content.get("status")
    if isinstance(status, str) and status in _STATUSES.get(kind, _ENDS):
        return content
    return failure("UnreadableReply", f"the kernel's {kind} says {status!r:.80} as its status")


def _header(header: dict[str, Any]) -> dict[str, Any]:
    texts = {name: _text(header.get(name)) for name in ("username", "session", "version")}
    date = header.get("date")
    dated = {"date": date} if isinstance(date, (str, datetime.datetime)) else {}
    return {**{name: item for name, item in header.items() if name != "date"}, **texts, **dated}


def _parent(header: Any) -> dict[str, Any]:
    """Return the header of a request; empty where it names none."""
    named = isinstance(header, dict) and isinstance(header.get("msg_id"), str)
    return header if named else {}
