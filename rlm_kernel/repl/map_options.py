"""What a map asks about its items, as a guest wrote it beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..remote.guest.forms.schemas import MOST_SCHEMA_CHARS
from ..remote.guest.maps.map import LONGEST_PLACE, MOST_EXAMPLES, MOST_VOTES, around
from ..remote.guest.wire import LONGEST_NAME


@dataclass(frozen=True)
class MapOptions:
    """The question about each item, the JSON Schema that its value must fit, if any, examples of
    item and value, and how many votes an item has. ``rows`` are the items' places in the table,
    ``spans`` those in the input where they were cut out of it: the part's name, the first
    character and the one after the last, None where that is not known. ``ahead`` are the items,
    and their characters, that the same map has in later calls. ``since`` is the
    name of an earlier run's folder, whose rows may answer."""

    question: str
    schema: dict[str, Any] | None = None
    examples: list[tuple[str, Any]] = field(default_factory=list)
    votes: int = 1
    rows: list[int] = field(default_factory=list)
    spans: list[list[Any]] | None = None
    ahead: tuple[int, int] = (0, 0)
    since: str | None = None

    @property
    def written(self) -> dict[str, Any]:
        """Return what the cell wrote of them, as JSON data, by which the call is known again."""
        written = {
            "question": self.question,
            "schema": self.schema,
            "examples": [list(pair) for pair in self.examples],
            "votes": self.votes,
            "since": self.since,
        }
        return {name: value for name, value in written.items() if value}

    @property
    def chars(self) -> int:
        """Return how much longer a prompt is than its item, at most."""
        return around(self.written)

    def place(self, index: int) -> dict[str, Any]:
        """Return what the record has of the place of an item of the call."""
        span = {"span": self.spans[index]} if self.spans is not None else {}
        return {"row": self.rows[index], **span}


def options_of(header: Mapping[str, Any], count: int) -> MapOptions | None:
    """Return the options in a request for ``count`` items, checked; None where the guest did not
    write them as ours does."""
    given: dict[str, Any] = {one.name: header.get(one.name) for one in fields(MapOptions)}
    right = (
        isinstance(given["question"], str)
        and (given["schema"] is None or is_schema(given["schema"]))
        and isinstance(given["votes"], int)
        and 1 <= given["votes"] <= MOST_VOTES
        and _are_examples(given["examples"])
        and _are_counts(given["rows"], count)
        and _are_counts(given["ahead"], 2)
        and (given["spans"] is None or _are_spans(given["spans"], count))
        and (given["since"] is None or _is_name(given["since"]))
    )
    if not right:
        return None
    pairs = [(text, value) for text, value in given["examples"]]
    return MapOptions(**{**given, "examples": pairs, "ahead": tuple(given["ahead"])})


def is_schema(schema: object) -> bool:
    """Return whether it may be passed on as a JSON Schema; here nothing is checked by it."""
    if not isinstance(schema, dict):
        return False
    try:
        size = len(json.dumps(schema, ensure_ascii=False).encode())
    except (ValueError, RecursionError):  # lone surrogates, which no request can carry
        return False
    return size <= 8 * MOST_SCHEMA_CHARS


def _is_name(value: object) -> bool:
    """Return whether it can be the name of a folder, and is no path to another place."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return value not in (".", "..") and not set("/\\\0") & set(value)


def _are_examples(values: object) -> bool:
    """Return whether they are pairs of a text and a value, and not too many."""
    return (
        isinstance(values, list)
        and len(values) <= MOST_EXAMPLES
        and all(isinstance(v, list) and len(v) == 2 and isinstance(v[0], str) for v in values)
    )


def _are_counts(values: object, count: int) -> bool:
    """Return whether they are so many whole numbers of at least 0."""
    if not isinstance(values, list) or len(values) != count:
        return False
    return all(type(value) is int and value >= 0 for value in values)


def _are_spans(values: object, count: int) -> bool:
    """Return whether they are so many places, as a part's name and two ends."""
    return isinstance(values, list) and len(values) == count and all(map(_is_span, values))


def _is_span(span: object) -> bool:
    if not isinstance(span, list) or len(span) != 3 or not isinstance(span[0], str):
        return False
    numbers = all(end is None or type(end) is int for end in span[1:])
    return numbers and len(span[0]) <= LONGEST_PLACE
