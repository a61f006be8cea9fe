"""What a kernel can import for itself, and from where."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

INSTALLED_IN = {"site-packages", "dist-packages"}


def installed(name: str) -> bool | None:
    """Return whether a module is Python's own or an installed package's, and not the user's own: a
    script, a notebook, a file beside it, a package that is installed as editable. None where there
    is no such module."""
    root = name.partition(".")[0]
    if root == "__main__":
        return False
    if root in sys.stdlib_module_names:
        return True
    module = sys.modules.get(root)
    spec = importlib.util.find_spec(root) if module is None and root else None
    if module is not None:
        paths = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    elif spec is not None:
        paths = [spec.origin, *(spec.submodule_search_locations or [])]
    else:
        return None
    return any(INSTALLED_IN & set(Path(path).parts) for path in paths if path)


def importable(thing: object, name: str) -> tuple[str, str] | None:
    """The module and the name there that give this very object in a kernel; None if none does.
    ``name`` is what the user calls it."""
    names = [name, getattr(thing, "__name__", ""), getattr(thing, "__qualname__", "")]
    for module in _modules(thing):
        for attribute in names:
            if not isinstance(attribute, str) or not attribute.isidentifier():
                continue
            if vars(sys.modules[module]).get(attribute, _modules) is thing:
                return module, attribute
    return None


def _modules(thing: object) -> Iterator[str]:
    """Loaded modules that it may be from, the public ones first: a package before what is inside
    of it, ``operator`` before ``_operator``. What is private differs between versions."""
    of_self = type(getattr(thing, "__self__", None)).__module__
    for found in (getattr(thing, "__module__", None), type(thing).__module__, of_self):
        parts = found.split(".") if isinstance(found, str) else []
        for size in range(1, len(parts) + 1):
            module = ".".join(parts[:size])
            for one in dict.fromkeys([module.lstrip("_"), module]):
                if one in sys.modules and installed(one):
                    yield one


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def package_of(module: str) -> str:
    """Return pip's name of the package that has this module."""
    if module in sys.stdlib_module_names:
        return module
    return _distributions().get(module, [module])[0]


def from_import(module: str, name: str, bound: str) -> str:
    """The line that binds a name of a module."""
    return f"from {module} import {name}" + ("" if name == bound else f" as {bound}")
