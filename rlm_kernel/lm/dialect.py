"""An endpoint's dialect: how its models are asked where they refuse the usual way.

A refusal that names what was refused is met once: from then on that model is asked the other way.
One that names nothing may be of the request for the usage, which not all servers know: that is left
out once, and remembered if it helped. What an adjustment takes away was a wish (a temperature, a
form of the reply), never a part of the question.

Nothing here does any I/O.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from .chat import STREAMED
from .failures import Failure

Body: TypeAlias = dict[str, Any]

_CLUE_CHARS = 2_000  # beyond that an endpoint echoes the request
_NO = (
    r"un(?:supported|known|recogni[sz]ed|expected|permitted|available)"
    r"|extra[ _](?:input|field|forb)"
    r"|(?:not|n't|cannot|no longer)\s(?:\w+\s){0,2}"
    r"(?:support|allow|permit|accept|valid|enable|available|implement|recogni[sz]e|used|sent"
    r"|specif)"
    r"|deprecated|additional propert|invalid (?:param|arg|field|key)|instead|must not"
    r"|(?:only|may only)\b.{0,40}(?:support|allow|default|accept|be set|be 1)"
)
_ONLY_STREAMS = (
    r"(?:only|must|should|requires?|need|need to|have to|has to|please)\b.{0,60}\bstream"
    r"|non[- ]stream\w*.{0,60}(?:" + _NO + r"|false)"
    r"|\bstream(?:ing)?\b.{0,40}\b(?:must|should|required)\b"
    r"|stream (?:mode|=) ?(?:only|true)|非流式"
)
_ROLES = (
    r"(?:system|developer)\W{0,3}\s?(?:role|message|prompt|instruction).{0,80}(?:" + _NO + r")"
    r"|(?:" + _NO + r").{0,80}\b(?:system|developer)\b"
    r"|(?:system|developer) (?:role|message)s? must"
    r"|\brole\W.{0,80}\b(?:system|developer)\b|\b(?:system|developer)\b.{0,80}\brole"
    r"|roles?\b.{0,80}\b(?:must|should)\b.{0,40}\balternat"
    r"|only (?:support\w* )?user(?:,| and)? assistant|alternat\w+.{0,40}\buser\b"
    r"|'user' (?:or|and) 'assistant'"
)
_STRUCTURE = r"response_format|json_schema|structured[ _]output|guided|grammar"
_BAD_SCHEMA = r"invalid schema|schema.{0,80}(?:invalid|must|not permitted|required|unsupported)"


def _refusing(name: str) -> re.Pattern[str]:
    """Return what finds a refusal of a field of the request."""
    field = rf"(?<![\w]){name}(?![\w])"
    return _pattern(rf"{field}.{{0,120}}(?:{_NO})|(?:{_NO}).{{0,80}}{field}")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, eq=False)
class Adjustment:
    """A way to ask otherwise: what is said of it, when it can be made, the refusal that calls for
    it, and the request that is sent then."""

    said: str
    can: Callable[[Body], bool]
    refusal: re.Pattern[str]
    made: Callable[[Body], Body]
    after_500: bool = True
    """False where the words of its refusal may tell of a fault that passes."""
    of_endpoint: bool = False
    """True where all models of an endpoint refuse what one does."""
    key: Callable[[Body], object] = lambda body: None
    """The part of a request that it holds for alone; None where it holds for every one."""


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _dropped(name: str) -> Adjustment:
    return Adjustment(f"no {name}", lambda body: name in body, _refusing(name), _without(name))


def _counted_otherwise(body: Body) -> Body:
    rest = _without("max_tokens")(body)
    return {**rest, "max_completion_tokens": body["max_tokens"]}


def _has_roles(body: Body) -> bool:
    roles = [message.get("role") for message in body["messages"]]
    return "system" in roles or "developer" in roles or _neighbours(roles)


def _neighbours(roles: list[Any]) -> bool:
    return any(one == other for one, other in pairwise(roles))


def _alternating(body: Body) -> Body:
    """The request with the system's words at the head of the first user's, and roles that
    alternate."""
    messages: list[Body] = []
    for message in body["messages"]:
        role = "assistant" if message.get("role") == "assistant" else "user"
        if messages and messages[-1]["role"] == role:
            before = messages.pop()
            content = _joined(before.get("content"), message.get("content"))
            messages.append({**before, "content": content})
        else:
            messages.append({**message, "role": role})
    return {**body, "messages": messages}


def _joined(first: object, second: object) -> object:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return _parts(first) + _parts(second)


def _parts(content: object) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": str(content)}]


def _schema(body: Body) -> str:
    return json.dumps(body["response_format"], sort_keys=True, default=str)


NO_USAGE = Adjustment(
    "no stream_options",
    lambda body: "stream_options" in body,
    _refusing("(?:stream_options|include_usage)"),
    _without("stream_options"),
    of_endpoint=True,
)
NO_SCHEMA = Adjustment(
    "no response_format",
    lambda body: "response_format" in body,
    _pattern(_STRUCTURE),
    _without("response_format"),
)
ADJUSTMENTS = (
    Adjustment(
        "sub-calls as streams",
        lambda body: "stream" not in body,
        _pattern(_ONLY_STREAMS),
        lambda body: {**body, **STREAMED},
        after_500=False,
    ),
    Adjustment(
        "turns not streamed",
        lambda body: "stream" in body,
        _refusing(r"stream(?:ing|ed)?"),
        _without(*STREAMED),
        after_500=False,
    ),
    NO_USAGE,
    Adjustment(
        "max_completion_tokens instead of max_tokens",
        lambda body: "max_tokens" in body,
        _refusing("max_tokens"),
        _counted_otherwise,
    ),
    Adjustment(
        "no response_format of this schema",
        lambda body: "response_format" in body,
        _pattern(_BAD_SCHEMA),
        _without("response_format"),
        key=_schema,
    ),
    NO_SCHEMA,
    *map(_dropped, ("temperature", "top_p", "seed", "reasoning_effort")),
    Adjustment(
        "the system's words in the first user message", _has_roles, _pattern(_ROLES), _alternating
    ),
)
"""In the order in which they are made."""


@dataclass(frozen=True)
class Request:
    """A request as it is sent, and what was adjusted in it."""

    body: Body
    adjustments: tuple[Adjustment, ...]

    @property
    def streamed(self) -> bool:
        return "stream" in self.body


class Dialect:
    """The ways of one endpoint, as far as they are known. For one event loop."""

    def __init__(self) -> None:
        self._known: defaultdict[str | None, set[tuple[Adjustment, object]]] = defaultdict(set)
        self._settled = False
        """True once a stream that reports its usage was served, or refused without that too."""

    def request(self, body: Body, guess: Adjustment | None = None) -> Request:
        """Return a request as this endpoint wants it."""
        known = self._known[None] | self._known[body["model"]]
        made: list[Adjustment] = []
        for one in ADJUSTMENTS if known or guess else ():
            if one.can(body) and (one is guess or (one, one.key(body)) in known):
                body = one.made(body)
                made.append(one)
        return Request(body, tuple(made))

    def learn(self, refused: Request, failure: Failure) -> Adjustment | None:
        """Remember what a refusal names; return what to try where it names nothing."""
        if failure.cause not in ("bad_request", "server", "model"):
            return None
        body, clues = refused.body, failure.clues[:_CLUE_CHARS]
        for one in ADJUSTMENTS:
            called_for = one.after_500 or failure.cause != "server"
            if called_for and one.can(body) and one.refusal.search(clues):
                self._remember(one, body)
                return None
        if failure.cause != "bad_request":
            return None
        self._settled |= NO_USAGE in refused.adjustments
        return NO_USAGE if NO_USAGE.can(body) and not self._settled else None

    def served(self, request: Request) -> None:
        """Note that a request was served as it is."""
        self._settled |= NO_USAGE.can(request.body)
        if NO_USAGE in request.adjustments:
            self._remember(NO_USAGE, request.body)

    def _remember(self, one: Adjustment, body: Body) -> None:
        self._known[None if one.of_endpoint else body["model"]].add((one, one.key(body)))
