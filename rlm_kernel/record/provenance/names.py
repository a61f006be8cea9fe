"""What the statements of a cell read, bind and change, found in their source alone."""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...remote.guest.globals import ASKING, NAMES

MUTATORS = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop"}
    | {"popitem", "remove", "reverse", "setdefault", "sort", "update", "write", "writelines"}
    | {"check"}  # of a map's table, of which more is known then
)
LOOKING = frozenset({*dir(builtins), "display"} | (NAMES - ASKING))
"""Functions that change none of their arguments, though their value is dropped."""
_TIMED = re.compile(r"^[ \t]*%%?time(?:it)?\b", re.MULTILINE)
_MAGIC = re.compile(r"^([ \t]*)[%!?][^\n]*", re.MULTILINE)
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Statement:
    """One statement at the top of a cell.

    ``sets`` are bound whatever happens in it, so that what they were before is gone; ``changes``
    may be bound in it, or changed in place. ``constants`` are the texts of the literals in it,
    ``imports`` the names that it imports. ``answers`` is true where it calls ``FINAL_VAR`` or sets
    ``answer``.
    """

    reads: frozenset[str]
    sets: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    constants: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()
    answers: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return self.sets | self.changes


def statements(source: str) -> list[Statement]:
    """Return the statements of a cell, in order. Of one that does not parse every word is read and
    changed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(_MAGIC.sub(r"\1pass", _TIMED.sub("", source))).body
        return [_statement(node) for node in body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        words = frozenset(_WORD.findall(source))
        return [Statement(words, changes=words, answers="FINAL_VAR" in words)]


def _statement(node: ast.stmt) -> Statement:
    found = _Names()
    found.visit(node)
    certain = isinstance(node, _CERTAIN)
    return Statement(
        reads=frozenset(found.reads),
        sets=frozenset(found.binds if certain else ()),
        changes=frozenset(found.changes | (set() if certain else found.binds)),
        constants=frozenset(found.constants),
        imports=frozenset(found.imports),
        answers="FINAL_VAR" in found.reads or "answer" in found.binds | found.changes,
    )


_CERTAIN = (
    ast.Assign,
    ast.AnnAssign,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.With,
    ast.AsyncWith,
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass
class _Names(ast.NodeVisitor):
    """Names of the module's scope; those of functions and comprehensions inside are left out."""

    reads: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    _scopes: list[frozenset[str]] = field(default_factory=list)

    def visit_Name(self, node: ast.Name) -> None:
        if any(node.id in scope for scope in self._scopes):
            return
        if isinstance(node.ctx, ast.Load):
            self.reads.add(node.id)
        else:
            (self.changes if self._scopes else self.binds).add(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str | int | float) and not isinstance(node.value, bool):
            self.constants.add(str(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._change(node.target)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node.value)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Take a call whose value is dropped as changing its object and arguments."""
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Attribute):
                self._change(call.func.value)
            if not (isinstance(call.func, ast.Name) and call.func.id in LOOKING):
                for argument in call.args:
                    self._change(argument)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in MUTATORS:
            self._change(function.value)
        if isinstance(function, ast.Name) and function.id == "FINAL_VAR":
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                self._named(argument)
        self.generic_visit(node)

    def _named(self, argument: ast.expr) -> None:
        """Take ``FINAL_VAR("name")`` as reading the variable."""
        if isinstance(argument, ast.Constant) and str(argument.value).isidentifier():
            self.reads.add(str(argument.value))

    def _change(self, target: ast.expr) -> None:
        name = _root(target)
        if name is not None and not any(name in scope for scope in self._scopes):
            self.changes.add(name)
            self.reads.add(name)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        names = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        self.binds |= names
        self.imports |= names

    visit_ImportFrom = visit_Import

    def visit_FunctionDef(self, node: _Function) -> None:
        self._bind(node.name)
        outside: list[ast.AST] = [*node.decorator_list, *_defaults(node.args)]
        for part in outside:
            self.visit(part)
        with self._inside(_parameters(node.args) | _stored(node.body)):
            for part in node.body:
                self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in _defaults(node.args):
            self.visit(part)
        with self._inside(_parameters(node.args)):
            self.visit(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
        for part in [*node.decorator_list, *node.bases]:
            self.visit(part)
        with self._inside(_stored(node.body)):
            for inner in node.body:
                self.visit(inner)

    def visit_ListComp(self, node: _Comprehension) -> None:
        with self._inside(_stored([part.target for part in node.generators])):
            self.generic_visit(node)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        with self._inside(frozenset({node.name} if node.name else ())):
            self.generic_visit(node)

    def _bind(self, name: str) -> None:
        if not self._scopes:
            self.binds.add(name)

    @contextmanager
    def _inside(self, names: frozenset[str]) -> Iterator[None]:
        self._scopes.append(names)
        yield
        self._scopes.pop()


def _root(target: ast.expr) -> str | None:
    """Return the name at the beginning of ``name.a[0].b()``; what a function gives has none."""
    while True:
        if isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
            target = target.value
        elif isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute):
            target = target.func
        else:
            return target.id if isinstance(target, ast.Name) else None


def _parameters(arguments: ast.arguments) -> frozenset[str]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return frozenset(argument.arg for argument in every)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(one for one in arguments.kw_defaults if one is not None)]


def _stored(parts: Iterable[ast.AST]) -> frozenset[str]:
    """Return the names that a function's body makes its own."""
    stored: set[str] = set()
    shared: set[str] = set()
    for node in (inner for part in parts for inner in ast.walk(part)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stored.add(node.name)
        elif isinstance(node, ast.Global):
            shared |= set(node.names)
    return frozenset(stored - shared)
