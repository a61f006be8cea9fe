"""Kinds about the sources of an installed package, with answers by ``ast``.

The packages are those of Python's standard library, which is there wherever Python is.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random

from .kind import Kind, Made

LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "__pycache__", "turtledemo"}
Folder = dict[str, str]


@cache
def _every() -> tuple[str, ...]:
    """Return the relative paths of the library's modules, in order."""
    top = Path(sysconfig.get_path("stdlib"))
    found = [path.relative_to(top) for path in top.rglob("*.py")]
    return tuple(sorted(p.as_posix() for p in found if not LEFT_OUT.intersection(p.parts)))


@cache
def _parsed(path: str) -> tuple[str, ast.Module] | None:
    """Return a module's text and tree, None for what is not Python in UTF-8."""
    try:
        source = (Path(sysconfig.get_path("stdlib")) / path).read_text(encoding="utf-8")
        return source, ast.parse(source)
    except (UnicodeDecodeError, SyntaxError):
        return None


def _folder(chance: Random, chars: int) -> Folder:
    """Return modules that follow one another from a random one on, so many characters of them."""
    paths = _every()
    start = chance.randrange(len(paths))
    folder: Folder = {}
    for path in (*paths[start:], *paths[:start]):
        module = _parsed(path)
        if module is None or len(module[0]) > max(chars, 20_000):
            continue
        folder[path] = module[0]
        chars -= len(module[0])
        if chars <= 0:
            break
    return folder


def _nodes(folder: Folder) -> Iterator[tuple[str, ast.AST]]:
    for path in folder:
        module = _parsed(path)
        assert module is not None
        for node in ast.walk(module[1]):
            yield path, node


def _no_sources() -> str | None:
    return None if len(_every()) > 100 else "this Python has no sources of its standard library"


def _until(chance: Random, chars: int, made: Callable[[Folder], Made | None]) -> Made:
    """Return what is made of the first folder, of a hundred, that such a thing can be asked of."""
    for _ in range(100):
        found = made(_folder(chance, chars))
        if found is not None:
            return found
    raise AssertionError("no module of the standard library has such a thing")


def _subclasses(chance: Random, chars: int) -> Made:
    def made(folder: Folder) -> Made | None:
        of: defaultdict[str, set[str]] = defaultdict(set)
        for _, node in _nodes(folder):
            if isinstance(node, ast.ClassDef):
                for written in map(ast.unparse, node.bases):
                    of[written].add(node.name)
        few = sorted(base for base, names in of.items() if 2 <= len(names) <= 6)
        if not few:
            return None
        base = chance.choice(few)
        every = {name for names in of.values() for name in names}
        rest = tuple(sorted(every - of[base]))
        return Made(context=folder, gold=sorted(of[base]), words={"base": base}, others=rest)

    return _until(chance, chars, made)


def _file_of(chance: Random, chars: int) -> Made:
    def made(folder: Folder) -> Made | None:
        where: defaultdict[str, set[str]] = defaultdict(set)
        for path, node in _nodes(folder):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                where[node.name].add(path)
        once = sorted(name for name, paths in where.items() if len(paths) == 1 and len(name) > 5)
        if not once:
            return None
        name = chance.choice(once)
        [gold] = where[name]
        rest = tuple(path for path in folder if path != gold)
        return Made(context=folder, gold=gold, words={"name": name}, others=rest)

    return _until(chance, chars, made)


def _undocumented(chance: Random, chars: int) -> Made:
    def made(folder: Folder) -> Made | None:
        bare: Counter[str] = Counter()
        for path, node in _nodes(folder):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                bare[path] += ast.get_docstring(node) is None
        asked = sorted(path for path, count in bare.items() if count)
        if not asked:
            return None
        path = chance.choice(asked)
        return Made(context=folder, gold=bare[path], words={"path": path})

    return _until(chance, chars, made)


def _default(chance: Random, chars: int) -> Made:
    def made(folder: Folder) -> Made | None:
        found: defaultdict[str, list[list[tuple[str, str]]]] = defaultdict(list)
        for _, node in _nodes(folder):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name].append(_defaults(node))
        once = sorted(name for name, every in found.items() if len(every) == 1 and every[0])
        if not once:
            return None
        name = chance.choice(once)
        parameter, value = chance.choice(found[name][0])
        return Made(context=folder, gold=value, words={"name": name, "parameter": parameter})

    return _until(chance, chars, made)


def _defaults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str]]:
    """Return the parameters with a number or a word as default, and these."""
    every = [*node.args.posonlyargs, *node.args.args]
    given = every[len(every) - len(node.args.defaults) :]
    return [
        (argument.arg, str(value.value))
        for argument, value in zip(given, node.args.defaults, strict=True)
        if isinstance(value, ast.Constant) and type(value.value) in (int, str)
        if re.fullmatch(r"[\w./-]*\w", str(value.value))
    ]


def _raises(chance: Random, chars: int) -> Made:
    def made(folder: Folder) -> Made | None:
        raised: Counter[str] = Counter()
        for _, node in _nodes(folder):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                raised[ast.unparse(node.exc.func)] += 1
        if not raised:
            return None
        name = chance.choice(sorted(raised))
        return Made(context=folder, gold=raised[name], words={"name": name})

    return _until(chance, chars, made)


KINDS = (
    Kind(
        name="subclasses", make=_subclasses, rule="list", missing=_no_sources,
        wordings=(
            "Which classes have {base} written among their bases? Name all.",
            "List the direct subclasses of {base} in these sources.",
            "Find every `class ...({base})` and give the names of the classes.",
        ),
    ),
    Kind(
        name="file-of", make=_file_of, rule="text", missing=_no_sources,
        wordings=(
            "In which file is {name} defined?",
            "Give the path of the module that has `def {name}` or `class {name}`.",
            "Where does the definition of {name} stand?",
        ),
    ),
    Kind(
        name="undocumented", make=_undocumented, rule="number", held_out=True, missing=_no_sources,
        wordings=(
            "How many functions and methods in {path} have no docstring?",
            "Count the functions of {path}, methods and inner ones included, that lack a "
            "docstring.",
            "In {path}, for how many `def`s is no docstring written?",
        ),
    ),
    Kind(
        name="default", make=_default, rule="text", held_out=True, missing=_no_sources,
        wordings=(
            "What is the default value of the parameter {parameter} of {name}?",
            "In the signature of {name}, what is {parameter} if nobody gives it?",
            "Give the default of {parameter} in `def {name}`.",
        ),
    ),
    Kind(
        name="raises", make=_raises, rule="number", missing=_no_sources,
        wordings=(
            "How many raise statements call {name}(...)?",
            "Count `raise {name}(` in the code, not in comments or texts.",
            "How often is {name} raised with arguments in brackets, empty ones included?",
        ),
    ),
)  # fmt: skip
