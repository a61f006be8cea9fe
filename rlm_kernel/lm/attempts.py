"""One call to an LM and the HTTP requests that it takes: what they use, and what failed.

Pure bookkeeping. Every request is settled, also one that failed, was cut or was cancelled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from ..events import Usage
from . import chat, thoughts
from .chat import json_schema
from .dialect import Request
from .failures import Failure
from .joined import Joined
from .said import page_of, short
from .usage import Reported

ASSUMED_OUTPUT_TOKENS = 512
"""Held for a reply before it comes; a longer one is held by as much again, and again."""
MAX_REPLY_CHARS = 1_000_000
"""The longest reply, thoughts included: twice what models of today write at most."""
FILTERED = ("content_filter", "safety", "recitation", "prohibited_content", "blocklist", "spii")
"""Finish reasons of a reply that a filter ended."""
CUT_SHORT = (
    "length",
    "max_tokens",
    "max_output_tokens",
    "token_limit",
    "model_length",
    "model_context_window_exceeded",
    "time_limit",
    "timeout",
    *FILTERED,
)
"""Finish reasons of a reply that was cut by the provider. What there is of it counts."""
FAILED = ("error", "network_error", "insufficient_system_resource", "abort")
"""Finish reasons that say that the provider failed. What there is of the reply does not count."""
CHARS_A_TOKEN = 4

Price: TypeAlias = Callable[[str, Usage], float | None]


class Meter(Protocol):
    """Books one call."""

    def reserve(self, tokens: int, cost: float) -> AbstractContextManager[object]:
        """Hold an estimate while a request is in flight. Raises ``LimitReached``."""

    def book(self, usage: Usage) -> None:
        """Add what one HTTP request really used."""


def cut_short(finish: str | None) -> bool:
    """Return whether a finish reason says that the provider cut the reply before its end."""
    return (finish or "").lower() in CUT_SHORT


@dataclass(frozen=True)
class Sampling:
    """Settings of the model; each is sent only when set, since reasoning models refuse them."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    """A JSON Schema that the reply should fit. A wish: see ``Reply.constrained``."""
    reasoning_effort: str | None = None
    added: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of a request, as they are."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of a request."""
        fields = {name: value for name, value in vars(self).items() if value is not None}
        added, schema = fields.pop("added"), fields.pop("schema", None)
        form = {} if schema is None else {"response_format": json_schema(schema)}
        return {**added, **fields, **form}


@dataclass(frozen=True)
class Reply:
    """A usable reply. ``usage`` and ``seconds`` are of the whole call, failed tries included;
    ``finish`` is the endpoint's finish reason, or "cut" where we stopped reading. ``thoughts`` are
    those that came apart from the text. ``constrained`` says that the endpoint was asked to keep to
    the sampling's schema, and did not refuse; ``adjustments`` are the ways in which it was asked
    otherwise than is usual, since it refuses the usual one."""

    text: str
    model: str
    finish: str | None
    usage: Usage
    seconds: float
    thoughts: str = ""
    constrained: bool = False
    adjustments: tuple[str, ...] = ()

    @property
    def cut_short(self) -> bool:
        """Return whether the provider cut it before its end."""
        return cut_short(self.finish)

    @property
    def only_thought(self) -> bool:
        return bool(self.thoughts) and not self.text.strip()

    @property
    def fault(self) -> str | None:
        """Return why it is no answer to a sub-call, where it holds thoughts alone."""
        if not self.only_thought:
            return None
        cut = ", and was cut off before its end" if self.cut_short else ""
        return f"{self.model!r} replied with thoughts and no answer{cut}"

    def spoken(self) -> Reply:
        """Return the reply with only what it says as its text; what that thinks joins its
        thoughts."""
        said = thoughts.split(self.text)
        thought = "\n\n".join(filter(None, [self.thoughts, said.thoughts]))
        return replace(self, text=said.text, thoughts=thought)


@dataclass
class Attempt:
    """One HTTP request and what came of it. ``charged`` is false where no work was done for it;
    without ``reported`` the usage of one that was charged can only be estimated. ``unanswered``
    turns false for one that failed otherwise than by our waiting no longer. ``chosen`` is true
    once there was a choice, ``called`` once it was to call a tool; ``heard`` is the first that was
    passed over. ``held`` are the reservations for it, ``room`` the output tokens that they are
    for."""

    joined: Joined = field(default_factory=Joined)
    joined_thoughts: Joined = field(default_factory=Joined)
    refusal: str = ""
    finish: str | None = None
    model: str | None = None
    reported: Reported | None = None
    chosen: bool = False
    called: bool = False
    heard: str = ""
    charged: bool = True
    unanswered: bool = True
    held: ExitStack = field(default_factory=ExitStack)
    room: int = 0

    @property
    def text(self) -> str:
        """The text that came so far."""
        return self.joined.text

    @property
    def thoughts(self) -> str:
        """The thoughts that came apart from the text."""
        return self.joined_thoughts.text

    @property
    def written(self) -> int:
        """The characters that came so far, thoughts included."""
        return len(self.text) + len(self.thoughts)

    def take(self, value: object) -> int:
        """Add what a body or an event says; return where the text is new, as ``Joined`` does.

        Usage may come cumulatively: the last one seen counts. Raises ``Failure`` for an error.
        """
        piece = chat.piece(value)
        self._hear(value, piece)
        if piece is None:
            return len(self.text)
        self.refusal += piece.refusal
        self.called |= piece.called
        # What is written after a finish reason shows that it was none: some send it with thoughts.
        self.finish = piece.finish or (None if piece.text else self.finish)
        self.model = piece.model or self.model
        self.reported = piece.reported or self.reported
        last = piece.finish is not None
        self.joined_thoughts.add(piece.thoughts, piece.whole_thoughts, last=last)
        return self.joined.add(piece.text, piece.whole, last=last)

    def _hear(self, value: object, piece: chat.Piece | None) -> None:
        if piece is not None and piece.choice:
            self.chosen = True
        elif piece is None or not self.chosen:
            page = page_of(value) if isinstance(value, str) else None
            self.heard = self.heard or page or short(value)

    def end(self) -> int:
        """Note that no more comes; return where the text is new, as ``take`` does."""
        self.joined_thoughts.end()
        return self.joined.end()

    def check(self) -> None:
        """Raise ``Failure`` if the reply has ended without a text that could be used, and without a
        thought, which another try would have paid for anew."""
        if not self.chosen:
            raise Failure("garbage", self.heard, again=True)
        if (self.finish or "").lower() in FAILED:
            said = f"its finish reason is {self.finish!r}; its text {short(self.text)[:200]!r}"
            raise Failure("cut", said, again=True)
        self.check_size()
        if self.text:
            return
        if self.refusal or (self.finish or "").lower() in FILTERED:
            raise Failure("refusal", self.refusal or "a content filter took the reply away")
        if self.thoughts:
            return
        if cut_short(self.finish):
            raise Failure("empty", "all tokens that a reply may have were used up before any text")
        raise Failure("empty", "only a call of a tool" if self.called else "", again=True)

    def check_size(self) -> None:
        """Raise ``Failure`` if the reply has grown beyond what any is."""
        if self.written > MAX_REPLY_CHARS:
            raise Failure("endless", f"more than {MAX_REPLY_CHARS:,} characters")


@dataclass
class Attempts:
    """One call, its tries so far and what they used. ``price`` is None where all is free."""

    model: str
    messages: list[dict[str, Any]]
    meter: Meter
    sampling: Sampling
    price: Price | None
    attempts: int = 0
    waited_s: float = 0.0
    usage: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.messages = chat.mend_all(self.messages)
        self._input_tokens = max(1, chat.size(self.messages) // CHARS_A_TOKEN)

    def begin(self, held: ExitStack) -> Attempt:
        """One more try, with the estimate of it held. Raises ``LimitReached``."""
        room = self.sampling.max_tokens or ASSUMED_OUTPUT_TOKENS
        held.enter_context(self._reserve(self._input_tokens, room))
        self.attempts += 1
        return Attempt(held=held, room=room)

    def keep_up(self, this: Attempt) -> None:
        """Hold as much as has come of a reply already. Raises ``LimitReached``, and ``Failure``
        where it is beyond all bounds."""
        this.check_size()
        told = this.reported.output_tokens if this.reported else None
        while max(this.written // CHARS_A_TOKEN, told or 0) > this.room:
            # In steps that grow: a usage that is reported may leap.
            step = max(ASSUMED_OUTPUT_TOKENS, this.room // 8)
            this.held.enter_context(self._reserve(0, step))
            this.room += step

    def _reserve(self, read: int, written: int) -> AbstractContextManager[object]:
        most = Usage(input_tokens=read, output_tokens=written)
        cost = self.price(self.model, most) if self.price else None
        return self.meter.reserve(most.tokens, cost or 0.0)

    def settle(self, attempt: Attempt) -> None:
        """Book what a request used. Called once for each, however it ended."""
        usage = self._used(attempt)
        self.usage += usage
        self.meter.book(usage)

    def _used(self, attempt: Attempt) -> Usage:
        told = attempt.reported
        if told is None and not attempt.charged:
            return Usage(requests=1)
        usage = self._counted(attempt, told)
        if self.price is None:
            return usage
        cost = told.cost if told else None
        if cost is None and usage.tokens:
            cost = self.price(self.model, usage)
        return replace(usage, unpriced=1) if cost is None else replace(usage, cost=cost)

    def _counted(self, attempt: Attempt, told: Reported | None) -> Usage:
        """Return the tokens as reported. What is not, or is 0 where something was sent, is
        estimated."""
        if told is None and not attempt.written:
            # Somebody works at what nobody waits for any more.
            sent = self._input_tokens if attempt.unanswered else 0
            return Usage(requests=1, input_tokens=sent, estimated=True)
        read = told.input_tokens if told else None
        written = told.output_tokens if told else None
        estimated = attempt.charged and not (read and (written or not attempt.written))
        if attempt.charged and not read:
            read = self._input_tokens
        if attempt.written and not written:
            rest = (told.total_tokens or 0) - (read or 0) if told else 0
            written = max(1, attempt.written // CHARS_A_TOKEN, rest)
        cached = told.cached_tokens if told else 0
        return Usage(
            requests=1,
            input_tokens=read or 0,
            output_tokens=written or 0,
            cached_tokens=cached,
            estimated=estimated,
        )

    def body(self) -> dict[str, Any]:
        """Return the request for a reply that is not streamed, as is usual."""
        return {"model": self.model, "messages": self.messages, **self.sampling.fields()}

    def reply(self, attempt: Attempt, request: Request) -> Reply:
        """Return the reply that a settled attempt brought."""
        seconds = time.monotonic() - self.started
        model = attempt.model or self.model
        return Reply(
            text=attempt.text,
            model=model,
            finish=attempt.finish,
            usage=self.usage,
            seconds=seconds,
            thoughts=attempt.thoughts,
            constrained="response_format" in request.body,
            adjustments=tuple(one.said for one in request.adjustments),
        )
