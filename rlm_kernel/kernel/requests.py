"""The gate for front ends' requests: what the outer kernel itself reads of one is there."""

from __future__ import annotations

from typing import Any

from jupyter_client.session import Session

from ..environments.messages import REFUSED, Message

COMMS = ("comm_open", "comm_msg", "comm_close")
_NEEDED: dict[str, dict[str, tuple[type, str]]] = {
    "execute_request": {"code": (str, "a text")},
    "complete_request": {"code": (str, "a text"), "cursor_pos": (int, "a number")},
    **{kind: {"comm_id": (str, "a text")} for kind in COMMS},
}
"""Of other requests the inner kernel judges, and of the rest of these."""


def faulty(session: Session, frames: Any) -> tuple[Any, Message, str] | None:
    """Identities, request and fault of a request that ipykernel would leave without an answer.
    None for others, and for what is no message at all."""
    rest: Any
    try:
        ident, rest = session.feed_identities(frames, copy=False)
        request = session.deserialize(rest, content=False, copy=False)
        kind = str(request["header"]["msg_type"])
    except RecursionError:  # it is signed: that was looked at first
        header = session.unpack(bytes(rest[1]))
        empty: Message = {"parent_header": {}, "metadata": {}, "content": {}, "buffers": []}
        names = {name: header[name] for name in ("msg_id", "msg_type")}
        return ident, {"header": header, **names, **empty}, "it nests too deep"
    except REFUSED:  # also for ipykernel's own signs
        return None
    try:
        request["content"] = session.unpack(bytes(request["content"]))
    except REFUSED as error:
        return ident, request, f"the content of {kind!r:.80} cannot be read: {error}"
    said = _fault(kind, request)
    return None if said is None else (ident, request, said)


def _fault(kind: str, request: Message) -> str | None:
    """What is wrong, in words; None where nothing is."""
    if request["header"].get("subshell_id") is not None:
        return "this kernel has no subshells: leave subshell_id out"
    for name in ("content", "metadata"):
        if not isinstance(request[name], dict):
            return f"the {name} of {kind!r:.80} is no JSON object"
    for name, (needed, words) in _NEEDED.get(kind, {}).items():
        if not isinstance(given := request["content"].get(name), needed):
            return f"{kind} needs {name!r}, {words}, and got {given!r:.80}"
    return None
