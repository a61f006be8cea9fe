"""What an LM's cell may show: attacks come out harmless, tables and figures come out as they were.

What is left is judged by what a parser sees in it, not by how it is spelt.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rlm_kernel.record.filters import safe


def _names(text: str) -> list[str]:
    return text.split()


INERT_TAGS = _names(
    "a b blockquote br code del details div em h1 h2 h3 hr i img li ol p pre s span strong "
    "summary table tbody td tfoot th thead tr ul"
)
INERT_ATTRIBUTES = _names(
    "align alt border class colspan height href open rel rowspan scope span start style target "
    "title valign width src"
)
JOINER = "\u2060"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJg"
)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _elements(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Elements()
    parser.feed(html)
    parser.close()
    return parser.found


def _dangers(html: str) -> Iterator[str]:
    """Everything in the HTML that is not known to be harmless."""
    for tag, attributes in _elements(html):
        if tag not in INERT_TAGS:
            yield f"<{tag}>"
        for name, value in attributes.items():
            if name not in INERT_ATTRIBUTES:
                yield f"{tag} {name}"
            elif name == "href" and not re.match(r"(https?://|mailto:)", value or ""):
                yield f"href {value}"
            elif name == "src" and not (value or "").startswith("data:image/"):
                yield f"src {value}"
            elif name == "style" and re.search(r"url|position|@|\\|expression", value or ""):
                yield f"style {value}"
            elif name == "class" and value != "dataframe":
                yield f"class {value}"


def _html(text: str) -> str:
    return str(safe({"text/html": text}, {})[0].get("text/html", ""))


def _markdown(text: str) -> str:
    return str(safe({"text/markdown": text}, {})[0]["text/markdown"])


def _rendered(markdown: str) -> str:
    """As by a viewer with raw HTML on and no rules about addresses."""
    viewer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    viewer.validateLink = lambda url: True  # type: ignore[method-assign]
    return str(viewer.render(markdown))


HTML_ATTACKS = {
    "script": "<script>alert(1)</script>",
    "script in capitals": "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "script in two": "<scr<script></script>ipt>alert(1)</script>",
    "image error": "<img src=x onerror=alert(1)>",
    "image error after slash": "<img/src=x/onerror=alert(1)>",
    "any handler": '<b onmouseover="alert(1)">x</b>',
    "details toggle": "<details open ontoggle=alert(1)>x</details>",
    "focus": "<input autofocus onfocus=alert(1)>",
    "video": "<video><source onerror=alert(1)></video>",
    "body": "<body onload=alert(1)>",
    "javascript link": '<a href="javascript:alert(1)">x</a>',
    "javascript link in cases": '<a href="JaVaScRiPt:alert(1)">x</a>',
    "javascript link with entities": '<a href="&#106;avascript&colon;alert(1)">x</a>',
    "javascript link with a tab": '<a href="java&Tab;script:alert(1)">x</a>',
    "javascript link with a line feed": '<a href="java\nscript:alert(1)">x</a>',
    "javascript link after a control character": '<a href="\x01javascript:alert(1)">x</a>',
    "javascript link after spaces": '<a href="  javascript:alert(1)">x</a>',
    "vbscript link": '<a href="vbscript:msgbox(1)">x</a>',
    "data link": '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    "data link in base64": '<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>',
    "image as a link": f'<a href="data:image/svg+xml;base64,{PIXEL}">x</a>',
    "command of VS Code": '<a href="command:workbench.action.terminal.new">x</a>',
    "path on the server": '<a href="/logout">x</a>',
    "path without scheme": '<a href="//evil.example/">x</a>',
    "commands of JupyterLab": '<button data-commandlinker-command="terminal:create-new">x</button>',
    "SVG with a script": "<svg><script>alert(1)</script></svg>",
    "SVG with a handler": "<svg onload=alert(1)></svg>",
    "SVG with an animation": '<svg><a><animate attributeName=href values="javascript:alert(1)"/>',
    "SVG with HTML inside": "<svg><foreignObject><iframe srcdoc='<script>'/></foreignObject></svg>",
    "MathML link": '<math href="javascript:alert(1)">x</math>',
    "MathML action": '<math><maction actiontype="statusline" xlink:href="javascript:1">x</math>',
    "frame": '<iframe src="https://evil.example"></iframe>',
    "frame with its document": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "object": '<object data="javascript:alert(1)"></object><embed src="x.swf">',
    "refresh": '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "style sheet": '<link rel=stylesheet href="https://evil.example/x.css">',
    "style element": "<style>@import 'https://evil.example/x.css';</style>",
    "style with an address": '<p style="background:url(https://evil.example/x)">x</p>',
    "style with an address in escapes": '<p style="color:\\75rl(https://evil.example)">x</p>',
    "style over the page": '<a style="position:fixed;inset:0" href="https://evil.example">x</a>',
    "style pulled over the page": '<p style="margin:-900px;transform:scale(99)">x</p>',
    "form": '<form action="https://evil.example"><button formaction="javascript:1">x</button>',
    "base": '<base href="https://evil.example/">',
    "name of a global": "<a id=Jupyter name=body>x</a><img name=cookie>",
    "classes of the viewer": '<div class="jp-Dialog lm-Widget">x</div>',
    "image that is fetched": '<img src="https://evil.example/?leak">',
    "images that are fetched": '<img srcset="https://evil.example/?leak 2x" lowsrc="http://e.org">',
    "image that is HTML": '<img src="data:text/html;base64,PHNjcmlwdD4=">',
    "image that ends its attribute": '<img src="data:image/png;base64,AA&quot; onerror=&quot;1">',
    "background": '<table background="https://evil.example/?leak"><tr><td>x</table>',
    "ping": '<a href="https://a.example" ping="https://evil.example">x</a>',
    "custom element": "<x-frame is=script onclick=alert(1)>x</x-frame>",
    "template": "<template><script>alert(1)</script></template>",
    "comment that ends early": "<!--><img src=x onerror=alert(1)>-->",
    "conditional comment": "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "mutation by noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "mutation by math": (
        "<math><mtext><table><mglyph><style><!--</style>"
        '<img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">'
    ),
    "mutation by form": "<form><math><mtext></form><form><mglyph><style></math><img src onerror=1>",
    "mutation by svg": '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    "mutation by title": '<svg><title><a title="</title><img src onerror=alert(1)>">',
    "mutation by textarea": '<textarea><img title="</textarea><img src onerror=alert(1)>">',
    "mutation by foster parents": "<table><a href='javascript:1'><table><a onclick=1><td><b><a>",
    "mutation by xmp": '<xmp><p title="</xmp><img src=x onerror=alert(1)>">',
    "processing instruction": "<?xml-stylesheet href='javascript:alert(1)'?>",
    "tag that never ends": "<img src=x onerror=alert(1) ",
}


@pytest.mark.parametrize("attack", HTML_ATTACKS.values(), ids=HTML_ATTACKS)
def test_nothing_in_html_acts_or_fetches(attack: str) -> None:
    assert list(_dangers(_html(attack))) == []
    assert list(_dangers(_html(f"<p>before</p>{attack}<p>after</p>"))) == []


pieces = st.sampled_from(
    [
        *HTML_ATTACKS.values(),
        *_names("<a> </a> <b> </b> <b/title=1> <p> </p> <table> </table> <tr> <td> <li> <ul>"),
        *_names("<pre> </pre> text &lt; &amp;lt; <!-- --> </ <svg> <math> <style> </style>"),
        "<a href='https://a.b'>",
        "\n",
        "$\\href{javascript:alert(1)}{x}$",
        "\\hr",
        "ef{",
        "\x00",
        "\ud800",
    ]
)


@given(st.lists(st.one_of(pieces, st.text(max_size=5)), max_size=12).map("".join))
def test_safe_html_is_harmless_and_a_second_pass_changes_nothing(text: str) -> None:
    first = safe({"text/html": text}, {})
    assert safe(*first) == first
    assert list(_dangers(first[0].get("text/html", ""))) == []


def test_a_table_of_pandas_is_kept_and_its_style_element_is_not() -> None:
    frame = pd.DataFrame({"name": ["a<b", "c"], "n": [1, 2]})
    kept = _html(frame._repr_html_())
    elements = _elements(kept)
    assert "style" not in dict(elements)
    assert ("table", {"border": "1", "class": "dataframe"}) in elements
    assert [tag for tag, _ in elements].count("td") == 4
    assert "a&lt;b" in kept


def test_a_link_opens_in_a_tab_that_knows_nothing_of_the_notebook() -> None:
    [(tag, attributes)] = _elements(_html('<a href="https://a.example/b?c=1&amp;d=2#e">x</a>'))
    assert tag == "a"
    assert attributes == {
        "href": "https://a.example/b?c=1&d=2#e",
        "rel": "noopener noreferrer",
        "target": "_blank",
    }


@pytest.mark.parametrize(
    "html",
    [
        "<ul><li>a<ol><li>b</li></ol></li></ul>",
        '<details open=""><summary>more</summary><p>text</p></details>',
        '<span style="color:red;background-color:#ff0">x</span>',
        '<td colspan="2">x</td>',
        "<h2>head</h2><pre>code  \n  code</pre><blockquote>said</blockquote>",
        f'<img alt="plot" height="2" src="data:image/png;base64,{PIXEL}" width="2">',
        f'<img src="data:image/svg+xml;base64,{PIXEL}">',
        "a formula $\\frac{1}{2}$",
    ],
)
def test_harmless_html_stays_as_it_is(html: str) -> None:
    if html.startswith("<td"):
        html = f"<table><tbody><tr>{html}</tr></tbody></table>"
    assert _html(html) == html


def test_of_a_style_the_harmless_part_stays() -> None:
    assert _html('<p style="color:red;position:fixed">x</p>') == '<p style="color:red">x</p>'


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000,
        "".join(f"<b title={i}>" for i in range(2_000)) + "<p>x</b>" * 3_000,
    ],
    ids=["nested blocks", "formatting opened again in each block"],
)
def test_html_that_would_take_minutes_to_parse_is_left_out(html: str) -> None:
    assert safe({"text/html": html, "text/plain": "x"}, {})[0] == {"text/plain": "x"}


def test_a_long_table_is_kept() -> None:
    table = pd.DataFrame({name: range(2_000) for name in "abcd"}).to_html()
    assert _html(table).count("<td>") == 8_000


TEX_ATTACKS = [
    "\\href{javascript:alert(1)}{x}",
    "\\url{javascript:alert(1)}",
    "\\require{html}",
    "\\htmlData{a=b}{x}",
    "\\cssId{body}{x}",
    "\\class{jp-Dialog}{x}",
    "\\style{position:fixed}{x}",
    "\\bbox[background:url(https://evil.example)]{x}",
    "\\mmlToken{mi}[href='javascript:alert(1)']{x}",
    "\\unicode{x41}",
    "\\includegraphics{https://evil.example/x.png}",
    "\\def\\alpha{x}",
    "\\gdef\\alpha{x}",
    "\\newcommand{\\x}{y}",
    "\\let\\x\\href",
]


@pytest.mark.parametrize("tex", TEX_ATTACKS)
def test_a_formula_that_acts_is_left_out(tex: str) -> None:
    data, _ = safe({"text/latex": f"${tex}$", "text/plain": "x"}, {})
    assert data == {"text/plain": "x"}


@pytest.mark.parametrize("tex", TEX_ATTACKS)
def test_a_formula_that_acts_does_nothing_in_html_and_markdown(tex: str) -> None:
    name = re.match(r"\\([A-Za-z]+)", tex)[1]  # type: ignore[index]
    for text in (_html(f"<p>${tex}$</p>"), _markdown(f"${tex}$")):
        assert f"\\{JOINER}{name}" in text
        assert f"\\{name}" not in text


def test_a_command_made_of_two_pieces_of_html_does_nothing() -> None:
    for parted in ("\\hr<!-- -->ef", "\\hr<wbr>ef", "&bsol;href", "\\hr<x></x>ef"):
        assert "\\href" not in _html(f"<p>${parted}{{javascript:alert(1)}}{{x}}$</p>")


def test_a_command_written_with_entities_does_nothing_in_markdown() -> None:
    for backslash in ("&bsol;", "&#92;", "&#x5c;"):
        html = _rendered(_markdown(f"&dollar;{backslash}href{{javascript:alert(1)}}{{x}}$"))
        assert "\\href" not in unescape(html)


def test_an_ordinary_formula_stays() -> None:
    tex = "$$\\frac{\\partial u}{\\partial t} = \\hat{h} \\nabla^2 u \\le \\default$$"
    assert safe({"text/latex": tex}, {})[0] == {"text/latex": tex}
    assert _markdown(tex) == tex


MARKDOWN_ATTACKS = {
    **{f"HTML: {name}": attack for name, attack in HTML_ATTACKS.items()},
    "link": "[x](javascript:alert(1))",
    "link after a space": "[x]( javascript:alert(1))",
    "link on the next line": "[x](\njavascript:alert(1))",
    "link in a quote": "> [x](\n> javascript:alert(1))",
    "link in brackets": "[x](<javascript:alert(1)>)",
    "link in brackets after a space": "[x](< javascript:alert(1)>)",
    "link in cases": "[x](JaVaScRiPt:alert(1))",
    "link with entities": "[x](&#106;avascript&colon;alert&lpar;1&rpar;)",
    "link with a tab": "[x](java&Tab;script:alert(1))",
    "link with an escape": "[x](javascript\\:alert(1))",
    "link with a title": '[x](javascript:alert(1) "title")',
    "vbscript": "[x](vbscript:msgbox(1))",
    "data": "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "file": "[x](file:///etc/passwd)",
    "command": "[x](command:workbench.action.terminal.new)",
    "path": "[x](/logout)",
    "definition": "[x]\n\n[x]: javascript:alert(1)",
    "definition on the next line": "[x]\n\n[x]:\n  javascript:alert(1)",
    "definition in brackets": "[x]\n\n[x]: <javascript:alert(1)>",
    "definition in a quote": "[x]\n\n> [x]:\n> javascript:alert(1)",
    "definition in a list": "[x]\n\n1. - [x]: javascript:alert(1)",
    "definition after a carriage return": "[x]\r\r[x]: javascript:alert(1)",
    "definition with a long label": "[x\ny]\n\n[x\ny]: javascript:alert(1)",
    "definition with an escape": "[x\\]]\n\n[x\\]]: javascript:alert(1)",
    "definition before another": "[x]\n\n[x]: - [x]: javascript:alert(1)",
    "address in brackets": "<javascript:alert(1)>",
    "image": "![x](https://evil.example/?leak)",
    "image by definition": "![x][y]\n\n[y]: https://evil.example/?leak",
    "image by its name": "![x]\n\n[x]: https://evil.example/?leak",
    "image in a link": "[![x](https://evil.example/?leak)](javascript:alert(1))",
    "diagram": '```mermaid\ngraph TD\nclick A "javascript:alert(1)"\n```',
    "diagram in a list": "- ~~~ Mermaid\n  graph TD\n",
}


@pytest.mark.parametrize("attack", MARKDOWN_ATTACKS.values(), ids=MARKDOWN_ATTACKS)
def test_nothing_in_markdown_acts_or_fetches(attack: str) -> None:
    assert list(_dangers(_rendered(_markdown(attack)))) == []
    assert list(_dangers(_rendered(_markdown(f"text\n\n- {attack}\n")))) == []


@pytest.mark.parametrize(
    "attack",
    [
        '[x](https://a.example/$"onclick=alert(1)$)',
        '[x](https://a.example "$\\"onclick=alert(1)$")',
        'https://a.example/$"onclick=alert(1)$',
        'WWW.a.example/$"onclick=alert(1)$',
        'https://a.example/\\\\("onclick=alert(1)\\\\)',
        '[x]: https://a.example\n "$\\"onclick=alert(1)$"\n\n[x]',
        '```$"onclick=alert(1)$\ncode',
        '> ~~~ a $"onclick=alert(1)$\n> code',
    ],
)
def test_no_formula_stands_in_an_address_or_the_language_of_a_fence(attack: str) -> None:
    """JupyterLab puts formulas into the HTML of Markdown as they were, quotation marks too."""
    viewer = MarkdownIt("commonmark", {"html": True})
    held = re.sub(r"\$[^$]*\$|\\\\\(.*?\\\\\)", "@@0@@", _markdown(attack))
    html = viewer.render(held)
    assert not re.search(r"<[^>]*@@0@@", html)
    assert not re.search(r"(?i)(https?:|www\.)[^\s<]*@@0@@", html)


markdown_pieces = st.sampled_from(
    [
        *MARKDOWN_ATTACKS.values(),
        *_names('[x] [x]( ]( [ ] : ( ) javascript:1 https://a.b/ $ " < > ``` ~~~ ! &#36; &colon;'),
        *_names("\\ \\\\( mermaid \\href{"),
        *["\n", "\n\n", "> ", "- ", "- [ ] ", "1. ", "[x]: ", "    ", "\t", "\r", "\x00", "\ud800"],
    ]
)


@given(st.lists(st.one_of(markdown_pieces, st.text(max_size=5)), max_size=12).map("".join))
@example("$~~~<script>~~~<script>")  # struck through
def test_safe_markdown_is_harmless_and_a_second_pass_changes_nothing(text: str) -> None:
    once = _markdown(text)
    assert _markdown(once) == once
    # a fence's language is a class, which means nothing but colours
    html = re.sub(r'<code class="language-[^"$]*">', "<code>", _rendered(once))
    assert list(_dangers(html)) == []


def test_ordinary_markdown_stays_as_it_is() -> None:
    text = (
        "# Head\n\n| a | b |\n|---|--:|\n| **x** | `y` |\n\n1. one\n   - two & three &amp; four\n\n"
        "[paper](https://arxiv.org/abs/2512.24601) for $5, x < y, $e^{i\\pi}$!\n\n"
        "```python\nfor i in a[1:]:\n    f[i](i)\n```\n"
    ).replace("f[i](i)", "f(i)")
    assert _markdown(text) == text


def test_an_image_in_markdown_becomes_a_link() -> None:
    html = _rendered(_markdown("![plot](https://a.example/p.png)"))
    assert [tag for tag, _ in _elements(html)] == ["p", "a"]


def test_a_figure_of_matplotlib_stays_with_its_size() -> None:
    figure = {"image/png": PIXEL + "\n", "text/plain": "<Figure size 640x480 with 1 Axes>"}
    metadata = {"image/png": {"width": 640, "height": 480.5, "needs_background": "light"}}
    assert safe(figure, metadata) == (figure, metadata)


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/gif"])
def test_an_image_that_is_not_base64_is_left_out(mime: str) -> None:
    for value in ('AAAA" onerror="alert(1)', "https://evil.example/x.png", "AAA", "é"):
        assert safe({mime: value}, {}) == ({}, {})


@pytest.mark.parametrize(
    "metadata",
    [
        {"image/png": {"width": '1 onerror="alert(1)"', "unconfined": True}},
        {"image/png": {"width": True, "height": float("nan"), "needs_background": '" onload='}},
        {"image/png": ["width"], "isolated": True, "text/html": {"isolated": True}},
    ],
)
def test_metadata_that_is_no_plain_size_is_left_out(metadata: dict[str, Any]) -> None:
    assert safe({"image/png": PIXEL}, metadata) == ({"image/png": PIXEL}, {})


def _svg_shown(svg: str) -> str:
    data, _ = safe({"image/svg+xml": svg, "text/plain": "x"}, {})
    assert set(data) == {"text/html", "text/plain"}
    [(tag, attributes)] = _elements(data["text/html"])
    assert (tag, list(attributes)) == ("img", ["src"])
    before, _, encoded = str(attributes["src"]).partition(",")
    assert before == "data:image/svg+xml;base64"
    return base64.b64decode(encoded).decode()


def test_an_svg_becomes_an_image_in_html() -> None:
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><text>é</text></svg>'
    assert _svg_shown(svg) == svg
    assert 'xmlns="http://www.w3.org/2000/svg"' in _svg_shown("<svg onload='alert(1)'></svg>")


def test_an_svg_beside_html_is_left_out() -> None:
    assert safe({"image/svg+xml": "<svg/>", "text/html": "<b>x</b>"}, {})[0] == {
        "text/html": "<b>x</b>"
    }


def test_json_stays_if_it_is_json() -> None:
    value = {"a": [1, 2.5, None, "<script>"]}
    assert safe({"application/json": value}, {})[0] == {"application/json": value}
    assert safe({"application/json": [float("nan")]}, {})[0] == {}


def test_text_stays_and_other_types_do_not() -> None:
    text = "\x1b[31mred\x1b[0m <script> [x](javascript:1)"
    data = {
        "text/plain": text,
        "application/javascript": "alert(1)",
        "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
        "application/vnd.vegalite.v5+json": {},
        "text/html; charset=utf-8": "<script>alert(1)</script>",
        "TEXT/HTML": "<script>alert(1)</script>",
        "application/pdf": "JVBERi0=",
    }
    assert safe(data, {}) == ({"text/plain": text}, {})


def test_html_of_which_nothing_is_left_is_left_out() -> None:
    assert safe({"text/html": "<script>alert(1)</script>", "text/plain": "x"}, {})[0] == {
        "text/plain": "x"
    }
