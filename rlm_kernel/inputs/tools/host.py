"""Functions that are called back in the user's process."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from ...endings import in_daemon_thread
from ...errors import UsageError, one_line
from ...remote.guest.values import plain


class OnHost:
    """Made by ``on_host``. To call it is to call the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def on_host(function: Callable[..., Any]) -> OnHost:
    """Mark a tool that must run in this process and not where the cells run.

    For ``RLM(tools={"name": on_host(function)})``, or as a decorator. Cells call it as any other
    tool, with JSON arguments; its result must be JSON too. Each call is recorded, and a replay
    answers from the record. Raises ``UsageError`` for what cannot be called.
    """
    if not callable(function):
        raise UsageError(f"on_host takes a function, not a {type(function).__name__}")
    return function if isinstance(function, OnHost) else OnHost(function)


async def call(name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Run a tool; return a slot with its value, or with its own error as the cell should see it.

    A plain function runs in a thread of its own: one of the shared ones would be missing where the
    tool asks an RLM and waits for it. An ``async def`` runs on this loop.
    """
    args, kwargs = arguments["args"], arguments["kwargs"]
    try:
        if inspect.iscoroutinefunction(function):
            value = await function(*args, **kwargs)
        else:
            value = await in_daemon_thread(functools.partial(function, *args, **kwargs))
        value = list(value) if isinstance(value, tuple) else value
        if plain(value):
            return {"value": json.loads(json.dumps(value))}
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        return _raised(name, error)
    except BaseException as error:  # noqa: BLE001 - the tool is the user's: its error is its result
        return _raised(name, error)
    return refused(
        f"{name} returned a {type(value).__name__}: tools that are called back return JSON values"
    )


def _is_cancelled() -> bool:
    """Return whether it is us who are cancelled, and not something that the tool waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _raised(name: str, error: BaseException) -> dict[str, Any]:
    return refused(f"{name} raised {one_line(error)}")


def refused(message: str) -> dict[str, Any]:
    return {"error": {"type": "ToolError", "message": message}}
