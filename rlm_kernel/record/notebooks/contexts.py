"""What a kernel was given as ``context``, as Markdown."""

from __future__ import annotations

from ...events import ContextInfo
from ..markdown import code, details, fenced, isolated, literal, one_line, quote, shorten
from ..numbers import counted


def context(info: ContextInfo) -> str:
    """Describe the node's own context in a block that opens: what it is, where it can be found, how
    it begins and ends."""
    parts = []
    unsaid = ("text", "reading")
    shown = {k: v for k, v in info.spec.items() if v not in (None, []) and k not in unsaid}
    known = [f"{literal(str(k))} {code(str(v))}" for k, v in shown.items()]
    if known:
        parts.append(" · ".join(known))
    parts += [quote(remark) for remark in info.remarks]
    text = info.head + ("\n[…]\n" + info.tail if info.tail else "")
    name = str(info.spec.get("name") or "")
    summary = " · ".join(
        filter(None, ["Context", shorten(isolated(one_line(name)), 80), *_sizes(info)])
    )
    return details(summary, "\n\n".join([*parts, fenced(shorten(text, 4000))]))


def _sizes(info: ContextInfo) -> list[str]:
    sizes = [info.type, f"length {info.length:,}" if info.length is not None else ""]
    sizes += [counted(info.lines, "line") if info.lines is not None else "", info.format or ""]
    return [size for size in sizes if size]


def context_set(info: ContextInfo) -> str:
    """Describe a context that was set between two cells, in one line."""
    spec = info.spec
    variable = f"variable {code(str(spec['variable']))}" if "variable" in spec else ""
    parts = [
        "**Context** was set here",
        *map(literal, _sizes(info)),
        variable or code(str(spec.get("name", ""))),
    ]
    return " · ".join(filter(None, parts))
