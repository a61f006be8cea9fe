"""What a cell may ask of the host and what it is answered: ``Call`` in, ``Slot`` out.

What comes from a guest is untrusted; ``check`` makes a ``Call`` of it or refuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..answers import Answer, Evidence
from ..errors import CallRefused, Cause
from ..record.equality import call_key
from ..record.forms import LARGEST
from ..remote.guest.answers.evidence import MOST as MOST_EVIDENCE
from ..remote.guest.answers.evidence import MOST_CHARS as MOST_QUOTE
from ..remote.guest.globals import BATCHES, CHILD_STARTING, OPS
from ..remote.guest.images import MOST, MOST_BYTES, measured, wrong_with
from ..remote.guest.wire import LONGEST_NAME
from . import broker
from .frames import Payload
from .map_options import MapOptions, is_schema, options_of

MAX_NOTICE = 2000
SUFFIXES = ("png", "jpg", "svg", "csv")
"""Of the files that belong to answers."""
REFUSED_CHARS = 2000
"""Of a prompt that nobody was asked, in the record; its key is that of all of it."""
MOST_REFUSED = 1000
"""Refused prompts of a cell that are recorded; what is refused after them a replay refuses too."""


@dataclass(frozen=True)
class Image:
    """A picture from a guest, by its MIME type and bytes, which last as long as the call."""

    mime: str
    data: Payload

    @property
    def spec(self) -> dict[str, Any]:
        """Return what the record has of it."""
        return {"mime": self.mime, "sha256": self.data.sha256, "size": self.data.size}


@dataclass(frozen=True)
class Call:
    """A call from a cell, checked. ``contexts`` are kind and bytes for each child's context, which
    last as long as the call; ``given`` says which were written and not taken from the prompt;
    ``max_turns`` is the most turns of a child. ``images`` are those of each prompt that has any,
    ``schema`` is a JSON Schema that the replies should fit. Of a map the prompts are its items, and
    ``options`` what is asked about them. ``ahead`` is the number, from 1, of the loop's request in
    which it was asked ahead of its turn, 0 for any other: those of one came in their order."""

    op: str
    cell: int
    prompts: list[str]
    model: str | None
    contexts: list[tuple[str, Payload]] = field(default_factory=list)
    given: list[bool] = field(default_factory=list)
    max_turns: int | None = None
    images: dict[int, list[Image]] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    options: MapOptions | None = None
    ahead: int = 0
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


Slot = dict[str, Any]
"""``{"value": ...}``, of a child with what is known of it as ``about``, or
``{"error": {"type", "message", ...}}``."""


class Calls(Protocol):
    """Answers the calls of one node's cells."""

    async def serve(self, call: Call) -> list[Slot]:
        """One slot a prompt (one for a tool). Cancelled when the cell stops waiting.

        Raises ``LimitReached``, ``CallRefused`` or ``RefusedCall`` where the whole call is refused.
        """
        ...


class RefusedCall(Exception):
    """Raised by ``Calls.serve`` with the one error of a whole call."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot["error"]["message"])
        self.slot = slot


def identity(call: Call) -> str:
    """Return the key of a call: the digest of what was written, by which replay finds it."""
    if call.op == "tool":
        return call_key("tool", [call.tool, call.arguments])
    contexts = [[kind, data.sha256] for kind, data in call.contexts]
    images = {str(at): [one.data.sha256 for one in own] for at, own in call.images.items()}
    options = call.options.written if call.options is not None else None
    more = {
        "max_turns": call.max_turns,
        "images": images,
        "schema": call.schema,
        "options": options,
    }
    written = {name: value for name, value in more.items() if value}
    return call_key(call.op, [call.prompts, call.model, contexts, *([written] if written else [])])


def as_text(value: object, most: int = 1 << 26) -> str | None:
    """Return a text from a guest, cut to so many characters; None for what is none."""
    return value[:most] if isinstance(value, str) else None


def as_texts(value: object) -> list[str]:
    """Return the texts of a list from a guest, the first hundred at most."""
    items = value if isinstance(value, list) else []
    return [item[:MAX_NOTICE] for item in items[:100] if isinstance(item, str)]


def as_answer(told: object) -> Answer | None:
    """Return the answer in a guest's report, checked; None where it tells of none. The value of one
    that sends no JSON is its text."""
    text = as_text(told.get("text")) if isinstance(told, dict) else None
    if not isinstance(told, dict) or text is None:
        return None
    name, value = as_text(told.get("type"), LONGEST_NAME) or "str", told.get("value")
    if not isinstance(value, str) or not _is_json(value):
        value = json.dumps(text, ensure_ascii=False)
    return Answer(text=text, type=name, value=value, evidence=as_evidence(told.get("evidence")))


def as_evidence(told: object) -> tuple[Evidence, ...]:
    """Return the evidence in a guest's report, checked; what is none is left out."""
    items = told[:MOST_EVIDENCE] if isinstance(told, list) else []
    return tuple(one for item in items if (one := _evidence(item)) is not None)


def _evidence(told: object) -> Evidence | None:
    if not isinstance(told, dict):
        return None
    quote, where = as_text(told.get("quote"), MOST_QUOTE), as_text(told.get("where"), MAX_NOTICE)
    start, end, line = (_count(told.get(name)) for name in ("start", "end", "line"))
    if quote is None or where is None:
        return None
    supported = told.get("supported") is True and None not in (start, end, line)
    return Evidence(quote=quote, supported=supported, where=where, start=start, end=end, line=line)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST else None


@dataclass(frozen=True)
class Attached:
    """A file that belongs to an answer."""

    suffix: str
    data: bytes


def as_attached(told: object, data: bytes) -> Attached | None:
    """Return the file that a guest sent with its answer, checked."""
    suffix = told.get("suffix") if isinstance(told, dict) else None
    known = isinstance(suffix, str) and suffix in SUFFIXES
    return Attached(str(suffix), data) if known and data else None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def check(request: broker.Request, prompt_chars: int, max_batch: int) -> Call | None:
    """Return the call in a request; None if the guest did not write it as ours does.

    Raises ``CallRefused`` for a prompt that a sub-LM does not take and for too many of them, which
    our guest sends neither, by the same numbers.
    """
    call = _written(request)
    if call is not None and len(call.prompts) > max_batch:
        raise CallRefused(f"a batch of {len(call.prompts):,} prompts; {max_batch:,} is the most")
    around = call.options.chars if call is not None and call.options is not None else 0
    longest = around + max(map(len, call.prompts), default=0) if call is not None else 0
    if call is not None and call.op.startswith("llm") and longest > prompt_chars:
        raise CallRefused(
            f"a prompt of {longest:,} characters; the sub-LM takes {prompt_chars:,} at most"
        )
    return call


def _written(request: broker.Request) -> Call | None:
    cell, model = request.header.get("cell"), request.header.get("model")
    if not isinstance(cell, int) or not isinstance(model, str | None):
        return None
    if model is not None and len(model) > LONGEST_NAME:
        return None
    if request.op == "tool":
        return _tool_call(request.header, cell)
    return _prompts_call(request, cell, model) if request.op in OPS else None


def asks_each(header: dict[str, Any]) -> bool:
    """Return whether a request is a loop's: a call for each of its prompts, all at once."""
    return header.get("op") == "llm_query" and header.get("each") is True


def _tool_call(header: dict[str, Any], cell: int) -> Call | None:
    name, args, kwargs = header.get("name"), header.get("args"), header.get("kwargs")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    arguments = {"args": args, "kwargs": kwargs}
    return Call(op="tool", cell=cell, prompts=[], model=None, tool=name, arguments=arguments)


def _prompts_call(request: broker.Request, cell: int, model: str | None) -> Call | None:
    prompts = request.header.get("prompts", [])
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        return None
    many = request.op in BATCHES or asks_each(request.header)
    if not prompts or (len(prompts) > 1 and not many):
        return None
    call = Call(op=request.op, cell=cell, prompts=prompts, model=model)
    if request.op == "llm_map":
        options = options_of(request.header, len(prompts))
        return None if options is None else replace(call, options=options)
    if request.op not in CHILD_STARTING:
        images = _images(request.header.get("images"), request.payload, len(prompts))
        schema = request.header.get("schema")
        if images is None or not (schema is None or is_schema(schema)):
            return None
        return replace(call, images=images, schema=schema)
    most = request.header.get("max_turns")
    if most is not None and (type(most) is not int or most < 1):
        return None
    contexts = _contexts(request.header.get("contexts"), request.payload)
    given = request.header.get("given")
    if contexts is None or not isinstance(given, list):
        return None
    if not len(contexts) == len(given) == len(prompts):
        return None
    return replace(call, contexts=contexts, given=[bool(g) for g in given], max_turns=most)


def _images(sizes: object, payload: Payload, count: int) -> dict[int, list[Image]] | None:
    """Cut the payload into the images of ``count`` prompts, as the header says. Raises
    ``CallRefused`` for what is no image that may be sent."""
    found: dict[int, list[Image]] = {}
    position = 0
    listed = [] if sizes is None else sizes
    if not isinstance(listed, list) or len(listed) not in (0, count):
        return None
    for at, own in enumerate(listed):
        if not isinstance(own, list) or len(own) > MOST:
            return None
        for size in own:
            if type(size) is not int or not 0 <= size <= min(MOST_BYTES, payload.size - position):
                return None
            found.setdefault(at, []).append(_image(payload.part(position, size)))
            position += size
    return found


def _image(data: Payload) -> Image:
    whole = data.read()
    about, wrong = measured(whole), wrong_with(whole)
    if about is None or wrong is not None:
        raise CallRefused(f"an image: {wrong}")
    return Image(about[0], data)


def _contexts(sizes: object, payload: Payload) -> list[tuple[str, Payload]] | None:
    """Cut the payload into the children's contexts, as the header says."""
    found, position = [], 0
    for item in sizes if isinstance(sizes, list) else []:
        kind, size = (item.get("kind"), item.get("size")) if isinstance(item, dict) else (None, 0)
        if kind not in ("text", "bytes", "json", "pickle") or not isinstance(size, int):
            return None
        if not 0 <= size <= payload.size - position:
            return None
        found.append((kind, payload.part(position, size)))
        position += size
    return found


def is_refused(slot: Slot) -> bool:
    """Return whether nobody was asked: a limit was reached, or the call cannot be served."""
    return slot.get("error", {}).get("type") in ("LimitReached", "CallRefused")


def whole_refusal(slots: Sequence[Slot], wanted: int) -> Slot | None:
    """Return the one error of a call that was refused as a whole; None where its slots, of which so
    many are ``wanted``, are what the cell gets: prompts that were answered are not lost for others.

    Older records do not name the limit, and have calls that it refused in part refused whole.
    """
    errors = [slot for slot in slots if "error" in slot]
    limits = [slot for slot in errors if slot["error"]["type"] == "LimitReached"]
    older = [slot for slot in limits if "limit" not in slot["error"]]
    if older or (errors and len(slots) < wanted):
        return (older or limits or errors)[0]
    return limits[0] if len(limits) == len(slots) else None


def refusal(
    message: str,
    kind: str = "CallRefused",
    *,
    cause: Cause | None = None,
    attempts: int | None = None,
    limit: str | None = None,
    detail: str | None = None,
) -> Slot:
    """Return the slot of an error. ``cause`` and ``attempts`` are those of an ``LMError``, and so
    is ``detail``, its text for a human where the cell is told another; a ``limit`` is named where
    it refused the call."""
    error: dict[str, Any] = {"type": kind, "message": message}
    more = {"cause": cause, "attempts": attempts, "limit": limit, "detail": detail}
    for name, value in more.items():
        if value is not None:
            error[name] = value
    return {"error": error}
