"""Type expressions such as ``dict[str, list[int]]``, parsed from text. Nothing is evaluated."""

import ast
import collections.abc
import datetime
import decimal
import typing
from typing import Any

from .type_schemas import NoSchema

MOST_CHARS = 1_000
_KNOWN: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": bool, "bytes": bytes, "None": None,
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict,
    "object": object, "Any": Any, "List": list, "Tuple": tuple, "Set": set, "Dict": dict,
    "Sequence": collections.abc.Sequence, "Mapping": collections.abc.Mapping,
    "Union": typing.Union, "Optional": typing.Optional, "Literal": typing.Literal,
    "Decimal": decimal.Decimal, "date": datetime.date, "datetime": datetime.datetime,
    "time": datetime.time, "timedelta": datetime.timedelta,
}  # fmt: skip


class UnknownName(NoSchema):
    """A type expression that uses this ``name`` for something that is not known here."""

    def __init__(self, name: str) -> None:
        super().__init__("there is no type %r" % name)
        self.name = name


def parsed(text: str, names: Any) -> Any:
    """Return the type that an expression says; ``names`` are further ones that it may use. Raises
    ``NoSchema`` and ``UnknownName``."""
    if len(text) > MOST_CHARS:
        raise NoSchema("a type of %s characters is too long" % format(len(text), ","))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NoSchema("%r is no type" % text) from None
    try:
        return _type(tree, names)
    except TypeError as error:
        if isinstance(error, NoSchema):
            raise
        raise NoSchema("%r is no type: %s" % (text, error)) from None


def _type(node: ast.expr, names: Any) -> Any:
    if isinstance(node, ast.Constant) and (node.value is None or node.value is Ellipsis):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _named(node, names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return typing.Union[_type(node.left, names), _type(node.right, names)]
    if isinstance(node, ast.Subscript):
        base, inner = _type(node.value, names), _items(node.slice)
        if base is typing.Literal:
            return base[tuple(_literal(item) for item in inner)]
        made = tuple(_type(item, names) for item in inner)
        return base[made if len(made) > 1 else made[0]]
    raise NoSchema("%r is no type" % ast.unparse(node)[:100])


def _items(node: Any) -> list:
    node = getattr(node, "value", node) if type(node).__name__ == "Index" else node
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _literal(node: ast.expr) -> Any:
    value = ast.literal_eval(node) if isinstance(node, (ast.Constant, ast.UnaryOp)) else node
    if isinstance(value, (str, int, bool, type(None))):
        return value
    raise NoSchema("%r is no literal of a type" % ast.unparse(node)[:100])


def _named(node: Any, names: Any) -> Any:
    if isinstance(node, ast.Attribute):  # of a module that is imported, as datetime.date
        written = ast.unparse(node)
        first, _, rest = written.partition(".")
        if first in ("typing", "datetime", "collections", "decimal") and rest in _KNOWN:
            return _KNOWN[rest]
        raise UnknownName(written)
    if node.id in names and isinstance(names[node.id], type):
        return names[node.id]
    if node.id in _KNOWN:
        return _KNOWN[node.id]
    raise UnknownName(node.id)
