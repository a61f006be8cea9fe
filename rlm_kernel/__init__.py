"""A Jupyter kernel and a library in which a language model is the notebook's author."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import RLM
    from .errors import (
        CallRefused,
        ContextError,
        KernelDied,
        KernelStartError,
        LimitReached,
        LMError,
        NoLM,
        RecordError,
        RLMError,
        RunFailed,
        UsageError,
    )
    from .inputs.contexts import Source
    from .inputs.tools import on_host
    from .session.session import Result
    from .settings.limits import Limits

__all__ = [
    "RLM",
    "CallRefused",
    "ContextError",
    "KernelDied",
    "KernelStartError",
    "LMError",
    "LimitReached",
    "Limits",
    "NoLM",
    "RLMError",
    "RecordError",
    "Result",
    "RunFailed",
    "Source",
    "UsageError",
    "on_host",
]
__version__ = "0.2.0"

_HOMES = {
    "RLM": "api", "Limits": "settings.limits", "Result": "session.session",
    "Source": "inputs.contexts", "on_host": "inputs.tools",
}  # fmt: skip
"""The modules of the names that are not in ``errors``."""
_MODULES = {
    "api": "api", "contexts": "inputs.contexts", "errors": "errors", "events": "events",
    "limits": "settings.limits", "tools": "inputs.tools",
}  # fmt: skip
"""The modules that need no import of their own."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a command must hide what it knows before that."""
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def load_ipython_extension(ipython: Any) -> None:
    """Give ``%%rlm`` and ``%rlm`` to a plain IPython: for ``%load_ext rlm_kernel``."""
    from .kernel.ipython.loading import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take them away again: for ``%unload_ext rlm_kernel``."""
    from .kernel.ipython.loading import unload

    unload(ipython)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
