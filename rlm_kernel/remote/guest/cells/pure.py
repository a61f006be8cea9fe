"""Which expressions only compute: they call nothing that could act, as far as syntax tells."""

import ast

FUNCTIONS = frozenset(
    ("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "float", "format", "frozenset",
     "int", "len", "list", "max", "min", "range", "repr", "reversed", "round", "set", "sorted",
     "str", "sum", "tuple", "zip")
)  # fmt: skip
"""Builtins."""
METHODS = frozenset(
    ("capitalize", "casefold", "count", "decode", "encode", "endswith", "find", "format", "get",
     "group", "groups", "index", "isoformat", "items", "iterrows", "itertuples", "join", "keys",
     "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
     "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strftime", "strip",
     "title", "to_dict", "to_string", "tolist", "upper", "values", "zfill")
)  # fmt: skip
"""Methods of texts, lists, dicts, matches, dates and tables."""
OF_MODULES = frozenset(
    [("json", "dumps"), ("re", "findall"), ("re", "split"), ("re", "sub")]
    + [("textwrap", name) for name in ("dedent", "fill", "indent", "shorten", "wrap")]
)
_PLAIN = (
    ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp,
    ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.Set,
)  # fmt: skip
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


class Acts(Exception):
    """An expression that may do more than compute."""


def names_read(node):
    """Return the names that an expression reads. Raises ``Acts``."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Constant):
        return set()
    if isinstance(node, ast.Call):
        return _of_call(node)
    if isinstance(node, ast.Attribute) and not node.attr.startswith("_"):
        return names_read(node.value)
    if isinstance(node, _COMPREHENSIONS):
        return _of_comprehension(node)
    if isinstance(node, _PLAIN):
        return _of_all(n for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr))
    raise Acts(type(node).__name__)


def bound(target):
    """Return the names in a target, in their order. Raises ``Acts`` for one that has more."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for part in target.elts for name in bound(part)]
    raise Acts("a target of more than names")


def _of_all(nodes):
    return set().union(*map(names_read, nodes))


def _of_call(node):
    if any(keyword.arg is None for keyword in node.keywords):
        raise Acts("**")
    given = _of_all([*node.args, *(keyword.value for keyword in node.keywords)])
    function = node.func
    if isinstance(function, ast.Name) and function.id in FUNCTIONS:
        return given | {function.id}
    if isinstance(function, ast.Attribute):
        value = function.value
        if isinstance(value, ast.Name) and (value.id, function.attr) in OF_MODULES:
            return given | {value.id}
        if function.attr in METHODS:
            return given | names_read(value)
    raise Acts("a call")


def _of_comprehension(node):
    read: set[str] = set()
    own: set[str] = set()
    for part in node.generators:
        if part.is_async:
            raise Acts("async")
        read |= names_read(part.iter) - own
        own.update(bound(part.target))
        read |= _of_all(part.ifs) - own
    values = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    return read | (_of_all(values) - own)
