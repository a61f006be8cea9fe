"""Replies and faults as the bytes of an HTTP/1.1 answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from .faults import CutStream, EmptyChoice, Garbage, Refusal, Say, Status

CHUNK_CHARS = 8


@dataclass(frozen=True)
class Part:
    """Some bytes and the usage that they tell the client, if any."""

    data: bytes
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """``head`` goes out first, then ``parts``; ``close`` closes the connection after them."""

    status: int
    head: bytes
    parts: list[Part]
    streamed: bool = False
    close: bool = False

    @classmethod
    def json(
        cls,
        status: int,
        body: Any,
        *,
        usage: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        data = json.dumps(body).encode()
        return cls(
            status,
            head(status, {"Content-Length": len(data), **(headers or {})}),
            [Part(data, usage)],
        )


def head(status: int, headers: Mapping[str, object]) -> bytes:
    known = status in HTTPStatus.__members__.values()  # proxies have statuses of their own
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase if known else 'Unknown'}"]
    lines += [f"{k}: {v}" for k, v in {"Content-Type": "application/json", **headers}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def count_usage(request: dict[str, Any], text: str) -> dict[str, int]:
    """Count plainly: a token for every four characters, at least one of each."""
    asked = max(1, sum(len(str(m.get("content"))) for m in request.get("messages", [])) // 4)
    said = max(1, len(text) // 4)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def render(
    said: object,
    request: dict[str, Any],
    count: Callable[[dict[str, Any], str], Mapping[str, Any]],
    cumulative: bool,
) -> Answer:
    """Return ``said`` as it is on the wire. Raises ``TypeError`` for what cannot be said."""
    if isinstance(said, Status):
        return _refused(said)
    if isinstance(said, Garbage):
        data = said.body.encode()
        return Answer(200, head(200, {"Content-Length": len(data)}), [Part(data)])
    message = _Message.of(said)
    usage = message.usage if message.usage is not None else count(request, message.text)
    if request.get("stream"):
        asked = bool((request.get("stream_options") or {}).get("include_usage"))
        return message.streamed(request, usage, cumulative, asked)
    return message.whole(request, usage)


def _refused(said: Status) -> Answer:
    headers = dict(said.headers or {})
    if said.retry_after is not None:
        headers["Retry-After"] = str(said.retry_after)
    body = said.body
    if body is None:
        body = {"error": {"message": f"the test says {said.status}", "code": None}}
    return Answer.json(said.status, body, headers=headers)


@dataclass(frozen=True)
class _Message:
    """A chat completion before it is written down. ``cut`` is how many characters get out."""

    text: str
    usage: Mapping[str, Any] | None
    finish: str = "stop"
    reasoning: str = ""
    pieces: tuple[str, ...] | None = None
    refusal: str | None = None
    choices: bool = True
    cut: int | None = None
    clean: bool = False

    @classmethod
    def of(cls, said: object) -> Self:
        match said:
            case str():
                return cls(said, None)
            case Say():
                return cls(
                    text=said.text,
                    usage=said.usage,
                    finish=said.finish,
                    reasoning=said.reasoning,
                    pieces=said.pieces,
                )
            case CutStream():
                return cls(said.text, said.usage, cut=said.after_chars, clean=said.clean)
            case EmptyChoice():
                return cls("", said.usage, choices=said.choices)
            case Refusal(filtered=True):
                return cls("", said.usage, finish="content_filter")
            case Refusal():
                return cls("", said.usage, refusal=said.text)
        raise TypeError(f"reply returned {said!r}: return a str, a Say or a fault")

    def whole(self, request: dict[str, Any], usage: Mapping[str, Any]) -> Answer:
        message = {"role": "assistant", "content": self.text or None, "refusal": self.refusal}
        message |= {"reasoning_content": self.reasoning} if self.reasoning else {}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        body = _envelope(request, "chat.completion", [choice] if self.choices else [], usage)
        answer = Answer.json(200, body, usage=usage)
        if self.cut is None:
            return answer
        # The announced length is never reached: the usage at the end of the body is lost.
        half = answer.parts[0].data[: len(answer.parts[0].data) // 2]
        return Answer(200, answer.head, [Part(half)], close=True)

    def streamed(
        self, request: dict[str, Any], usage: Mapping[str, Any], cumulative: bool, asked: bool
    ) -> Answer:
        parts = list(self._parts(request, usage, cumulative, asked))
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        if self.cut is None or self.clean:
            parts.append(Part(b"0\r\n\r\n"))
        return Answer(200, head(200, headers), parts, streamed=True, close=self.cut is not None)

    def _parts(
        self, request: dict[str, Any], usage: Mapping[str, Any], cumulative: bool, asked: bool
    ) -> Iterator[Part]:
        def chunk(
            delta: dict[str, Any], finish: str | None, told: Mapping[str, Any] | None
        ) -> Part:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            choices = [choice] if self.choices else []
            return _event(_envelope(request, "chat.completion.chunk", choices, told), told)

        yield chunk({"role": "assistant"}, None, None)
        if self.reasoning:
            yield chunk({"reasoning_content": self.reasoning}, None, None)
        out = 0
        for piece in self._pieces():
            out += len(piece)
            part = _share(usage, out, len(self.text)) if cumulative else None
            yield chunk({"content": piece}, None, part)
        if self.cut is not None:
            return
        if self.refusal is not None:
            yield chunk({"refusal": self.refusal}, None, None)
        yield chunk({}, self.finish, usage if cumulative else None)
        if asked and not cumulative:
            yield _event(_envelope(request, "chat.completion.chunk", [], usage), usage)
        yield Part(chunked(b"data: [DONE]\n\n"))

    def _pieces(self) -> Iterator[str]:
        left = len(self.text) if self.cut is None else self.cut
        for piece in self.pieces or _split(self.text):
            if left <= 0:
                return
            yield piece[:left]
            left -= len(piece)


def _split(text: str) -> list[str]:
    return [text[at : at + CHUNK_CHARS] for at in range(0, len(text), CHUNK_CHARS)]


def _share(usage: Mapping[str, Any], out: int, whole: int) -> dict[str, Any]:
    """Return the usage when ``out`` of ``whole`` characters have been sent."""
    said = int(usage.get("completion_tokens", 0)) * out // max(1, whole)
    asked = int(usage.get("prompt_tokens", 0))
    return {**usage, "completion_tokens": said, "total_tokens": asked + said}


def _envelope(
    request: dict[str, Any], kind: str, choices: list[Any], usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    body = {"id": "chatcmpl-fake", "object": kind, "created": 0, "model": request.get("model")}
    return {**body, "choices": choices, "usage": dict(usage) if usage is not None else None}


def _event(body: dict[str, Any], usage: Mapping[str, Any] | None) -> Part:
    return Part(chunked(b"data: " + json.dumps(body).encode() + b"\n\n"), usage)


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
