"""The things that a fake endpoint can say, and the ways in which it can fail to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Say:
    """A reply as it should be. ``usage`` is sent as it stands; None lets the endpoint count.

    ``pieces`` are the deltas of a stream (default: eight characters each). ``reasoning`` goes
    out before the text as ``reasoning_content``.
    """

    text: str
    usage: Mapping[str, Any] | None = None
    finish: str = "stop"
    reasoning: str = ""
    pieces: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Status:
    """An HTTP status that is no success. ``retry_after`` is seconds, or any header text."""

    status: int
    body: Any = None
    retry_after: float | str | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CutStream:
    """The reply ends after ``after_chars`` characters, with no finish reason.

    ``clean`` ends the HTTP body properly; otherwise the connection is closed in the middle.
    """

    after_chars: int = 0
    text: str = "this reply is not going to be sent to its end"
    usage: Mapping[str, Any] | None = None
    clean: bool = False


@dataclass(frozen=True)
class Garbage:
    """Status 200 and a body that is not a chat completion."""

    body: str = "<html>it works!</html>"


@dataclass(frozen=True)
class EmptyChoice:
    """A choice without text; with ``choices=False`` an empty list of choices."""

    usage: Mapping[str, Any] | None = None
    choices: bool = True


@dataclass(frozen=True)
class Refusal:
    """The model refuses, or with ``filtered`` a content filter took the text away."""

    text: str = "I cannot help with that."
    filtered: bool = False
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Hang:
    """No reply until the client hangs up or the endpoint closes."""


@dataclass(frozen=True)
class Slow:
    """``then``, after ``seconds``."""

    seconds: float
    then: str | Say | Status | CutStream | Garbage | EmptyChoice | Refusal = "late"


Fault: TypeAlias = Status | CutStream | Garbage | EmptyChoice | Refusal | Hang | Slow
