"""A quirk of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .changes import Event, Events, Request
from .faults import Fault, Status


@dataclass(frozen=True)
class Quirk:
    """A way in which endpoints depart from OpenAI's own.

    A quirk is made of changes: ``events`` of a stream (each an event, or bytes that are sent as
    they are), ``wire`` of the bytes of an event, ``whole`` of a body that is not streamed,
    ``usage`` of what is told of it. ``refuses`` answers a request that it will not serve, ``first``
    the first one for each model. ``streams`` is whether it does, whatever it was asked; None lets
    the request say. With ``stays_open`` a stream has no end.
    """

    name: str
    what: str
    reports: tuple[str, ...]
    """Public reports of it, as repository and number."""
    events: Callable[[Events], Iterable[Event | bytes]] = lambda events: events
    wire: Callable[[bytes], bytes] = lambda data: data
    whole: Callable[[Event], Event | bytes] = lambda body: body
    usage: Callable[[Mapping[str, Any]], Any] = lambda usage: usage
    refuses: Callable[[Request], Status | None] | None = None
    first: Fault | None = None
    streams: bool | None = None
    stays_open: bool = False
    told: bool = True
    """Whether it tells the usage of a stream, in whatever words."""
