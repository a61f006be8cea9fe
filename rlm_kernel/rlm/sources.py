"""What the sources of an LM's cells say of its answer, without running them."""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator, Sequence

from ..record.provenance.names import Statement, statements
from ..remote.guest.answers.doubts import bound_in, bound_in_text

_ALWAYS_THERE = frozenset({*dir(builtins), "FINAL_VAR", "answer"})
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def written_down(sources: Sequence[str], word: str | None) -> bool:
    """Return whether the answer that the last of these cells gave comes of what is written in them
    alone, and of nothing that was computed or asked before; ``word`` is one that is no variable."""
    lines = [statement for source in sources for statement in statements(source)]
    known = _ALWAYS_THERE | ({word} if word is not None else set())
    needed: set[str] = set()
    constants: set[str] = set()
    giving = _giving(lines)
    for line in reversed(lines):
        if any(line is each for each in giving) or line.gives & needed:
            constants |= line.constants
            needed -= line.sets
            needed |= line.reads - known
    return not needed and bool(constants - {"content", "ready"})


def _giving(lines: Sequence[Statement]) -> list[Statement]:
    """Return the statements that give the answer: the last call, else all that set ``answer``."""
    answering = [line for line in lines if line.answers]
    return [line for line in answering if "FINAL_VAR" in line.reads][-1:] or answering


def bound_names(source: str) -> set[str]:
    """Return all names that a cell would bind."""
    tree = _parsed(source)
    found = bound_in_text(source) if tree is None else bound_in(tree)  # type: ignore[no-untyped-call]
    return set(found)


def is_leftover(name: str, sources: Sequence[str]) -> bool:
    """Return whether a loop bound the name last, to the item that it was at."""
    trees = [tree for source in sources if (tree := _parsed(source)) is not None]
    try:
        bound = [by_loop for tree in trees for each, by_loop in _bindings(tree) if each == name]
    except RecursionError:
        return False
    return bool(bound) and bound[-1]


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _bindings(node: ast.AST, by_loop: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the names that are bound at the top of a module, in order, and whether by a loop."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name, False
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0], False
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id, by_loop
    elif not isinstance(node, _SCOPES):
        for child in ast.iter_child_nodes(node):
            loops = isinstance(node, ast.For | ast.AsyncFor) and child is node.target
            yield from _bindings(child, by_loop or loops)
