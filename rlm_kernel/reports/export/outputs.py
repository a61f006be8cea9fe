"""A cell's outputs as HTML. They are made harmless here, whoever wrote the record."""

from __future__ import annotations

import json
from typing import Any

from ...events import Output
from ...record.filters import bare_html, safe
from ...record.numbers import counted
from ...record.pictures import alt, mime_of
from .markup import Html, h, joined, visible
from .texts import folded, prose

MOST = 100


def outputs(made: list[Output], source: str) -> Html | None:
    """Show the outputs of a cell of this source, at most ``MOST``; None where there are none."""
    if not made:
        return None
    shown = [_output(output, source) for output in made[:MOST]]
    more = len(made) - len(shown)
    if more > 0:
        shown.append(h("p", f"and {counted(more, 'more output')}, in the record", class_="note"))
    return h("div", *shown, class_="outputs")


def _output(output: Output, source: str) -> Html:
    match output.get("output_type"):
        case "stream":
            kind = "text stderr" if output.get("name") == "stderr" else "text"
            return folded(_text(output.get("text")), kind)
        case "display_data" | "execute_result":
            data = output.get("data")
            return _display(data if isinstance(data, dict) else {}, source)
        case "error":
            return _error(output)
    return folded(f"[an unknown output: {output!r}]")


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _error(output: Output) -> Html:
    lines = output.get("traceback")
    told = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    named = f"{output.get('ename')}: {output.get('evalue')}"
    return folded(told or named, "text error")


def _display(data: dict[str, Any], source: str) -> Html:
    """Show the best of the forms that it came in."""
    whole = {k: v if k == "application/json" else _text(v) for k, v in data.items()}
    kept, _ = safe(whole, {})
    if (mime := mime_of(kept)) is not None:
        address = f"data:{mime};base64,{''.join(str(kept[mime]).split())}"
        return h("img", src=address, alt=alt(source), loading="lazy")
    if "text/html" in kept and (made := bare_html(visible(kept["text/html"]))):
        return h("div", Html(made), class_="rich", tabindex=0, role="group", aria_label="Output")
    if "text/markdown" in kept:
        return prose(kept["text/markdown"])
    if "application/json" in kept and "text/plain" not in kept:
        return folded(json.dumps(kept["application/json"], indent=1, ensure_ascii=False))
    text = kept.get("text/plain") or kept.get("text/latex")
    return folded(text) if text else joined(h("p", _not_shown(data), class_="note"))


def _not_shown(data: dict[str, Any]) -> str:
    return f"[output of type {', '.join(data)[:200] or 'nothing'}: not shown]"
