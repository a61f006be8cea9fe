"""What a cell that an LM wrote may show: outputs with everything that acts or fetches left out.

An output that has just come from a kernel is trusted by JupyterLab, so a script in it would run
beside the human's files and terminals. The same output is read later in other viewers, each of
which guards against something else. So nothing is left to the viewer: what ``safe`` returns has
no script, no handler, no form, no frame and no link but to the web, and opening it fetches
nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

import nh3

_WORD_JOINER = "\u2060"  # no width, no line break; parts what would be read as one

# HTML drops some of these where it is parsed; a word could close up over them again.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def safe(
    data: dict[str, Any], metadata: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the harmless part of a MIME bundle and of its metadata; both may come out empty.

    Texts must be whole strings, as in a kernel's message. An SVG becomes an image in HTML, where
    its scripts do not run, unless there is HTML already. What cannot be made harmless is left out.
    """
    kept = {mime: CLEANERS[mime](value) for mime, value in data.items() if mime in CLEANERS}
    if kept.get("image/svg+xml") and not kept.get("text/html"):
        kept["text/html"] = kept["image/svg+xml"]
    kept.pop("image/svg+xml", None)
    kept = {mime: value for mime, value in kept.items() if value is not None}
    shown = {mime: _presentation(metadata.get(mime)) for mime in kept}
    return kept, {mime: keys for mime, keys in shown.items() if keys}


def _presentation(metadata: Any) -> dict[str, Any]:
    """Return sizes and background only: exporters write them into HTML as they are, so no other
    type."""
    if not isinstance(metadata, dict):
        return {}
    sizes = {key: metadata.get(key) for key in ("width", "height")}
    keys: dict[str, Any] = {key: size for key, size in sizes.items() if _is_size(size)}
    if metadata.get("needs_background") in ("light", "dark"):
        keys["needs_background"] = metadata["needs_background"]
    return keys


def _is_size(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 100_000


def _printable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


# -- terminals ------------------------------------------------------------------------------------
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def for_terminal(text: str) -> str:
    """Return ``text`` with a sign for each character that a terminal would obey, and for each that
    turns the order in which text is read: controls but for line feed and tab, the lone surrogates
    that stand for bytes, and overrides and isolates of direction. CR and LF together are one line
    end."""
    return _OBEYED.sub(_sign, text.replace("\r\n", "\n"))


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


# -- TeX ------------------------------------------------------------------------------------------
# MathJax and KaTeX set formulas in HTML and Markdown too. These commands link, style, load code,
# or change what the formulas of other cells mean.
_ACTING_TEX = re.compile(
    r"\\(?=(?:href|url|hyperref|html[A-Za-z]*|data|class|cssId|style|bbox|mmlToken|unicode"
    r"|include|includegraphics|input|require|setOptions|[egx]?def|let|futurelet|global|csname"
    r"|(?:re)?newcommand|(?:re)?newenvironment|providecommand|Declare[A-Za-z]+)(?![A-Za-z]))"
)


def _latex(text: str) -> str | None:
    text = _printable(text)
    return None if _ACTING_TEX.search(text) else text


def _inert_tex(text: str) -> str:
    return _ACTING_TEX.sub("\\\\" + _WORD_JOINER, text)


def _names(text: str) -> set[str]:
    return set(text.split())


# -- HTML -----------------------------------------------------------------------------------------
_TAGS = _names(
    "a abbr b bdi bdo blockquote br caption code col colgroup dd del details dfn div dl dt em "
    "figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span "
    "strong sub summary sup table tbody td tfoot th thead tr tt u ul var"
)
_LEFT_OUT_WHOLE = _names(
    "applet frameset head iframe math noembed noframes noscript object script select style svg "
    "template textarea title xmp"
)
_ATTRIBUTES = {
    "*": {"dir", "lang", "style", "title"},
    "a": {"href"},
    "col": {"span"},
    "colgroup": {"span"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "li": {"value"},
    "ol": {"reversed", "start", "type"},
    "table": {"border"},
    "td": {"align", "colspan", "rowspan", "valign"},
    "th": {"align", "colspan", "rowspan", "scope", "valign"},
}
# None of these moves a box out of its place or takes an address.
_STYLES = _names(
    "background-color border border-bottom border-collapse border-color border-left border-radius "
    "border-right border-spacing border-style border-top border-width color font-family font-size "
    "font-style font-weight height max-width min-width padding padding-bottom padding-left "
    "padding-right padding-top text-align text-decoration vertical-align white-space width"
)
_ADDRESSES = {
    # No path: it could be one of the Jupyter server, such as /logout.
    "href": re.compile(r"(?i)(?:https?://|mailto:)"),
    # In an img element an SVG neither runs scripts nor fetches.
    "src": re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*\Z"),
}


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return None if "\\" in value or "url" in value.lower() else value
    pattern = _ADDRESSES.get(name)
    return value if pattern is None or pattern.match(value) else None


def _cleaner(tags: set[str], attributes: dict[str, set[str]]) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=tags,
        clean_content_tags=_LEFT_OUT_WHOLE,
        attributes=attributes,
        attribute_filter=_attribute,
        allowed_classes={"table": {"dataframe"}},  # others could dress as parts of the viewer
        filter_style_properties=_STYLES,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}} if "a" in tags else {},
        url_schemes={"http", "https", "mailto", "data"},
    )


_CLEANER = _cleaner(_TAGS, _ATTRIBUTES)
_BARE = _cleaner(_TAGS - {"a"}, _ATTRIBUTES | {"*": {"dir", "lang", "title"}, "a": set()})
_PASSES = 4
_FORMATTING = re.compile(r"(?i)<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)\b")
_NESTING = re.compile(r"<(?!(?:t[rdh]|br)\b)[A-Za-z]", re.IGNORECASE)
_MOST_WORK = 200_000_000


def _html(text: str) -> str | None:
    cleaned = _cleaned(text, _CLEANER)
    return None if cleaned is None else _inert_tex(cleaned)


def bare_html(text: str) -> str | None:
    """Return HTML with no links and no styles, for a page whose policy allows neither; None where
    it cannot be made harmless, or nothing is left."""
    return _cleaned(text, _BARE)


def _cleaned(text: str, cleaner: nh3.Cleaner) -> str | None:
    """Return the HTML that parses to what it says: cleaned until another pass changes nothing.

    What a parser repairs differently each time is the way around sanitisers; there is no need
    to keep it.
    """
    text = _printable(text)
    for _ in range(_PASSES):
        if _work(text) > _MOST_WORK:
            return None
        cleaned = cleaner.clean(text)
        if cleaned == text:
            return text if text.strip() else None
        text = cleaned
    return None


def _work(text: str) -> int:
    """Return about how many steps HTML parsing takes at worst; 200 million were measured to take 1
    s.

    Open elements are searched at each tag: 8 MB of nested ``<div>`` would take an hour. Each
    formatting element left open is opened again in each block, which costs 20 times more.
    """
    formatting = len(_FORMATTING.findall(text))
    return text.count("<") * (len(_NESTING.findall(text)) + 20 * formatting)


def _svg(text: str) -> str | None:
    text = _printable(text)
    if not re.search(r"<svg[^>]+xmlns=[^>]+svg", text):  # as an image it needs its name space
        text = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    encoded = base64.b64encode(text.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{encoded}">'


# -- Markdown -------------------------------------------------------------------------------------
# Each rule holds wherever it finds its characters, inside of code too: telling code from text as
# every viewer does is not possible.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!(?=\[)")
_ENTITY = re.compile(r"&(?=#|(?!(?:amp|lt|gt|quot|nbsp|ndash|mdash|hellip);)\w+;)")
_LINK = re.compile(r"\](?=\()(?!\(https?://[A-Za-z0-9_.~:/?#&+,;=%-]*\))")
# What may stand before a block on its line: quotes, list marks, task boxes.
_LINE = r"((?:\A|(?<=[\r\n]))[ \t>*+\-.)\d\[\]xX:]*?"
_DEFINITION = re.compile(_LINE + r"\[(?:[^\[\]\\]|\\.)*\])(?=:)", re.DOTALL)
# Diagrams are drawn by a language with links and scripts of its own.
_FENCE = re.compile(
    _LINE + r"(?:`{3,}(?=[^`\r\n]*(?:[\r\n]|\Z))|~{3,}))[^\r\n]*(?:[$\\]|(?i:mermaid))[^\r\n]*"
)
_WORD = re.compile(r"[^ \t\r\n]+")
_AUTOLINK = re.compile(r"(?i)(https?|ftp|www)(?=[:.])")


def markdown(text: str) -> str:
    """Return Markdown whose HTML stays text, with links to the web only and images as links.

    JupyterLab puts formulas back after it has made HTML, quotation marks as they are, so
    ``$" onclick=…$`` in an address or a fence's language ends the attribute: neither may have
    a ``$``. Definitions of links could have one in a title, on a line of its own: none is kept.
    """
    text = _FENCE.sub(r"\1", _printable(text))
    text = _IMAGE.sub("!" + _WORD_JOINER, _TAG.sub("<" + _WORD_JOINER, text))
    text = _ENTITY.sub("&" + _WORD_JOINER, text)
    text = _WORD.sub(_without_formula_in_address, text)
    text = _LINK.sub("]" + _WORD_JOINER, text)
    text = _DEFINITION.sub(r"\1" + _WORD_JOINER, text)
    return _inert_tex(text)


def _without_formula_in_address(word: re.Match[str]) -> str:
    if "$" not in word[0] and "\\" not in word[0]:
        return word[0]
    return _AUTOLINK.sub(r"\1" + _WORD_JOINER, word[0])


# -- the rest -------------------------------------------------------------------------------------
def _json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return value


def _base64(text: str) -> str | None:
    """Return the data as base64 where it is: exporters write it into an attribute as it is."""
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return text


CLEANERS: dict[str, Callable[[Any], Any]] = {
    "text/plain": str,
    "text/markdown": markdown,
    "text/html": _html,
    "text/latex": _latex,
    "application/json": _json,
    "image/png": _base64,
    "image/jpeg": _base64,
    "image/gif": _base64,
    "image/svg+xml": _svg,
}
"""What makes a value of each MIME type harmless, None if it cannot. No other type is shown.

JavaScript and widgets act in the reader's browser by design.
"""
