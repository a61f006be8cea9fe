"""The user's tools in a record: their source where they were sent to the kernel."""

from __future__ import annotations

from typing import Any

from ...errors import RecordError
from ..markdown import code, details, fenced, shorten

MOST_CHARS = 20_000
_FIELDS = {"name": str, "source": str, "tools": dict, "needs": dict}


def modules(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what ``guest.tools.define`` takes; nothing in the records of the first versions.

    Raises ``RecordError`` for what cannot have been made by us.
    """
    found = settings.get("tool_modules", [])
    if not isinstance(found, list) or not all(map(_is_module, found)):
        raise RecordError("the record's settings are damaged: `tool_modules`")
    return found


def _is_module(module: Any) -> bool:
    return (
        isinstance(module, dict)
        and all(isinstance(module.get(name), kind) for name, kind in _FIELDS.items())
        and module["name"].isidentifier()
    )


def called(settings: dict[str, Any]) -> list[str]:
    """Return the names of the tools that were called back, and of all in the first versions.

    Raises ``RecordError``, and ``KeyError`` where there is no word of tools.
    """
    names = settings["tools"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecordError("the record's settings are damaged: `tools`")
    sent = {tool for module in modules(settings) for tool in module["tools"]}
    return [name for name in names if name not in sent]


def tools(settings: dict[str, Any]) -> str:
    """Return the tools as Markdown, their source in blocks that open; empty where there are
    none."""
    if not settings.get("tools"):
        return ""
    parts = ["**Tools**"]
    for module in modules(settings):
        names = ", ".join(module["tools"]) or f"needed by them, of {module['name']}"
        source = shorten(module["source"].rstrip(), MOST_CHARS)
        parts.append(details(f"{names} · source, run in the kernel", fenced(source, "python")))
    if back := called(settings):
        parts.append(f"Called back in the user's process: {', '.join(map(code, back))}")
    return "\n\n".join(parts)
