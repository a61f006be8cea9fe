"""Texts of an LM and its cells as HTML: prose, code, terminal output."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem
from rich.style import Style
from rich.text import Text

from ...record import checks as record_checks
from ...record.evidence import lines, summed
from ...record.filters import bare_html
from ...record.markdown import shorten
from ...record.summary import Node
from ...remote.guest.maps.checked import Checked
from .markup import Html, escaped, h, joined, visible

LONGEST_PROSE = 20_000
LONGEST_CODE = 20_000
LONGEST_TEXT = 30_000
HEAD_LINES = 12
FOLDED_LINES = 24
"""A text of more lines, or of ``FOLDED`` characters, is folded after ``HEAD_LINES``."""
FOLDED = 4_000
_ESCAPE = "\x1b"
_COMMAND = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
"""Links and titles of terminals; the decoder takes seconds for thousands of them."""


# -- prose ----------------------------------------------------------------------------------------
class _Renderer(RendererHTML):
    """A renderer that writes addresses as text, and headings below those of the page."""

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
        env.setdefault("addresses", []).append(str(tokens[at].attrs.get("href", "")))
        return ""

    def link_close(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
        address = env["addresses"].pop()
        return f" ({escaped(address)})" if address else ""

    def image(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: Any) -> str:
        return f"{escaped(tokens[at].content)} ({escaped(str(tokens[at].attrs.get('src', '')))})"


_MARKDOWN = MarkdownIt(
    "commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer
).enable("table")


def prose(text: str) -> Html:
    """Show Markdown with its HTML as text and with no links and images."""
    if len(text) > LONGEST_PROSE:
        return folded(text)
    tokens = _MARKDOWN.parse(visible(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h6"
    made = bare_html(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))
    return folded(text) if made is None else h("div", Html(made), class_="prose")


# -- code -----------------------------------------------------------------------------------------
_FORMATTER = HtmlFormatter[str](nowrap=True)


def code(source: str) -> Html:
    """Show Python, highlighted unless it is very long."""
    text = visible(source)
    if len(text) > LONGEST_CODE:
        return h("pre", h("code", shorten(text, LONGEST_CODE)), class_="code", tabindex=0)
    made = highlight(text, PythonLexer(stripnl=False, ensurenl=False), _FORMATTER)
    return h("pre", h("code", Html(made)), class_="code", tabindex=0)


# -- text -----------------------------------------------------------------------------------------
def folded(text: str, kind: str = "text") -> Html:
    """Show text of a terminal; of a long one the beginning, and the rest on a click."""
    text = shorten(text, LONGEST_TEXT)
    lines = text.split("\n")
    if len(lines) <= FOLDED_LINES and len(text) <= FOLDED:
        return _pre(text, kind)
    head = "\n".join(lines[:HEAD_LINES])[: FOLDED // 2]
    rest = text[len(head) :].removeprefix("\n")
    number = rest.count("\n") + 1
    more = f"{number:,} more lines" if number > 1 else f"{len(rest):,} more characters"
    opened = h("details", h("summary", f"Show {more}"), _pre(rest, kind), class_="fold")
    return joined(_pre(head, kind), opened)


def _pre(text: str, kind: str) -> Html:
    return h("pre", terminal(text), class_=kind, tabindex=0)


def terminal(text: str) -> Html:
    """Show text with its colours as classes; a line that was overwritten is as it was at last."""
    if _ESCAPE not in text and "\r" not in text:
        return escaped(text)
    plain = _COMMAND.sub("", text.replace("\r\n", "\n"))
    return joined(*map(_coloured, AnsiDecoder().decode(plain)), by="\n")


def _coloured(line: Text) -> Html:
    parts: list[str] = []
    end = 0
    for span in line.spans:
        parts.append(line.plain[end : span.start])
        classes = _classes(span.style) if isinstance(span.style, Style) else ""
        piece = line.plain[span.start : span.end]
        parts.append(h("span", piece, class_=classes) if classes else piece)
        end = span.end
    return joined(*parts, line.plain[end:])


def _classes(style: Style) -> str:
    """Return the classes of a style: ``a1`` is a terminal's red, ``ab`` is bold."""
    names = ["ab"] if style.bold else []
    if style.color is not None and not style.color.is_default:
        names.append(f"a{style.color.downgrade(ColorSystem.STANDARD).number}")
    return " ".join(names)


def answer(text: str) -> Html:
    """Show an answer as prose unless it is data: what Python or JSON would write stays as it is."""
    stripped = text.strip()
    if (
        stripped[:1] in ("[", "{", "(", "'", '"')
        and len(text) < LONGEST_PROSE
        and _is_data(stripped)
    ):
        return folded(text, "data")
    return prose(text)


def evidence(node: Node) -> Html | None:
    """Show the quotes that an answer rests on, and which of them stand in the input."""
    given = node.given.evidence if node.given else ()
    if not given:
        return None
    items = [h("li", line) for line in lines(given)]
    return joined(h("p", summed(given), class_="note"), h("ul", *items, class_="evidence"))


def checks(found: Sequence[Checked]) -> Html | None:
    """Show the figures of the checks of maps that an answer can rest on."""
    told = [h("p", line, class_="note") for line in record_checks.lines(found)]
    return joined(*told) if told else None


def _is_data(text: str) -> bool:
    readers: tuple[Callable[[str], object], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
            read(text)
            return True
    return False
