"""What a map asks about its items, as a guest wrote it beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..remote.guest.maps import LONGEST_PLACE, MOST_EXAMPLES, MOST_VOTES, around
from ..remote.guest.schemas import MOST_SCHEMA_CHARS
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
    question, schema, votes = header.get("question"), header.get("schema"), header.get("votes")
    examples, rows, ahead = header.get("examples"), header.get("rows"), header.get("ahead")
    spans, since = header.get("spans"), header.get("since")
    if not isinstance(question, str) or not (schema is None or is_schema(schema)):
        return None
    if not isinstance(votes, int) or not 1 <= votes <= MOST_VOTES:
        return None
    if since is not None and not _is_name(since):
        return None
    if not isinstance(examples, list) or not all(map(_is_example, examples)):
        return None
    if not _is_counts(rows, count) or not _is_counts(ahead, 2) or len(examples) > MOST_EXAMPLES:
        return None
    if spans is not None and not (
        isinstance(spans, list) and [*map(_is_span, spans)] == [True] * count
    ):
        return None
    return MapOptions(
        question=question,
        schema=schema,
        examples=[(text, value) for text, value in examples],
        votes=votes,
        rows=rows,  # type: ignore[arg-type]
        spans=spans,
        ahead=(ahead[0], ahead[1]),  # type: ignore[index]
        since=since,
    )


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


def _is_example(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)


def _is_counts(values: object, count: int) -> bool:
    """Return whether they are so many whole numbers of at least 0."""
    if not isinstance(values, list) or len(values) != count:
        return False
    return all(type(value) is int and value >= 0 for value in values)


def _is_span(span: object) -> bool:
    if not isinstance(span, list) or len(span) != 3 or not isinstance(span[0], str):
        return False
    numbers = all(end is None or type(end) is int for end in span[1:])
    return numbers and len(span[0]) <= LONGEST_PLACE
