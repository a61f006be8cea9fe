"""Values in replies, checked here as far as an untrusted schema may be followed.

The schema comes out of a kernel, so no code is made of it, as the guest's engine does, and no
pattern of it is run: kinds, choices, keys and items are looked at, in a bounded number of steps.
The guest checks the rest of a value that is taken here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from ..remote.guest.forms.schemas import found
from ..remote.guest.forms.typed_replies import value_in
from ..remote.guest.maps.labels import spelled

STEPS = 20_000
"""The most parts of a value and a schema that are looked at."""
DEPTH = 100
SHOWN_LABELS = 30
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def value_of(reply: str, schema: Mapping[str, Any] | None) -> Any:
    """Return the value in a reply; without a schema its text. Raises ``typed_replies.Misfit``.

    A label counts however it is capitalised or quoted, yes and no count as true and false.
    """
    if schema is None:
        return reply.strip()
    return value_in(spelled(reply, schema), schema, _fault)  # type: ignore[no-untyped-call]


def grammar(labels: Sequence[str]) -> str:
    """Return the grammar, in llama.cpp's form, of replies that are one of the labels. Without the
    quotes of JSON: those lead small models astray."""
    return "root ::= " + " | ".join(json.dumps(label, ensure_ascii=False) for label in labels)


def _fault(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return the first thing that is seen to be wrong with a value, None where nothing is."""
    return _Look(schema).fault(schema, value)


class _Look:
    """One look at a value, which ends after ``STEPS`` and ``DEPTH``: what is not seen fits."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self._left = STEPS
        self._depth = 0

    def fault(self, schema: Any, value: Any) -> str | None:
        self._left -= 1
        if not isinstance(schema, Mapping) or self._left < 0 or self._depth >= DEPTH:
            return None
        self._depth += 1
        try:
            return self._first(schema, value)
        finally:
            self._depth -= 1

    def _first(self, schema: Mapping[str, Any], value: Any) -> str | None:
        if isinstance(schema.get("$ref"), str):
            return self.fault(self._part(schema["$ref"]), value)
        return (
            self._kind(schema, value) or self._choice(schema, value) or self._inside(schema, value)
        )

    def _part(self, reference: str) -> Any:
        """Return the definition that is referred to; of any other part None, which all fits."""
        kind, _, name = reference.removeprefix("#/").rpartition("/")
        known = self._whole.get(kind) if kind in ("$defs", "definitions") else None
        return known.get(name) if isinstance(known, Mapping) else None

    def _kind(self, schema: Mapping[str, Any], value: Any) -> str | None:
        named = schema.get("type")
        kinds = [named] if isinstance(named, str) else named if isinstance(named, list) else []
        if not kinds or any(_is_of(kind, value) for kind in kinds):
            return None
        return f"{' or '.join(map(str, kinds))} wanted, found {found(value)}"

    def _choice(self, schema: Mapping[str, Any], value: Any) -> str | None:
        listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if isinstance(listed, list) and not any(_same(each, value) for each in listed):
            shown = ", ".join(
                json.dumps(each, ensure_ascii=False) for each in listed[:SHOWN_LABELS]
            )
            return f"one of {shown} wanted, found {found(value)}"
        parts = schema.get("anyOf", schema.get("oneOf"))
        if not isinstance(parts, list) or not parts:
            return None
        first = None
        for part in parts:
            if (wrong := self.fault(part, value)) is None:
                return None
            first = first or wrong
        return first

    def _inside(self, schema: Mapping[str, Any], value: Any) -> str | None:
        if isinstance(value, dict):
            return self._keys(schema, value)
        if not isinstance(value, list):
            return None
        first = schema.get("prefixItems")
        forms = chain(first if isinstance(first, list) else (), repeat(schema.get("items")))
        faults = (self.fault(form, item) for form, item in zip(forms, value, strict=False))
        return next(filter(None, faults), None)

    def _keys(self, schema: Mapping[str, Any], value: dict[str, Any]) -> str | None:
        required, named = schema.get("required"), schema.get("properties")
        known = named if isinstance(named, Mapping) else {}
        for key in required if isinstance(required, list) else ():
            if isinstance(key, str) and key not in value:
                return f"the key {json.dumps(key)} is missing"
        others = schema.get("additionalProperties")
        for key, item in value.items():
            if key not in known and others is False:
                return f"the key {json.dumps(key)} is not known"
            if (wrong := self.fault(known.get(key, others), item)) is not None:
                return f"at {key}: {wrong}"
        return None


def _is_of(kind: object, value: Any) -> bool:
    types = _KINDS.get(kind, (object,)) if isinstance(kind, str) else (object,)
    if isinstance(value, bool):
        return bool in types or object in types
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return isinstance(value, types) or whole


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
