"""Imports point down: each module imports from the rows above its own in this list only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlm_kernel

PACKAGE = Path(rlm_kernel.__file__).parent
ROWS = [
    {"answers", "context_info"},
    {"errors", "events"},
    {"endings", "remote"},
    {"settings"},
    {"inputs"},
    {"record"},
    {"lm"},
    {"environments"},
    {"repl"},
    {"operators"},
    {"rlm"},
    {"replay", "testing"},
    {"guide", "reports"},
    {"session"},
    {"api", "batch"},
    {"evaluation"},
    {"kernel", "mcp", "server"},
    {"cli"},
    {"__main__", "__init__"},
]
ALONE = {"remote"}
CIRCLING = ("What", "Whether", "How", "Of", "Where", "Why")
"""First words of docstrings that name neither what is done nor what is returned."""
LEVEL = {module: level for level, row in enumerate(ROWS) for module in row}


def _modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _owner(path: Path) -> str:
    """The name in the rows that a file belongs to: its module, or the folder it is in."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imported(path: Path) -> Iterator[str]:
    """The names in the rows that a file imports, those inside of functions included."""
    package = ("rlm_kernel", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += (node.module or "").split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "rlm_kernel" and len(name) > 1)


def test_every_module_has_a_row() -> None:
    assert {_owner(path) for path in _modules()} == set(LEVEL)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    owner = _owner(path)
    # Names of the package itself (its version) are no modules.
    wrong = {
        name
        for name in _imported(path)
        if name in LEVEL and name != owner and LEVEL[name] >= LEVEL[owner]
    }
    assert wrong == set(), f"{owner} imports {wrong}, which are not below it"


@pytest.mark.parametrize("owner", sorted(ALONE))
def test_what_is_sent_elsewhere_imports_nothing_of_ours(owner: str) -> None:
    for path in (path for path in _modules() if _owner(path) == owner):
        assert set(_imported(path)) <= {owner}


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_says_what_it_is_for(room: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8")))
    assert said is not None
    first = said.splitlines()[0]
    assert first.endswith(".")
    readme = (PACKAGE.parent / "README.md").read_text("utf-8")
    assert f"| `{room}/` | {first.replace('``', '`')} |" in readme


def _documented(tree: ast.AST, within: str = "") -> Iterator[tuple[str, str]]:
    """Public functions and classes, methods too, by name, with their docstrings."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        name = f"{within}{node.name}"
        if (said := ast.get_docstring(node)) is not None:
            yield name, said
        if isinstance(node, ast.ClassDef):
            yield from _documented(node, f"{name}.")


@pytest.mark.parametrize(
    "path",
    _modules(),
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_docstring_begins_with_a_verb_or_with_what_is_returned(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [name for name, said in _documented(tree) if said.split()[0] in CIRCLING] == []
