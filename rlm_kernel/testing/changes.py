"""The changes that quirks of endpoints are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from .faults import Status

Event: TypeAlias = dict[str, Any]
Events: TypeAlias = list[Event | bytes]
Request: TypeAlias = dict[str, Any]


def choice(event: Event | bytes) -> dict[str, Any]:
    """The choice of an event; empty where it has none."""
    choices = [] if isinstance(event, bytes) else event["choices"]
    return choices[0] if choices else {}


def whole_text(events: Events) -> str:
    return "".join(choice(e).get("delta", {}).get("content") or "" for e in events)


def without_choices(value: str) -> Callable[[Events], Iterator[Event | bytes]]:
    """The last event has null, or nothing, in place of its empty choices."""

    def changed(events: Events) -> Iterator[Event | bytes]:
        for event in events:
            if isinstance(event, bytes) or event["choices"]:
                yield event
            else:
                rest = {k: v for k, v in event.items() if k != "choices"}
                yield {**rest, "choices": None} if value == "null" else rest

    return changed


def between(data: bytes) -> Callable[[Events], Iterator[Event | bytes]]:
    """Some bytes before each event."""

    def changed(events: Events) -> Iterator[Event | bytes]:
        for event in events:
            yield data
            yield event

    return changed


def at_first(*more: Event | bytes) -> Callable[[Events], Iterator[Event | bytes]]:
    return lambda events: iter([*more, *events])


def finishing(
    change: Callable[[dict[str, Any], str], dict[str, Any]],
) -> Callable[[Events], Iterator[Event | bytes]]:
    """The choice with the finish reason is changed, by the text before it."""

    def changed(events: Events) -> Iterator[Event | bytes]:
        text = whole_text(events)
        for event in events:
            if isinstance(event, bytes) or not choice(event).get("finish_reason"):
                yield event
            else:
                yield {**event, "choices": [change(choice(event), text)]}

    return changed


def each_choice(
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[Events], Iterator[Event | bytes]]:
    def changed(events: Events) -> Iterator[Event | bytes]:
        for event in events:
            if isinstance(event, bytes) or not event["choices"]:
                yield event
            else:
                yield {**event, "choices": [change(choice(event))]}

    return changed


def so_far(events: Events) -> Iterator[Event | bytes]:
    """Each event has all of the text so far."""
    text = ""
    for event in events:
        if not isinstance(event, bytes) and choice(event).get("delta", {}).get("content"):
            text += choice(event)["delta"]["content"]
            yield {**event, "choices": [{**choice(event), "delta": {"content": text}}]}
        else:
            yield event


def thinking(events: Events) -> Iterator[Event | bytes]:
    """Thoughts first, whose events say that the reply has its end."""
    for text in ("let me ", "think"):
        choice = {"index": 0, "delta": {"reasoning_content": text}, "finish_reason": "stop"}
        yield {"object": "chat.completion.chunk", "choices": [choice]}
    yield from events


def usage_so_far(events: Events) -> Iterator[Event | bytes]:
    """Each event tells the usage, the earlier ones less of it."""
    told = [e["usage"] for e in events if not isinstance(e, bytes) and e.get("usage")]
    for event in events:
        if isinstance(event, bytes) or not told:
            yield event
        else:
            yield {
                **event,
                "usage": told[0]
                if not event["choices"]
                else {**told[0], "completion_tokens": 1, "total_tokens": 1},
            }


def ends_after_finish(events: Events) -> Iterator[Event | bytes]:
    """Nothing comes after the usage: no ``[DONE]``."""
    return (event for event in events if not isinstance(event, bytes))


def broken_after_finish(events: Events) -> Iterator[Event | bytes]:
    yield from (event for event in events if not isinstance(event, bytes))
    yield b'data: {"id": "chatcmpl-'


def heartbeats_after_finish(events: Events) -> Iterator[Event | bytes]:
    yield from (event for event in events if not isinstance(event, bytes))
    yield b": heartbeat\n\n" * 3


def nulls_after_finish(events: Events) -> Iterator[Event | bytes]:
    yield from (event for event in events if not isinstance(event, bytes))
    yield b"data: null\n\n" * 3


def lines(events: Events) -> Iterator[Event | bytes]:
    """Lines of JSON in place of events."""
    for event in events:
        if not isinstance(event, bytes):
            yield json.dumps(event).encode() + b"\n"


def several_lines(data: bytes) -> bytes:
    """An event on several lines of data."""
    if b"[DONE]" in data:
        return data
    shown = json.dumps(json.loads(data.removeprefix(b"data: ")), indent=1)
    return b"".join(b"data: " + line.encode() + b"\n" for line in shown.splitlines()) + b"\n"


def half_a_character(events: Events) -> Iterator[Event | bytes]:
    """An event with bytes that are no UTF-8, in a field that nobody needs."""
    yield b'data: {"note": "\xe2\x82", "choices": []}\n\n'
    yield from events


def pretty(body: Event) -> bytes:
    return json.dumps(body, indent=2).encode()


def refusing(name: str, message: str, status: int = 400, **more: Any) -> Callable[[Request], Any]:
    """Refuses requests that have a field."""

    def refuses(request: Request) -> Status | None:
        error = {"message": message, "type": "invalid_request_error", **more}
        return Status(status, {"error": error}) if name in request else None

    return refuses


def refusing_body(name: str, body: Any, status: int) -> Callable[[Request], Any]:
    return lambda request: Status(status, body) if name in request else None


def refusing_roles(body: Any, status: int = 400) -> Callable[[Request], Any]:
    """Refuses the system role."""

    def refuses(request: Request) -> Status | None:
        roles = {message["role"] for message in request["messages"]}
        return Status(status, body) if roles & {"system", "developer"} else None

    return refuses


def only_streams(message: str) -> Callable[[Request], Any]:
    def refuses(request: Request) -> Status | None:
        body = {"error": {"message": message, "code": "invalid_parameter_error"}}
        return None if request.get("stream") else Status(400, body)

    return refuses


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def named_otherwise(usage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
    }


def beside(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The thoughts are in the total alone."""
    said = usage["completion_tokens"] // 2
    return {**usage, "completion_tokens": said}


def plain_page(status: int) -> Status:
    page = f"<html><head><title>{status} Bad Gateway</title></head><body>nginx</body></html>"
    return Status(status, page)


AZURE_FIRST: Event = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]}
AZURE_LATE: Event = {
    "id": "",
    "choices": [{"finish_reason": None, "index": 0, "content_filter_offsets": {}}],
}
GEMMA = [{"error": {"code": 400, "message": "Developer instruction is not enabled for models/g"}}]
EXTRA = {
    "detail": [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted",
            "input": {"include_usage": True},
        }
    ]
}
