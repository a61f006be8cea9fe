"""The JSON Schema of a Python type, whose values are checked as the JSON of ``jsonable``.

Of a pydantic model it is the model's own; of anything else it is made here, so that it needs
nothing but the standard library.
"""

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import types
import typing
import uuid
from typing import Any

TABLE = {
    "type": "object",
    "properties": {
        "columns": {"type": "array"},
        "rows": {"type": "array", "items": {"type": "array"}},
    },
    "required": ["columns", "rows"],
}
_SIMPLE: dict[Any, dict] = {
    Any: {}, object: {}, None: {"type": "null"}, type(None): {"type": "null"},
    bool: {"type": "boolean"}, int: {"type": "integer"}, float: {"type": "number"},
    str: {"type": "string"}, bytes: {"type": "string"}, complex: {"type": "string"},
    list: {"type": "array"}, tuple: {"type": "array"},
    set: {"type": "array", "uniqueItems": True}, frozenset: {"type": "array", "uniqueItems": True},
    dict: {"type": "object"}, decimal.Decimal: {"type": ["string", "number"]},
    fractions.Fraction: {"type": ["string", "number"]}, uuid.UUID: {"type": "string"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.datetime: {"type": "string"}, datetime.time: {"type": "string"},
    datetime.timedelta: {"type": "string"},
}  # fmt: skip
LISTS = (
    list, set, frozenset, collections.deque, collections.abc.Sequence, collections.abc.Iterable,
    collections.abc.Collection, collections.abc.Set, collections.abc.MutableSequence,
)  # fmt: skip
DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping, collections.OrderedDict,
          collections.defaultdict)  # fmt: skip
UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))


class NoSchema(TypeError):
    """A form that no JSON Schema can be made of."""


def of_type(form: Any) -> dict:
    """Return the JSON Schema of a type. Raises ``NoSchema``."""
    maker = _Maker()
    schema = maker.schema(form)
    return dict(schema, **{"$defs": maker.definitions}) if maker.definitions else schema


class _Maker:
    """Makes one schema; classes that contain themselves are in its ``definitions``."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._classes: dict[Any, str] = {}

    def schema(self, form: Any) -> dict:
        try:
            simple = _SIMPLE.get(form)
        except TypeError:
            raise NoSchema("%r is no type" % (form,)) from None
        if simple is not None:
            return simple
        origin, inner = typing.get_origin(form), typing.get_args(form)
        if origin is not None:
            return self._generic(form, origin, inner)
        if hasattr(form, "__supertype__"):  # a NewType
            return self.schema(form.__supertype__)
        if isinstance(form, type):
            return self._class(form)
        if isinstance(form, typing.TypeVar):
            return {}
        raise NoSchema("JSON has no form for %r: give a type or a JSON Schema" % (form,))

    def _generic(self, form: Any, origin: Any, inner: Any) -> dict:
        if origin in UNIONS:
            return {"anyOf": [self.schema(part) for part in inner]}
        if origin is typing.Literal:
            return {"enum": list(inner)}
        if hasattr(form, "__metadata__") or _name_of(origin) in ("Required", "NotRequired"):
            return self.schema(inner[0])  # Annotated
        if origin is tuple:
            return self._tuple(inner)
        if origin in LISTS:
            if len(inner) != 1:
                raise NoSchema("%r is no type: a list has items of one type" % (form,))
            unique = {"uniqueItems": True} if origin in (set, frozenset) else {}
            return {"type": "array", "items": self.schema(inner[0]), **unique}
        if origin in DICTS:
            return {"type": "object", **self._keys(inner[0]), "additionalProperties":
                    self.schema(inner[1])}  # fmt: skip
        return self._class(origin)

    def _tuple(self, inner: Any) -> dict:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return {"type": "array", "items": self.schema(inner[0])}
        inner = [] if inner == ((),) else inner
        parts = [self.schema(part) for part in inner]
        size = {"minItems": len(parts), "maxItems": len(parts)}
        return {"type": "array", **({"prefixItems": parts} if parts else {}), **size}

    def _keys(self, key: Any) -> dict:
        return {"propertyNames": {"pattern": "^-?[0-9]+$"}} if key is int else {}

    def _class(self, form: type) -> dict:
        if callable(getattr(form, "model_json_schema", None)):
            return self._model(form)
        if issubclass(form, enum.Enum):
            return {"enum": [member.value for member in form]}
        if issubclass(form, pathlib.PurePath):
            return {"type": "string"}
        if _name_of(form) in ("DataFrame", "Series") and form.__module__.split(".")[0] in (
            "pandas", "polars",
        ):  # fmt: skip
            return TABLE
        if dataclasses.is_dataclass(form):
            missing = dataclasses.MISSING
            needed = [f.name for f in dataclasses.fields(form)
                      if f.default is missing and f.default_factory is missing]  # fmt: skip
            return self._named(form, needed)
        if hasattr(form, "__required_keys__"):  # a TypedDict
            return self._named(form, self._required(form))
        if issubclass(form, tuple) and hasattr(form, "_fields"):
            hints = hints_of(form)
            return self._tuple([hints.get(name, Any) for name in form._fields])
        for base, simple in _SIMPLE.items():
            if isinstance(base, type) and base is not object and issubclass(form, base):
                return simple
        raise NoSchema(
            "JSON has no form for %s: give a dataclass, a TypedDict, a pydantic model or a JSON "
            "Schema" % _name_of(form)
        )

    def _required(self, form: Any) -> list:
        """Return the keys that a TypedDict must have; written as text, a key's own mark is not
        among its ``__required_keys__``."""
        needed = {"NotRequired": False, "Required": True}
        hints = hints_of(form)
        marks = {key: _name_of(typing.get_origin(hint)) for key, hint in hints.items()}
        return [key for key in hints if needed.get(marks[key], key in form.__required_keys__)]

    def _model(self, form: Any) -> dict:
        schema = dict(form.model_json_schema())
        for name, part in schema.pop("$defs", {}).items():
            self.definitions.setdefault(name, part)
        return schema

    def _named(self, form: type, needed: list) -> dict:
        """Return a reference to the schema of a class of named fields, which may contain itself."""
        if form not in self._classes:
            name = _name_of(form)
            while name in self.definitions:
                name += "_"
            self._classes[form], self.definitions[name] = name, {}
            hints = hints_of(form)
            fields = {key: self.schema(hint) for key, hint in hints.items()}
            if dataclasses.is_dataclass(form):
                fields = {f.name: fields[f.name] for f in dataclasses.fields(form)}
            self.definitions[name] = {
                "type": "object", "properties": fields, "required": needed,
                "additionalProperties": False,
            }  # fmt: skip
        return {"$ref": "#/$defs/%s" % self._classes[form]}


def hints_of(form: type) -> dict:
    """Return the types of a class's fields. Raises ``NoSchema``."""
    module = sys.modules.get(form.__module__)
    try:
        names = dict(vars(module)) if module else None
        return typing.get_type_hints(form, names, include_extras=True)
    except Exception as error:  # noqa: BLE001 - it evaluates what a stranger wrote
        raise NoSchema("the fields of %s have no types: %s" % (_name_of(form), error)) from None


def _name_of(form: Any) -> str:
    return str(getattr(form, "__name__", None) or getattr(form, "_name", None) or form)
