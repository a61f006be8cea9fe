"""Keys kept out of what is told of a run: out of its record, its notebooks and its displays.

No kernel is given a key, but a cell may find one elsewhere on the machine, and print it. A cell
that means to hide one can write it in another way: this is against accidents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ..events import Event

MASK = "[key]"
Emit = Callable[[Event], None]


def masking(emit: Emit, secrets: Collection[str]) -> Emit:
    """Return ``emit`` for events in whose texts ``MASK`` is to stand for each of these secrets."""
    if not secrets:
        return emit

    def masked(event: Event) -> None:
        found = [secret for secret in secrets if any(secret in text for text in _texts(event))]
        emit(_without(event, found) if found else event)

    return masked


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _texts(getattr(value, field.name))


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, dict):
        return {_without(key, secrets): _without(part, secrets) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without(part, secrets) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        changes = {name: _without(getattr(value, name), secrets) for name in names}
        return dataclasses.replace(value, **changes)
    return value
