"""The source of a function or a class, and what it names."""

from __future__ import annotations
import __future__

import ast
import copy
import inspect
import itertools
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any


class Unsendable(Exception):
    """Something cannot be sent to a kernel; the message is the end of a sentence about it."""


@dataclass(frozen=True)
class Definition:
    """A statement that defines something, and the names it takes from its module.

    ``names`` are all of them, ``first`` those it needs when it is defined and not when it is
    called; ``sets`` are those it declares global. ``chains`` are its dotted names, in parts.
    ``imports`` are the modules that it imports itself, but for those it can do without.
    """

    source: str
    names: frozenset[str]
    first: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    chains: frozenset[tuple[str, ...]] = frozenset()
    imports: frozenset[str] = frozenset()


def read(thing: FunctionType | type, name: str, *, postponed: bool) -> Definition:
    """The definition of a function that is not wrapped, or of a class; of a lambda, bound to
    ``name``. ``postponed`` says that annotations are not evaluated in its module.

    Raises ``Unsendable``.
    """
    source = f"{name} = ({_lambda(thing)})" if thing.__name__ == "<lambda>" else _statement(thing)
    tree = _Annotations(postponed).visit(ast.parse(source))
    names, sets = _names(tree)
    return Definition(
        source=source,
        names=names,
        first=_names(_Bodiless().visit(copy.deepcopy(tree)))[0],
        sets=sets,
        chains=frozenset(_chains(tree)),
        imports=frozenset(_imports(tree)),
    )


def is_decorated(definition: Definition) -> bool:
    return bool(getattr(_defined(ast.parse(definition.source)), "decorator_list", None))


def _defined(tree: ast.Module) -> ast.stmt:
    first = tree.body[0]
    return first.body[0] if isinstance(first, ast.If) else first


# where the source is
def _statement(thing: FunctionType | type) -> str:
    """Its lines as they are: to take the indentation away would change texts inside."""
    lines = _class_lines(thing) if isinstance(thing, type) else _lines(thing)
    source = "".join(lines).rstrip() + "\n"
    source = f"if True:\n{source}" if source[0].isspace() else source
    try:
        node = _defined(ast.parse(source))
    except (SyntaxError, IndexError):
        node = None
    if getattr(node, "name", None) != _name(thing):
        raise Unsendable("is no longer in its file as it was loaded")
    return source


def _name(thing: FunctionType | type) -> str:
    return thing.__name__ if isinstance(thing, type) else thing.__code__.co_name


def _lines(thing: FunctionType | type) -> list[str]:
    try:
        return inspect.getsourcelines(thing)[0]
    except (OSError, TypeError):
        raise Unsendable("has no source that can be read") from None


def _class_lines(thing: type) -> list[str]:
    """Return the lines of a class; those of a notebook's, whose module has no file, by a method."""
    try:
        return _lines(thing)
    except Unsendable:
        methods = [m for m in vars(thing).values() if isinstance(m, FunctionType)]
        for method in methods:
            if method.__qualname__ == f"{thing.__qualname__}.{method.__name__}":
                return _around(thing.__name__, method)
        raise


def _around(name: str, method: FunctionType) -> list[str]:
    lines, tree = _whole(method)
    line = method.__code__.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == name:
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if start < line <= (node.end_lineno or start):
                return lines[start - 1 : node.end_lineno]
    raise Unsendable("has no source that can be read")


def _whole(thing: Any) -> tuple[list[str], ast.Module]:
    """All lines of the file or notebook cell that a function is in."""
    try:
        lines = inspect.findsource(thing)[0]
        return lines, ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        raise Unsendable("has no source that can be read") from None


def _lambda(thing: Any) -> str:
    """Return the source of a lambda, found by the columns of its code: a line may have several."""
    lines, tree = _whole(thing)
    positions = set(thing.__code__.co_positions())
    line = thing.__code__.co_firstlineno
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == line]
    if len(found) > 1:
        found = [node for node in found if _position(node.body) in positions]
    text = ast.get_source_segment("".join(lines), found[0]) if len(found) == 1 else None
    if text is None:
        raise Unsendable("is a lambda whose source cannot be told from its line: use `def`")
    return text


def _position(node: ast.expr) -> tuple[int, int | None, int, int | None]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


# what it names
class _Annotations(ast.NodeTransformer):
    """Without those annotations that Python does not evaluate when it runs the source."""

    def __init__(self, postponed: bool) -> None:
        self._postponed = postponed
        self._inside = False  # a function

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None if self._postponed else node.annotation
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if self._postponed or self._inside:
            node.annotation = ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None if self._postponed else node.returns
        before, self._inside = self._inside, True
        self.generic_visit(node)
        self._inside = before
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        before, self._inside = self._inside, False
        self.generic_visit(node)
        self._inside = before
        return node


class _Bodiless(ast.NodeTransformer):
    """Without what functions do when they are called."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.body = [ast.copy_location(ast.Pass(), node)]
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        node.body = ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


def _names(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """The names that are looked up in the module, and those that functions declare global."""
    top = symtable.symtable(ast.unparse(tree), "<tool>", "exec")
    symbols = [symbol for table in _tables(top) for symbol in table.get_symbols()]
    taken = frozenset(s.get_name() for s in symbols if s.is_global() and s.is_referenced())
    sets = frozenset(s.get_name() for s in symbols if s.is_declared_global())
    return taken | sets, sets


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _chains(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if parts and isinstance(inner, ast.Name):
            yield (inner.id, *parts)


def _imports(node: ast.AST) -> Iterator[str]:
    """Modules that are imported inside of functions; in a ``try`` the function can do without."""
    if isinstance(node, ast.Try):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            raise Unsendable("imports from the package it stands in")
        yield node.module or ""
    yield from itertools.chain.from_iterable(map(_imports, ast.iter_child_nodes(node)))


def is_postponed(namespace: dict[str, Any]) -> bool:
    """Return whether a module begins with ``from __future__ import annotations``."""
    return namespace.get("annotations") is __future__.annotations
