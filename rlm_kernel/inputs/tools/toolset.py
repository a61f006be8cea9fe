"""The tools that the user hands in, by name."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import CallRefused, LimitReached, LMError, UsageError
from ...remote.guest.globals import RESERVED
from ..contexts import Source, from_value
from .bundle import Bundle
from .host import OnHost, call, refused

ERRORS = (LMError, LimitReached, CallRefused)
"""What calls raise; in a kernel they are the guest's, under the same names."""
NOT_HERE = "it ran in the process that recorded this run, and is not here"


class Tools:
    """The user's tools by name. A function or class is sent to the kernel as source and runs
    there; one that is marked with ``on_host`` becomes a function there whose calls come back
    here; anything else becomes a variable there.

    Raises ``UsageError`` for a name that is not an identifier or is one of ours, and for a
    function that cannot be sent.
    """

    def __init__(self, tools: Mapping[str, object] | None = None) -> None:
        if tools is not None and not isinstance(tools, Mapping):
            raise UsageError(f"tools={tools!r:.80}: give a dict of names to functions and values")
        given = dict(tools or {})
        for name in given:
            _check_name(name)
        self._functions: dict[str, Callable[..., Any]] = {
            name: tool for name, tool in given.items() if callable(tool)
        }
        self._told: dict[str, str] = {}
        self._called = {n: tool.function for n, tool in given.items() if isinstance(tool, OnHost)}
        values = {n: tool for n, tool in given.items() if not callable(tool)}
        self.data: dict[str, Source] = {n: from_value(v) for n, v in values.items()}
        there = {n: tool for n, tool in given.items() if n in values or n in self._called}
        there |= {error.__name__: error for error in ERRORS}
        self._known = [*there.items(), *self._called.items()]  # kept: their ids must stay theirs
        bundle = Bundle({id(tool): name for name, tool in self._known})
        for name, tool in self._functions.items():
            if name not in self._called:
                bundle.add(name, tool)
        self.modules = bundle.modules()
        """What is sent, for ``guest.tools.define`` and for the record."""

    def recorded(
        self, called: list[str], modules: list[dict[str, Any]], data: Mapping[str, Source]
    ) -> Tools:
        """Return the tools of a record: what was sent to the kernel is sent again, and what was
        called back is called here if we have a tool of that name; else its calls are refused."""
        tools = Tools()
        tools.modules, tools.data = modules, dict(data)
        tools._called = {name: self._called[name] for name in called if name in self._called}
        tools._functions = dict(tools._called)
        sent = [tool for module in modules for tool in module["tools"]]
        absent = [name for name in called if name not in self._called]
        tools._told = {name: "" for name in sent} | {name: NOT_HERE for name in absent}
        return tools

    @property
    def functions(self) -> list[dict[str, str]]:
        """Return name, signature and docstring of each function, for the LM."""
        return [_described(name, tool) for name, tool in self._functions.items()] + self._only_told

    @property
    def called(self) -> list[dict[str, str]]:
        """Return the same of the functions that are called back, for the guest."""
        sent = {tool for module in self.modules for tool in module["tools"]}
        absent = [told for told in self._only_told if told["name"] not in sent]
        return [_described(name, tool) for name, tool in self._called.items()] + absent

    @property
    def _only_told(self) -> list[dict[str, str]]:
        """Return the same of the functions that come from a record and not from the user."""
        return [{"name": n, "signature": "(...)", "doc": doc} for n, doc in self._told.items()]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool here; return a slot with its value, or with its own error."""
        function = self._called.get(name)
        if function is None:
            return refused(
                f"there is no tool {name!r}: {NOT_HERE}"
                if name in self._told
                else f"there is no tool {name!r}"
            )
        slot: dict[str, Any] = await call(name, function, arguments)
        return slot


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"tool name {name!r}: give a Python identifier")
    if name in RESERVED:
        raise UsageError(f"tool name {name!r} is taken by the REPL itself: choose another")


def _described(name: str, function: Callable[..., Any]) -> dict[str, str]:
    doc = inspect.getdoc(function) or ""
    if inspect.iscoroutinefunction(function):  # one that is called back is none in the cells
        doc = f"To be awaited. {doc}".strip()
    return {"name": name, "signature": _signature(function), "doc": doc}


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):  # builtins without a text signature
        return "(...)"
