"""What the user hands in: functions, which run here on the host, and data, which goes inside."""

from __future__ import annotations

import asyncio
import inspect
import json
import keyword
from collections.abc import Callable, Mapping
from typing import Any

from . import contexts, guest
from .contexts import Source
from .errors import UsageError

RESERVED = frozenset(
    (
        "context", "answer", "llm_query", "llm_query_batched", "rlm_query", "rlm_query_batched",
        "FINAL_VAR", "SHOW_VARS",
    )
)  # fmt: skip


class Tools:
    """The user's tools by name. A callable becomes a function in the kernel whose calls come
    back here, with JSON arguments and a JSON result; anything else becomes a variable there.

    Raises ``UsageError`` for a name that is not an identifier or is one of ours.
    """

    def __init__(self, tools: Mapping[str, object] | None = None) -> None:
        for name in tools or {}:
            if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
                raise UsageError(f"tool name {name!r}: give a Python identifier")
            if name in RESERVED:
                raise UsageError(f"tool name {name!r} is taken by the REPL itself: choose another")
        given = dict(tools or {})
        self._functions: dict[str, Callable[..., Any]] = {
            name: tool for name, tool in given.items() if callable(tool)
        }
        self.data: dict[str, Source] = {
            name: contexts.from_value(tool) for name, tool in given.items() if not callable(tool)
        }

    @property
    def functions(self) -> list[dict[str, str]]:
        """Name, signature and docstring of each function, for the guest and the LM."""
        return [
            {"name": n, "signature": _signature(f), "doc": inspect.getdoc(f) or ""}
            for n, f in self._functions.items()
        ]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a tool; a slot with its value, or with its own error as the cell should see it.

        A plain function runs in a thread, an ``async def`` on this loop.
        """
        function = self._functions.get(name)
        if function is None:
            return _error(f"there is no tool {name!r}")
        args, kwargs = arguments["args"], arguments["kwargs"]
        try:
            if inspect.iscoroutinefunction(function):
                value = await function(*args, **kwargs)
            else:
                value = await asyncio.to_thread(function, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the tool is the user's: its error is its result
            return _error(f"{name} raised {type(error).__name__}: {error}")
        value = list(value) if isinstance(value, tuple) else value
        if not guest.plain(value):
            return _error(f"{name} returned a {type(value).__name__}: tools return JSON values")
        return {"value": json.loads(json.dumps(value))}


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):  # builtins without a text signature
        return "(...)"


def _error(message: str) -> dict[str, Any]:
    return {"error": {"type": "ToolError", "message": message}}
