"""A context in the words of the first message: type, size and a look, never enough to paste back
as data."""

from __future__ import annotations

from ..events import ContextInfo
from ..record.numbers import counted


def look(info: ContextInfo, question: str) -> str:
    """Describe the context to a strong LM, which plans by it: how it is built, how large its parts
    are, how it begins and ends."""
    if (info.type, info.head, info.tail) == ("str", question, ""):
        return "`context`: no context was given; it holds the question."
    facts = [f"type {info.type}"]
    in_lines = "\n" in info.overview
    if info.length is not None and not in_lines:
        unit = {"str": "character", "bytes": "byte"}.get(info.type, "item")
        facts.append(counted(info.length, unit))
    if info.lines is not None:
        facts.append(counted(info.lines, "line"))
    if not in_lines and (form := info.overview or info.format):
        facts.append(f"looks like {form}")
    text = f"`context`: {', '.join(facts)}." + "".join(f" Note: {r}" for r in info.remarks)
    if in_lines:
        return f"{text}\n{info.overview}"
    text += f"\nIt begins:\n{info.head}" if info.head else ""
    text += "\n…" if info.type == "str" and len(info.head) < (info.length or 0) else ""
    return text + (f"\nIt ends:\n{info.tail}" if info.tail else "")


def short_look(info: ContextInfo, preview_chars: int) -> str:
    """Describe the context as small models were found to do best with. A last line feed counts as
    a line there."""
    facts = [f"type {info.type}"]
    if info.length is not None:
        unit = "characters" if info.type == "str" else "items"
        facts.append(f"{info.length:,} {'bytes' if info.type == 'bytes' else unit}")
    if info.lines is not None:
        lines = info.lines + ((info.tail or info.head)[-1:] in ("", "\n"))
        facts.append(f"{lines:,} lines")
    if info.format:
        facts.append(f"looks like {info.format}")
    text = f"`context`: {', '.join(facts)}."
    if info.notice:
        text += f" Note: {info.notice}"
    head = info.head[:preview_chars]
    if head:
        text += f"\nIt begins:\n{head}"
        text += "\n…" if len(head) < (info.length or 0) and info.type == "str" else ""
    return text
