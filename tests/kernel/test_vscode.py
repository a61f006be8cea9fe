"""The kernel in VS Code, by the rules of its notebooks: what of ours it draws, and how.

The rules are those of VS Code (2025), its built-in renderers and its Jupyter extension, as their
sources have them. The tests say what a run sends, and what comes of it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from harness import LM, Message, Outcome, RunningKernel, block
from markdown_it import MarkdownIt

ORDER = (
    "application/json",
    "application/javascript",
    "text/html",
    "image/svg+xml",
    "text/latex",
    "text/markdown",
    "image/png",
    "image/jpeg",
    "text/plain",
)
"""The first of these is drawn that has a renderer; a type that is not among them comes before."""
RENDERERS = {
    "built in": {
        *("image/gif", "image/png", "image/jpeg", "image/svg+xml", "text/html"),
        *("application/javascript", "text/plain"),
    },
    "Markdown": {"text/markdown", "text/latex", "application/json"},
}
ONLY_WHERE_TRUSTED = {"text/html", "image/svg+xml", "application/javascript"}
"""In a window in Restricted Mode nothing is drawn for these, and no other type in their place."""
KEPT_WHERE_RESTRICTED = """
a abbr b bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em
figcaption figure h1 h2 h3 h4 h5 h6 hr i img ins kbd label li mark ol p pre q rp rt ruby samp
small source span strike strong style sub summary sup table tbody td tfoot th thead time tr
tt u ul var video wbr
"""
"""Elements of Markdown that its sanitiser keeps there; of others it keeps the text. Elsewhere
nothing is sanitised."""
MISSED = {"progress"}
"""Elements of ours that it drops. What they show stands beside them in words."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
SHOWN = f"""\
from IPython.display import HTML, JSON, Javascript, Latex, Markdown, SVG, display
class Figure:
    def _repr_mimebundle_(self, **options):
        return {{"image/png": "{PNG}", "text/plain": "<Figure>"}}
display(Figure())  # title('Words')
display(HTML("<table><tr><td onclick='hit()'>3</td></tr></table><script>hit()</script>"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='hit()'/>"))
display(JSON({{"n": 3}}))
display(Latex("$x^2$"))
display(Markdown("*three* <img src=x onerror=hit()> [link](javascript:hit())"))
display(Javascript("hit()"))
"""
BATCH = "found = llm_query_batched([f'{n}?' for n in range(3)])\nprint(found)"
HOSTILE = "I look. <script>hit()</script> <img src=x onerror=hit()>"
PICKED_OF_THE_LMS = ["text/html"] * 3 + ["application/json", "text/latex", "text/markdown"]
"""A figure, with words for it, a table and a drawing; data, a formula, prose; no script."""


@pytest.fixture(scope="module")
def outcomes(kernel: RunningKernel, lm: LM) -> Iterator[dict[str, Outcome]]:
    """A human's cells and what came of them, without our extension."""
    front = kernel.front()
    (kernel.cwd / "words.txt").write_text("one two three")
    made: dict[str, Outcome] = {}

    def run(cell: str, *typed: str, shows: str = "") -> None:
        asked = front.start(cell)
        for line in typed:
            made[f"{cell} asks"] = Outcome(front.asked_input(), [])
            front.hear(asked, shows)
            front.type(line)
        made[cell] = front.finish(asked)

    run("%rlm key", "sk-of-the-test")
    run("%rlm help")
    run("%rlm context words.txt\n%rlm replay off")
    lm.say(f"{HOSTILE}\n{block(BATCH)}", block(SHOWN), block("FINAL_VAR(['a', 'b'])"))
    run("%%rlm\nWhich?")
    lm.say(block("1 / 0"), block("n = 3"))
    run("%%rlm --max-turns 2\nHow many?")
    lm.say(block("print(n)"), block("FINAL_VAR(n)"))
    run("%%rlm --confirm first\nHow many now?", "", "y", shows="a cell waits for you")
    for cell in ("%rlm runs", "%rlm cost", "%rlm open 1", "%rlm status", "%rlm take 1", "1 / 0"):
        run(cell)
    run("%rlm limits cos=1")
    yield made
    kernel.forget_fronts()


def _displays(outcomes: dict[str, Outcome]) -> Iterator[dict[str, Any]]:
    """The bundles of all displays, updates and answers."""
    for outcome in outcomes.values():
        for message in outcome.of("display_data", "update_display_data", "execute_result"):
            yield message["content"]["data"]


def _picked(data: dict[str, Any]) -> str:
    """The type that is drawn of a bundle."""
    rank = {mime: number for number, mime in enumerate(ORDER)}
    drawn = [mime for mime in data if any(mime in those for those in RENDERERS.values())]
    return min(drawn, key=lambda mime: rank.get(mime, -1), default="")


class _Elements(HTMLParser):
    """The elements of a page, and what of them would act."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.acting: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        acting = [name for name, value in attrs if name.startswith("on") or _runs(value)]
        self.acting += [f"{tag} {name}" for name in acting]
        if tag in ("script", "iframe", "object", "embed", "form", "link", "meta", "base"):
            self.acting.append(tag)


def _runs(value: str | None) -> bool:
    return (value or "").strip().lower().startswith(("javascript:", "data:text"))


def _drawn(data: dict[str, Any]) -> _Elements:
    """What a trusted window makes of a bundle."""
    mime = _picked(data)
    text = str(data[mime])
    if mime == "text/markdown":
        return _Elements(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    return _Elements(text if mime == "text/html" else "")


def test_each_display_is_drawn_and_ours_in_a_restricted_window_too(
    outcomes: dict[str, Outcome],
) -> None:
    picked = [_picked(data) for data in _displays(outcomes)]
    assert "" not in picked
    of_the_lm = [mime for mime in picked if mime not in ("text/markdown", "text/plain")]
    assert of_the_lm == [mime for mime in PICKED_OF_THE_LMS if mime != "text/markdown"]
    assert {mime for mime in of_the_lm if mime in ONLY_WHERE_TRUSTED} == {"text/html"}


def test_a_figure_stands_in_its_turn_where_html_is_not_drawn(outcomes: dict[str, Outcome]) -> None:
    *_, fold = [data for data in _displays({"": outcomes["%%rlm\nWhich?"]})]
    assert _picked(fold) == "text/markdown"
    assert f'<img alt="Figure: Words" src="data:image/png;base64,{PNG}">' in fold["text/markdown"]


def test_nothing_that_an_lm_shows_acts_though_a_trusted_window_sanitises_nothing(
    outcomes: dict[str, Outcome],
) -> None:
    drawn = [_drawn(data) for data in _displays(outcomes)]
    assert [found for elements in drawn for found in elements.acting] == []
    control = {"text/html": "<p onclick=hit()>", "text/markdown": "<script>hit()</script>"}
    acting = [_drawn({mime: text}).acting for mime, text in control.items()]
    assert acting == [["p onclick"], ["script"]]


def test_markdown_of_ours_keeps_its_elements_in_a_restricted_window(
    outcomes: dict[str, Outcome],
) -> None:
    drawn = [_drawn(data) for data in _displays(outcomes) if _picked(data) == "text/markdown"]
    names = {name for elements in drawn for name in elements.names}
    assert {"details", "summary", "table", "code"} <= names
    assert names - set(KEPT_WHERE_RESTRICTED.split()) <= MISSED


def test_an_update_finds_its_display_and_a_cleared_cell_is_filled_again(
    outcomes: dict[str, Outcome],
) -> None:
    updates = 0
    for cell, outcome in outcomes.items():
        standing: set[str] = set()
        clearing = False
        for message in outcome.of(
            "display_data", "update_display_data", "clear_output", "stream", "error"
        ):
            name = message["content"].get("transient", {}).get("display_id")
            match message["msg_type"]:
                case "update_display_data":
                    assert name in standing, cell
                    updates += 1
                case "clear_output":
                    assert message["content"] == {"wait": True}
                    clearing = True
                case _:
                    standing = set() if clearing else standing
                    clearing = False
                    standing |= {name} - {None}
        assert not clearing, cell
    assert updates


def test_the_traceback_of_an_error_says_all_since_it_alone_is_drawn(
    outcomes: dict[str, Outcome],
) -> None:
    errors = [m["content"] for outcome in outcomes.values() for m in outcome.of("error")]
    assert {"LimitReached", "ZeroDivisionError", "UsageError"} <= {e["ename"] for e in errors}
    for error in errors:
        shown = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error["traceback"]))
        assert f"{error['ename']}: {error['evalue']}" in shown


def test_no_comm_is_used_that_no_page_has_opened(outcomes: dict[str, Outcome]) -> None:
    used = [m for outcome in outcomes.values() for m in outcome.of("comm_open", "comm_msg")]
    assert used == []


def test_a_turn_that_is_taken_is_inserted_below_by_a_payload(outcomes: dict[str, Outcome]) -> None:
    # It needs all of the three; others are passed over.
    (payload,) = outcomes["%rlm take 1"].reply["content"]["payload"]
    assert payload == {"source": "set_next_input", "text": "print(n)", "replace": False}


def _input_of(outcomes: dict[str, Outcome], cell: str) -> Message:
    asked: Message = outcomes[f"{cell} asks"].reply["content"]
    return asked


def test_its_box_for_input_hides_a_key_and_a_cell_to_be_confirmed_stands_in_the_output(
    outcomes: dict[str, Outcome],
) -> None:
    key = _input_of(outcomes, "%rlm key")
    assert (key["password"], "\n" in key["prompt"]) == (True, False)
    # The box makes one line of a prompt, and Escape sends an empty line, after which it asks again.
    cell = "%%rlm --confirm first\nHow many now?"
    again = _input_of(outcomes, cell)
    assert (again["password"], again["prompt"].count("\n")) == (False, 1)
    waiting = [m["content"]["data"] for m in outcomes[cell].of("update_display_data")]
    shown = [data["text/markdown"] for data in waiting]
    assert any("a cell waits for you" in text and "print(n)" in text for text in shown)


def test_links_of_ours_lead_from_the_notebooks_folder(
    outcomes: dict[str, Outcome], kernel: RunningKernel
) -> None:
    # An address without a scheme is opened as a path from there.
    shown = [str(data.get("text/markdown", "")) for data in _displays(outcomes)]
    paths = {path for text in shown for path in re.findall(r"\]\((rlm-runs/[^)]*)\)", text)}
    assert paths
    assert [path for path in paths if not (kernel.cwd / path).exists()] == []
