"""Front ends' requests at the gate: whether one can be answered, and on whose behalf it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_client.session import Session

from ..environments.messages import REFUSED, Message
from ..errors import UsageError
from . import cell_parser
from .subshells import Subshells

COMMS = ("comm_open", "comm_msg", "comm_close")
_NEEDED: dict[str, dict[str, tuple[type, str]]] = {
    "execute_request": {"code": (str, "a text")},
    "complete_request": {"code": (str, "a text"), "cursor_pos": (int, "a number")},
    **{kind: {"comm_id": (str, "a text")} for kind in COMMS},
}
"""What the outer kernel reads itself; all else is judged by the inner kernel."""
STOP = ["%rlm", "stop"]
TELL = ["%rlm", "tell"]
WATCH = ["%rlm", "watch"]
NOBODYS = 0
"""The number of a cell that is in no record."""


def is_nobodys(content: Mapping[str, Any]) -> bool:
    """Return True where a front end asks for itself and not for the human: silently, out of the
    history (to list variables, say), or with no code, for ``user_expressions`` alone."""
    kept = not content.get("silent", False) and content.get("store_history", True)
    return not kept or not content["code"].strip()


def stops(code: str) -> bool:
    """Return whether a cell does nothing but end the run that goes on."""
    return code.split() == STOP


def is_done_beside(code: str) -> bool:
    """Return whether a cell is done beside the one that runs: it tells the LM a word, or shows a
    run."""
    words = code.split()[:2]
    return words == TELL or (words == WATCH and "\n" not in code.strip())


def asks(code: str, *, in_text: bool) -> bool:
    """Return whether a cell asks an LM; ``in_text`` is the mode in which plain text does."""
    try:
        return isinstance(cell_parser.split(code, ask=in_text), cell_parser.Question)
    except UsageError:
        return False


def faulty(session: Session, frames: Any, subshells: Subshells) -> tuple[Any, Message, str] | None:
    """Return identities, request and fault of a request that ipykernel would leave without an
    answer; None for others, and for what is no message at all."""
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
    said = _fault(kind, request, subshells)
    return None if said is None else (ident, request, said)


def _fault(kind: str, request: Message, subshells: Subshells) -> str | None:
    """Return what is wrong, in words; None where nothing is."""
    subshell = request["header"].get("subshell_id")
    if subshell is not None and subshell not in subshells:
        return f"there is no subshell {subshell!r:.80}"
    for name in ("content", "metadata"):
        if not isinstance(request[name], dict):
            return f"the {name} of {kind!r:.80} is not a JSON object"
    for name, (needed, words) in _NEEDED.get(kind, {}).items():
        if not isinstance(given := request["content"].get(name), needed):
            return f"{kind} needs {name!r}, {words}, and got {given!r:.80}"
    return None
