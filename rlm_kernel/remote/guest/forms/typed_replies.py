"""Sub-LMs' replies as values of a wanted form: asked for, found in a text, checked, asked again."""

import json
import re

from .schemas import fault, schema_of

ASKED = "%s\n\nReply with JSON alone that fits this JSON Schema:\n%s"
AGAIN = "%s\n\nYou replied:\n%s\n\nThis does not fit: %s. Reply with the JSON alone."
SHOWN_CHARS = 4000
"""The most of a reply that its author is shown again."""
MOST_STARTS = 200
"""Places in a text at which JSON is looked for."""
_FENCED = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*(?:`{3,}|~{3,})", re.M | re.S)
_DEFINITIONS = ("$defs", "definitions")


class Misfit(ValueError):
    """A reply that holds no value of the form; the text says why."""


class WantedForm:
    """A form that replies are to have: a type, a class, a JSON Schema or a text that says one.

    Endpoints that keep to a schema want an object: any other value is asked for as the ``value`` of
    one. Raises ``NoSchema`` for what is no form.
    """

    def __init__(self, form):
        self.own = schema_of(form)
        self._instance = getattr(form, "model_validate", None)
        self.schema = in_object(self.own)
        self._words = json.dumps(self.schema, ensure_ascii=False)

    def asked(self, prompt):
        """Return the prompt with the words that ask for the form."""
        return ASKED % (prompt, self._words)

    def asked_again(self, asked, slot):
        """Return the prompt that follows a reply which did not fit."""
        return AGAIN % (asked, slot["text"][:SHOWN_CHARS], slot["misfit"])

    def read(self, slot):
        """Return the slot with the value in its reply; one that has none says why as ``misfit``."""
        if slot.get("error"):
            return slot
        try:
            return {"value": self.value(slot["value"])}
        except Misfit as why:
            return {"misfit": str(why), "text": slot["value"]}

    def value(self, reply):
        """Return the value in a reply. Raises ``Misfit``."""
        return self._made(value_in(reply, self.own, fault))

    def taken(self, data):
        """Return JSON data as a value of the form. Raises ``Misfit``."""
        why = fault(self.own, data)
        if why is not None:
            raise Misfit(why)
        return self._made(data)

    def _made(self, value):
        if self._instance is None:
            return value
        try:
            return self._instance(value)
        except ValueError as error:  # of pydantic, and of the model's own validators
            raise Misfit(" ".join(str(error).split())[:500]) from None


def ended(slot, index):
    """Return the slot as the cell gets it; ``index`` is that of a prompt of a batch."""
    if "misfit" not in slot:
        return slot
    attempts = slot.get("attempts", 1)
    text = "%sthe reply does not fit the schema (asked %s): %s; it was: %s" % (
        "" if index is None else "prompt %d: " % index,
        "twice" if attempts == 2 else "once",
        slot["misfit"],
        " ".join(slot["text"][:300].split()),
    )
    return {"error": {"type": "LMError", "message": text, "cause": "schema", "attempts": attempts}}


def value_in(reply, schema, fault_of):
    """Return the JSON value of the schema that is in a reply. ``fault_of`` says what is wrong with
    one, None where it fits. Raises ``Misfit``."""
    wrong = None
    for found in _candidates(reply):
        for candidate in _readings(found, schema):
            why = fault_of(schema, candidate)
            if why is None:
                return _with_ints(candidate, schema, schema)
            wrong = wrong or why
    raise Misfit(wrong or "there is no JSON in it")


def _readings(found, schema):
    if _is_wrapped(schema) and isinstance(found, dict) and list(found) == ["value"]:
        yield found["value"]
    yield found


def _is_wrapped(schema):
    return schema.get("type") != "object"


def in_object(schema):
    """Return the schema of an object that has a value of this one as its ``value``; that of an
    object is its own."""
    if not _is_wrapped(schema):
        return schema
    inner = {key: part for key, part in schema.items() if key not in _DEFINITIONS}
    outer = {key: schema[key] for key in _DEFINITIONS if key in schema}
    return dict(
        outer,
        type="object",
        properties={"value": inner},
        required=["value"],
        additionalProperties=False,
    )


def _candidates(reply):
    """Yield the JSON values in a reply, the likeliest first; the text itself where there is
    none."""
    text = reply.strip()
    texts = [text, *(match.group(1).strip() for match in _FENCED.finditer(text))]
    found = False
    for each in texts:
        try:
            value = json.loads(each, parse_constant=_refused)
        except (ValueError, RecursionError):
            continue
        found = True
        yield value
    for value in _within(text):
        found = True
        yield value
    if not found:
        yield text


def _within(text):
    """Yield the objects and lists that stand in a text, the outermost ones."""
    decoder = json.JSONDecoder(parse_constant=_refused)
    at = 0
    for _ in range(MOST_STARTS):
        start = re.compile(r"[{\[]").search(text, at)
        if start is None:
            return
        try:
            value, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            at = start.end()
            continue
        yield value


def _refused(name):
    raise ValueError("JSON has no %s" % name)


def _with_ints(value, schema, whole, depth=0):
    """Return the value with an int where the schema wants an integer and it is written as 3.0."""
    if not isinstance(schema, dict) or depth > 50:
        return value
    if isinstance(schema.get("$ref"), str):
        kind, _, name = schema["$ref"].rpartition("/")
        schema = _dict(_dict(whole.get(kind.lstrip("#/"))).get(name))
        return _with_ints(value, schema, whole, depth + 1)
    if isinstance(value, float) and schema.get("type") == "integer":
        return int(value)
    if isinstance(value, list):
        items = schema.get("items")
        return [_with_ints(item, items, whole, depth + 1) for item in value]
    if isinstance(value, dict):
        known, others = _dict(schema.get("properties")), schema.get("additionalProperties")
        return {k: _with_ints(v, known.get(k, others), whole, depth + 1) for k, v in value.items()}
    return value


def _dict(value):
    """Return a dict; an empty one for anything else, which a schema of a stranger may have."""
    return value if isinstance(value, dict) else {}
