"""TypedDicts as pydantic takes them: before Python 3.12 those of ``typing_extensions`` only."""

from __future__ import annotations

import sys
import typing
from typing import Any

import typing_extensions


def with_known_typed_dicts(form: Any) -> Any:
    """Return a type with each ``typing.TypedDict`` in it replaced by one that pydantic takes."""
    if sys.version_info >= (3, 12):
        return form
    origin, inner = typing.get_origin(form), typing.get_args(form)
    if origin is not None and inner and origin is not typing.Literal:
        made = tuple(with_known_typed_dicts(part) for part in inner)
        return form if made == inner else _again(form, origin, made)
    if not typing.is_typeddict(form) or typing_extensions.is_typeddict(form) is False:
        return form
    if type(form).__module__ != "typing":
        return form
    hints = typing.get_type_hints(form, include_extras=True)
    fields = {name: _marked(form, name, hint) for name, hint in hints.items()}
    return typing_extensions.TypedDict(form.__name__, fields)  # type: ignore[operator]


def _marked(form: Any, name: str, hint: Any) -> Any:
    marks = (typing.Required, typing.NotRequired)
    known = with_known_typed_dicts(hint)
    if typing.get_origin(hint) in marks or name in form.__required_keys__:
        return known
    return typing_extensions.NotRequired[known]


def _again(form: Any, origin: Any, inner: tuple[Any, ...]) -> Any:
    if hasattr(form, "copy_with"):
        return form.copy_with(inner)
    base = typing.Union if origin.__name__ in ("Union", "UnionType") else origin
    return base[inner]
