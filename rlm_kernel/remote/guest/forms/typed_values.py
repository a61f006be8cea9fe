"""Values of a type, made of values that fit its JSON Schema: of a dict an instance of a dataclass.

What is of its type already stays the object that it is. A number is left as it is, as is what
nothing is known to be made of.
"""

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import typing
import uuid
from collections.abc import Mapping
from typing import Any

from .jsonable import plain
from .schemas import fault, schema_of
from .type_schemas import DICTS, LISTS, UNIONS, hints_of

_OF_TEXT: tuple = (decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath, complex)
_TIMES: tuple = (datetime.datetime, datetime.date, datetime.time)


def of_type(form: Any, value: Any) -> Any:
    """Return the value as one of a type, whose schema it fits. Raises what the type's own checks
    raise."""
    origin, inner = typing.get_origin(form), typing.get_args(form)
    if origin in UNIONS:
        return _of_union(inner, value)
    if origin is typing.Literal or form is Any or value is None:
        return value
    if hasattr(form, "__metadata__") or str(origin) in ("typing.Required", "typing.NotRequired"):
        return of_type(inner[0], value)
    if hasattr(form, "__supertype__"):  # a NewType
        return of_type(form.__supertype__, value)
    if origin is tuple:
        return _of_tuple(inner, value)
    if origin in LISTS:
        return _of_list(origin, inner[0], value)
    if origin in DICTS:
        return _of_dict(inner[0], inner[1], value)
    kind = form if isinstance(form, type) else origin
    return _of_class(kind, value) if isinstance(kind, type) else value


def _of_union(parts: Any, value: Any) -> Any:
    """Return the value as one of the first part whose instance it is, or else whose schema it
    fits."""
    data = plain(value)
    for part in parts:
        if isinstance(part, type) and isinstance(value, part):
            return of_type(part, value)
    for part in parts:
        if fault(schema_of(part), data) is None:
            return of_type(part, value)
    return value


def _of_tuple(inner: Any, value: Any) -> Any:
    items = list(value)
    forms = [inner[0]] * len(items) if inner[1:] == (Ellipsis,) else inner
    made = tuple(of_type(form, item) for form, item in zip(forms, items))
    return value if type(value) is tuple and _same(made, value) else made


def _of_list(origin: Any, form: Any, value: Any) -> Any:
    kind = origin if origin in (set, frozenset, collections.deque) else list
    made = [of_type(form, item) for item in value]
    return value if isinstance(value, origin) and _same(made, value) else kind(made)


def _of_dict(key: Any, form: Any, value: Any) -> Any:
    made = {_key(key, each): of_type(form, item) for each, item in _mapping(value).items()}
    return value if isinstance(value, dict) and _same(made, value) else made


def _mapping(value: Any) -> Any:
    """Return the fields of what is no mapping, such as an instance of another class."""
    return value if isinstance(value, Mapping) else plain(value)


def _same(made: Any, value: Any) -> bool:
    """Return whether nothing was made anew."""
    if isinstance(made, dict):
        return all(key in value and value[key] is item for key, item in made.items())
    return all(one is other for one, other in zip(made, value))


def _key(form: Any, key: Any) -> Any:
    return int(key) if form is int and isinstance(key, str) else of_type(form, key)


def _of_class(kind: Any, value: Any) -> Any:
    if hasattr(kind, "__required_keys__"):  # a TypedDict, of which nothing is an instance
        fields, hints = _mapping(value), hints_of(kind)
        made = {key: of_type(hints.get(key, Any), item) for key, item in fields.items()}
        return value if isinstance(value, dict) and _same(made, value) else made
    if isinstance(value, kind):
        return value
    if callable(getattr(kind, "model_validate", None)):
        return kind.model_validate(plain(value))
    if issubclass(kind, enum.Enum):
        return kind(value)
    if dataclasses.is_dataclass(kind):
        return _of_fields(kind, _mapping(value))
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = hints_of(kind)
        items = [of_type(hints.get(name, Any), v) for name, v in zip(kind._fields, value)]
        return kind(*items)
    return _of_builtin(kind, value)


def _of_fields(kind: Any, value: Any) -> Any:
    """Return the dataclass of a mapping of its fields."""
    hints = hints_of(kind)
    made = {key: of_type(hints[key], item) for key, item in value.items()}
    late = [f.name for f in dataclasses.fields(kind) if not f.init and f.name in made]
    instance = kind(**{key: item for key, item in made.items() if key not in late})
    for name in late:
        object.__setattr__(instance, name, made[name])
    return instance


def _of_builtin(kind: Any, value: Any) -> Any:
    if kind in (list, tuple, set, frozenset) and not isinstance(value, (str, bytes, Mapping)):
        return kind(value)
    if not isinstance(value, str):
        return (
            kind(str(value)) if issubclass(kind, (decimal.Decimal, fractions.Fraction)) else value
        )
    if kind is bytes:
        return base64.b64decode(value, validate=True)
    if issubclass(kind, _TIMES):
        return kind.fromisoformat(value)
    return kind(value) if issubclass(kind, _OF_TEXT) else value
