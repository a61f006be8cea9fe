"""Wanted forms of values: the JSON Schema of a form, and what is wrong with a value, in words.

A form is a type, a class (a dataclass, TypedDict, NamedTuple, Enum or pydantic model), a JSON
Schema as a dict, or a text that says one: a word of ``WORDS`` or a type expression such as
``list[str]``, which is parsed and never evaluated. Values are checked as JSON data, which
``jsonable`` makes; the engine is fastjsonschema, which is sent to the kernel with this package.
"""

import functools
import json
import os
import re
import sys
from typing import Any, Optional

from .type_expressions import parsed
from .type_schemas import TABLE, NoSchema, of_type

MOST_SCHEMA_CHARS = 65_536
WORDS: dict[str, dict] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
    "table": TABLE,
    "json": {},
}
_NOUNS = {
    "string": "text", "number": "a number", "integer": "an integer", "boolean": "true or false",
    "null": "null", "array": "a list", "object": "an object",
}  # fmt: skip
_SHOWN_CHARS = 80


def schema_of(form: Any, names: Any = None) -> dict:
    """Return the JSON Schema of a form. ``names`` are the variables that a text may name classes
    by. Raises ``NoSchema``, and its child ``UnknownName`` for a text that names something else."""
    if isinstance(form, str):
        word = form.strip()
        return WORDS[word] if word in WORDS else of_type(parsed(word, names or {}))
    if not isinstance(form, dict):
        return of_type(form)
    _compiled(json.dumps(checked(form)))
    return form


def checked(schema: dict) -> dict:
    """Return a JSON Schema that is of a moderate size and refers to parts of itself only; no code
    is made of it, as ``schema_of`` does. Raises ``NoSchema``."""
    if not isinstance(schema, dict):
        raise NoSchema("a JSON Schema is an object")
    try:
        size = len(json.dumps(schema))
        references = list(_references(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise NoSchema("the JSON Schema is not plain JSON data: %s" % error) from None
    if size > MOST_SCHEMA_CHARS:
        raise NoSchema(
            "the JSON Schema has %s characters, %s are the most"
            % (format(size, ","), format(MOST_SCHEMA_CHARS, ","))
        )
    for reference in references:
        if not reference.startswith("#"):
            raise NoSchema("the JSON Schema refers to %r: only parts of itself may be" % reference)
    return schema


def fault(schema: dict, data: Any) -> Optional[str]:
    """Return the first thing that is wrong with JSON data, with where it is, what was wanted and
    what was found; None where it fits."""
    engine, check = _engine(), _compiled(json.dumps(schema))
    try:
        check(data)
    except engine.JsonSchemaValueException as error:
        return _sentence(error, schema)
    except RecursionError:
        return "it is nested too deeply to be checked"
    return None


@functools.lru_cache(maxsize=64)
def _compiled(schema: str) -> Any:
    """Return the check of a schema, given as JSON text."""
    written = checked(json.loads(schema))
    known = {key: part for key, part in _by_draft_7(written).items() if key[:1] != "$" or
             key in ("$ref", "$defs")}  # fmt: skip
    try:
        return _engine().compile(known, use_default=False)
    except Exception as error:  # noqa: BLE001 - it may fail in any way on what is no schema
        raise NoSchema("this is no JSON Schema: %s" % str(error)[:300]) from None


def _engine() -> Any:
    """Return fastjsonschema: the kernel's own, or else the copy beside this package."""
    try:
        import fastjsonschema
    except ImportError:
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        beside = os.path.dirname(package)
        sys.path.insert(0, beside)
        try:
            import fastjsonschema
        finally:
            sys.path.remove(beside)
    return fastjsonschema


def _references(schema: Any) -> Any:
    if isinstance(schema, dict):
        for key, part in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(part, str):
                yield part
            else:
                yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _by_draft_7(schema: Any) -> Any:
    """Return the schema with the lists of later drafts as that one writes them."""
    if isinstance(schema, list):
        return [_by_draft_7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _by_draft_7(part) for key, part in schema.items()}
    if isinstance(made.get("prefixItems"), list):
        if "items" in made:
            made["additionalItems"] = made["items"]
        made["items"] = made.pop("prefixItems")
    return made


# -- in words -------------------------------------------------------------------------------------
def _sentence(error: Any, schema: dict) -> str:
    path = [str(part) for part in error.path[1:]]
    inner = _alternative(error, schema)
    while inner is not None:
        path, error = path + [str(part) for part in inner.path[1:]], inner
        inner = _alternative(error, schema)
    where = _where(path)
    return "%s%s" % ("at %s: " % where if where else "", _wrong(error))


def _alternative(error: Any, schema: dict) -> Any:
    """Return the error in the one alternative that is of the value's kind, if there is one."""
    if error.rule not in ("anyOf", "oneOf"):
        return None
    definitions, wrong = schema.get("$defs", {}), []
    for part in error.rule_definition:
        name = str(part.get("$ref", "")).rpartition("/")[2] if isinstance(part, dict) else ""
        kind = (definitions.get(name) or part).get("type") if isinstance(part, dict) else None
        if (kind, type(error.value)) in (("object", dict), ("array", list)):
            wrong.append(_error_of(dict(part, **{"$defs": definitions}), error.value))
    return wrong[0] if len(wrong) == 1 else None


def _error_of(schema: dict, data: Any) -> Any:
    try:
        _compiled(json.dumps(schema))(data)
    except _engine().JsonSchemaValueException as error:
        return error
    return None


def _where(path: list[str]) -> str:
    """Return the place of a value as Python would write it after the whole's name."""
    parts = [
        "[%s]" % part if part.isdigit() else ".%s" % part if part.isidentifier() else "[%r]" % part
        for part in path
    ]
    return "".join(parts).lstrip(".")[:200]


def _wrong(error: Any) -> str:
    rule, wanted, value = error.rule, error.rule_definition, error.value
    if rule == "required" and isinstance(value, dict):
        return "the key %s is missing" % _listed([k for k in wanted if k not in value])
    if rule == "additionalProperties" and isinstance(value, dict):
        known = (error.definition or {}).get("properties", {})
        return "the key %s is not known" % _listed([k for k in value if k not in known])
    if rule in ("type", "enum", "const", "anyOf", "oneOf"):
        return "%s wanted, found %s" % (_wanted({rule: wanted}), found(value))
    if rule == "format":
        return "%s wanted, found %s" % (wanted, found(value))
    return "%s, found %s" % (re.sub(r"^data\S* ", "it ", error.message)[:300], found(value))


def _wanted(schema: Any) -> str:
    """Return in words what a schema wants, as far as one line says it."""
    if not isinstance(schema, dict):
        return "something else"
    kinds = schema.get("type")
    if isinstance(kinds, (str, list)):
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " or ".join(_NOUNS.get(kind, str(kind)) for kind in kinds)
    if "enum" in schema:
        return "one of %s" % _listed(schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    parts = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(parts, list):
        return " or ".join(dict.fromkeys(_wanted(part) for part in parts))
    return str(schema.get("$ref", "something else")).rpartition("/")[2]


def _listed(items: list) -> str:
    some = [json.dumps(item, ensure_ascii=False)[:_SHOWN_CHARS] for item in items[:10]]
    return ", ".join(some) + (" and %d more" % (len(items) - 10) if len(items) > 10 else "")


def found(value: Any) -> str:
    """Return in words what JSON data is, cut to a line."""
    if isinstance(value, dict):
        return "an object with the keys %s" % _listed(list(value)) if value else "an empty object"
    if isinstance(value, list):
        return "a list of %s" % format(len(value), ",") if value else "an empty list"
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= _SHOWN_CHARS else shown[:_SHOWN_CHARS] + "…"
    return "the text %s" % shown if isinstance(value, str) else shown
