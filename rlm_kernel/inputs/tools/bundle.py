"""The user's functions as modules for the kernel: their source, and what that names.

Of each module of the user's own (a script, a notebook, a local module) that a function is from
there is one in the kernel, with what is needed of it: functions and classes as source, constants
as literals, imports. Python's own modules and installed packages are imported there.
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from keyword import iskeyword
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ...errors import UsageError
from ...remote.guest.globals import ANSWERED, NAMES
from ...remote.guest.tools import PACKAGE
from .host import OnHost
from .imports import from_import, importable, installed, package_of
from .module import Module, literal
from .source import Definition, Unsendable, is_decorated, is_postponed, read

MOST_CHARS = 200_000
"""The longest source of all tools together: data go as values."""
_ANYWHERE = {"__name__", "__doc__", "__builtins__", "display", "get_ipython"}


class Bundle:
    """Takes functions and classes; ``modules`` are then what ``guest.tools.define`` takes.

    ``given`` are the ids of the objects that the kernel is given in another way (values, and what
    is called back), each with its name there.
    """

    def __init__(self, given: Mapping[int, str]) -> None:
        self._given = given
        self._modules: dict[int, Module] = {}
        self._tool = ""

    def add(self, tool: str, thing: Any) -> None:
        """Take a tool. Raises ``UsageError`` where it cannot be sent, with the way out."""
        self._tool = tool
        try:
            module, name = self._taken(thing, tool)
        except Unsendable as why:
            known = getattr(thing, "__name__", "")
            called = known if known.isidentifier() else "..."
            raise UsageError(
                f"the tool {tool!r} cannot be sent to where the cells run: it {why}. Or let it be "
                f"called back in this process: tools={{{tool!r}: on_host({called})}}"
            ) from None
        module.tools[tool] = name

    def modules(self) -> list[dict[str, Any]]:
        """Each after those it imports from. Raises ``UsageError``."""
        by_name = {module.name: module for module in self._modules.values()}
        try:
            order = TopologicalSorter({n: m.before for n, m in by_name.items()}).static_order()
            made = [by_name[name].plain() for name in order]
        except CycleError as error:
            raise UsageError(
                f"the tools' modules {', '.join(error.args[1][1:])} need each other and cannot be "
                "sent to where the cells run: put what is needed into one of them, or use "
                "on_host(...)"
            ) from None
        size = sum(len(module["source"]) for module in made)
        if size > MOST_CHARS:
            raise UsageError(
                f"the source of the tools has {size:,} characters; at most {MOST_CHARS:,} are "
                'sent. Hand data in as values: tools={"name": value}'
            )
        return made

    # one thing
    def _taken(self, thing: Any, name: str) -> tuple[Module, str]:
        """The module that a tool is in, and its name there."""
        found = importable(thing, name)
        if found is None:
            return self._defined(thing, name)
        module = self._module("imported", {})
        self._import(module, name, thing, found)
        return module, name

    def _defined(self, thing: Any, name: str) -> tuple[Module, str]:
        """Take a function or class of the user's own, with all that it names."""
        bare = _bare(thing)
        namespace = _namespace(bare)
        module = self._module(str(namespace.get("__name__", "tools")), namespace)
        name = name if bare.__name__ == "<lambda>" else bare.__name__
        if _is_new(module, name, thing):
            definition = read(bare, name, postponed=is_postponed(namespace))
            if thing is not bare and not is_decorated(definition):
                raise Unsendable("is wrapped by another function: decorate it with @ at its `def`")
            for used in definition.names.intersection(_closed_over(bare)):
                raise Unsendable(f"uses {used!r} of the function around it: make it an argument")
            module.definitions[name] = definition
            for used in sorted(definition.names - {name}):
                self._resolve(module, used, definition)
            _import_submodules(module, definition)
            self._need_imports(module, definition)
        return module, name

    def _module(self, name: str, namespace: dict[str, Any]) -> Module:
        key = id(namespace) if namespace else 0
        if key not in self._modules:
            stem = re.sub(r"\W", "_", name).strip("_")
            stem = stem if stem.isidentifier() and not iskeyword(stem) else f"tools_{stem}"
            taken = {module.name for module in self._modules.values()}
            names = itertools.chain([stem], (f"{stem}_{n}" for n in itertools.count(2)))
            free = next(name for name in names if name not in taken)
            self._modules[key] = Module(free, namespace)
        return self._modules[key]

    # what it names
    def _resolve(self, module: Module, name: str, user: Definition) -> None:
        """Let a name mean in the kernel's module what it means in the user's."""
        if name in module.namespace and name not in _ANYWHERE:
            try:
                self._bind(module, name, module.namespace[name])
            except Unsendable as why:
                raise Unsendable(f"uses {name!r}, which {why}") from None
        elif name in ANSWERED:
            module.imports.add(from_import(PACKAGE, name, name))
        elif name in NAMES:
            raise Unsendable(f"uses {name!r}, which only cells have: make it an argument")
        elif not (hasattr(builtins, name) or name in _ANYWHERE or name in user.sets):
            raise Unsendable(f"uses {name!r}, which is not defined in its module")

    def _bind(self, module: Module, name: str, value: Any) -> None:
        if id(value) in self._given:
            if _is_new(module, name, value):
                module.imports.add(from_import(PACKAGE, self._given[id(value)], name))
        elif isinstance(value, ModuleType):
            self._import_module(module, name, value)
        elif name == "__file__":
            raise Unsendable("is a path of this machine")
        elif (text := literal(value)) is not None:
            _set_constant(module, name, value, text)
        elif (found := importable(value, name)) is not None:
            self._import(module, name, value, found)
        else:
            self._bind_own(module, name, value)

    def _bind_own(self, module: Module, name: str, value: Any) -> None:
        """A function or class of the user's own, perhaps of another module or name."""
        if not callable(value):
            raise Unsendable(
                f"is of the type {type(value).__name__}: only functions, classes, modules and "
                f"plain constants are sent. Hand it in as a value too, tools={{{name!r}: {name}}}, "
                "or make it an argument"
            )
        there, called = self._defined(value, name)
        if there is not module:
            if _is_new(module, name, value):
                module.imports.add(from_import(f"{PACKAGE}.{there.name}", called, name))
                module.before.add(there.name)
        elif called != name and _is_new(module, name, value):
            names = frozenset([called])
            module.definitions[name] = Definition(f"{name} = {called}\n", names, names)

    # imports
    def _import(self, module: Module, name: str, thing: object, found: tuple[str, str]) -> None:
        if _is_new(module, name, thing):
            module.imports.add(from_import(*found, name))
            self._need(module, found[0])

    def _import_module(self, module: Module, name: str, value: ModuleType) -> None:
        known = value.__name__
        if not installed(known):
            raise Unsendable(
                f"is the module {known!r} of your own, which is not there: import by name what is "
                f"needed of it, as in `from {known} import ...`"
            )
        if _is_new(module, name, value):
            module.imports.add(f"import {known}" + ("" if known == name else f" as {name}"))
            self._need(module, known)

    def _need_imports(self, module: Module, definition: Definition) -> None:
        for name in sorted(definition.imports):
            if installed(name) is False:
                raise Unsendable(
                    f"imports the module {name!r} of your own, which is not there: import by name "
                    "what is needed of it, at the top of the file"
                )
            self._need(module, name)

    def _need(self, module: Module, name: str) -> None:
        root = name.partition(".")[0]
        module.needs.setdefault(root, {"tool": self._tool, "package": package_of(root)})


def _is_new(module: Module, name: str, thing: object) -> bool:
    """Take a name in the module; return false where the thing has it already."""
    if name in module.things:
        if module.things[name] is not thing:
            raise Unsendable(f"needs two things that are both called {name!r}: rename one")
        return False
    module.things[name] = thing
    return True


def _set_constant(module: Module, name: str, value: object, text: str) -> None:
    if len(text) > MOST_CHARS:
        raise Unsendable(
            f"is a constant of {len(text):,} characters (at most {MOST_CHARS:,} are sent so): hand "
            f"it in as a value too, tools={{{name!r}: {name}}}"
        )
    if _is_new(module, name, value):
        module.constants[name] = text


def _import_submodules(module: Module, definition: Definition) -> None:
    """Import ``a.b`` where ``a.b.c`` is written: ``import a`` alone does not."""
    for first, *rest in sorted(definition.chains):
        value = module.things.get(first)
        path = value.__name__ if isinstance(value, ModuleType) else ""
        paths = itertools.accumulate(rest, "{}.{}".format, initial=path)
        inner = list(itertools.takewhile(sys.modules.__contains__, paths))[1:]
        module.imports.update(f"import {path}" for path in inner[-1:])


def _bare(thing: Any) -> FunctionType | type:
    """Return what stands in the source: a decorated function without its decorators."""
    if isinstance(thing, OnHost):
        raise Unsendable("is marked with on_host and is no tool: hand it in as one too")
    if isinstance(thing, MethodType):
        kind = type(thing.__self__).__name__
        raise Unsendable(f"is a method of a {kind}, which stays in this process")
    bare = inspect.unwrap(thing) if callable(thing) else thing
    if not isinstance(bare, FunctionType | type):
        raise Unsendable(f"is of the type {type(thing).__name__}: only functions and classes are")
    if "." in bare.__qualname__.rpartition("<locals>.")[2]:
        raise Unsendable("is defined inside of a class: move it out of it")
    return bare


def _closed_over(bare: FunctionType | type) -> Iterator[str]:
    """Variables of the function around it, but for its own name; of a class also what
    generated methods close over."""
    members = [bare] if isinstance(bare, FunctionType) else list(vars(bare).values())
    for member in members:
        function = getattr(member, "__func__", member)
        if isinstance(function, FunctionType) and function.__closure__:
            for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
                try:
                    itself = cell.cell_contents is bare
                except ValueError:  # not bound yet
                    itself = False
                if not itself:
                    yield name


def _namespace(bare: FunctionType | type) -> dict[str, Any]:
    """The variables of its module, which is one of the user's own."""
    if isinstance(bare, FunctionType):
        namespace = bare.__globals__
    else:
        module = sys.modules.get(bare.__module__)
        if module is None:
            raise Unsendable("has no source that can be read")
        namespace = vars(module)
    name = str(namespace.get("__name__", "tools"))
    if installed(name):
        raise Unsendable(f"cannot be imported from the module {name!r}, which makes it")
    return namespace
