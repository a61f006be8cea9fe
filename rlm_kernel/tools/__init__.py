"""What the user hands in: functions, which are sent to the cells or called back, and values."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from typing import Any

from .. import contexts
from ..contexts import Source
from ..errors import CallRefused, LimitReached, LMError, UsageError
from .host import OnHost, call, on_host, refused
from .module import CALLS, OF_CELLS
from .parcel import Parcel

__all__ = ["RESERVED", "Tools", "on_host"]

ERRORS = (LMError, LimitReached, CallRefused)
"""What calls raise; in a kernel they are the guest's, under the same names."""
RESERVED = frozenset((*CALLS, *OF_CELLS))


class Tools:
    """The user's tools by name. A function or class is sent to the kernel as source and runs
    there; one that is marked with ``on_host`` becomes a function there whose calls come back
    here; anything else becomes a variable there.

    Raises ``UsageError`` for a name that is not an identifier or is one of ours, and for a
    function that cannot be sent.
    """

    def __init__(self, tools: Mapping[str, object] | None = None) -> None:
        given = dict(tools or {})
        for name in given:
            _check_name(name)
        self._functions: dict[str, Callable[..., Any]] = {
            name: tool for name, tool in given.items() if callable(tool)
        }
        self._called = {n: tool.function for n, tool in given.items() if isinstance(tool, OnHost)}
        values = {n: tool for n, tool in given.items() if not callable(tool)}
        self.data: dict[str, Source] = {n: contexts.from_value(v) for n, v in values.items()}
        there = {n: tool for n, tool in given.items() if n in values or n in self._called}
        there |= {error.__name__: error for error in ERRORS}
        self._known = [*there.items(), *self._called.items()]  # kept: their ids must stay theirs
        parcel = Parcel({id(tool): name for name, tool in self._known})
        for name, tool in self._functions.items():
            if name not in self._called:
                parcel.add(name, tool)
        self.modules = parcel.modules()
        """What is sent, for ``guest.tools.define`` and for the record."""

    @property
    def functions(self) -> list[dict[str, str]]:
        """Name, signature and docstring of each function, for the LM."""
        return [_described(name, function) for name, function in self._functions.items()]

    @property
    def called(self) -> list[dict[str, str]]:
        """The same of those that are called back, for the guest."""
        return [_described(name, function) for name, function in self._called.items()]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool here; a slot with its value, or with its own error."""
        function = self._called.get(name)
        if function is None:
            return refused(f"there is no tool {name!r}")
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
