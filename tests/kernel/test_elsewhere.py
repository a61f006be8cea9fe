"""A notebook with an LM's cells in it as other tools show it: nbconvert, and sites with rules."""

from __future__ import annotations

from typing import Any

import nbformat
import nh3
import pytest
from bs4 import BeautifulSoup
from harness import LM, RunningKernel
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter
from pages import Page

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
COUNT = "n = len(context)\nprint('counted', n)"
FIGURE = f"# title('Words a day')\ndisplay({{'image/png': '{PIXEL}'}}, raw=True)"
ASKED = "replies = llm_query_batched(['a', 'b'])\nreplies"
FINISH = "FINAL_VAR(f'There are **{n}**.')"
QUESTION = "%%rlm\nHow many?"
TURNS = (
    f"I count, for $5 and $6.\n```python\n{COUNT}\n```",
    "```python\n1 / 0\n```",
    f"```python\n{FIGURE}\n```\n```python\n{ASKED}\n```",
    f"```python\n{FINISH}\n```",
)
READ = ("How many?", "answered", "There are 3.", "I count, for $5 and $6.", "counted 3")
ALLOWED = {
    *("a", "b", "blockquote", "br", "code", "del", "details", "div", "em", "h1", "h2", "h3", "h4"),
    *("h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "ol", "p", "pre", "s", "samp", "span"),
    *("strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "tt", "ul"),
}
"""What a site that shows strangers' notebooks lets pass: no script, no style, no control."""
KEPT = {"a": {"href"}, "img": {"alt", "height", "src", "width"}, "details": {"open"}}


@pytest.fixture(scope="module")
def with_cells(lm: LM, kernel: RunningKernel) -> nbformat.NotebookNode:
    """The notebook as its page saves it: the question, and below it the LM's cells."""
    front = kernel.front()
    front.run("context = 'abc'")
    page = Page(front)
    lm.say(*TURNS)
    page.ask(QUESTION)
    [asked] = page.asked.values()
    cells = [_cell(QUESTION, asked["outputs"], asked["count"])]
    for cell in page.cells.values():
        if cell["kind"] == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(cell["source"]))
        else:
            cells.append(_cell(cell["source"], cell.get("outputs", []), cell["count"]))
    page.close()
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def without_cells(lm: LM, kernel: RunningKernel) -> nbformat.NotebookNode:
    """The notebook of a front end that opened no page: all is in the cell that asks."""
    front = kernel.front()
    front.run("context = 'abc'")
    lm.say(*TURNS)
    asked = front.run(f"{QUESTION} Here?")
    outputs: list[nbformat.NotebookNode] = []
    for message in asked.iopub:
        if message["msg_type"] == "clear_output":
            outputs.clear()
        elif message["msg_type"] in ("display_data", "execute_result", "stream", "error"):
            outputs.append(nbformat.v4.output_from_msg(message))
    return nbformat.v4.new_notebook(cells=[_cell(QUESTION, outputs, asked.count)])


def _cell(source: str, outputs: list[Any], count: int | None) -> nbformat.NotebookNode:
    made = [nbformat.from_dict(output) for output in outputs]
    cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=made)
    return cell  # type: ignore[no-any-return]


def test_nbconvert_shows_question_answer_and_cells_in_the_order_in_which_they_are_read(
    with_cells: nbformat.NotebookNode,
) -> None:
    nbformat.validate(with_cells)
    page, _ = HTMLExporter().from_notebook_node(with_cells)
    text = " ".join(BeautifulSoup(page, "html.parser").body.get_text().split())
    places = [text.index(each) for each in (*READ, "ZeroDivisionError")]
    assert places == sorted(places)


def test_a_figure_has_words_where_the_template_has_a_place_for_them(
    with_cells: nbformat.NotebookNode,
) -> None:
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(with_cells)
    [image] = BeautifulSoup(page, "html.parser").body.select("img")
    assert image["alt"] == "Figure: Words a day"


def _by_the_rules(notebook: nbformat.NotebookNode) -> BeautifulSoup:
    """A notebook on a site that lets ``ALLOWED`` pass, of each output the richest."""
    shown = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            shown.append(_rendered(cell.source))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            shown.append(data.get("text/html") or _rendered(data.get("text/markdown", "")))
    allowed = nh3.clean("\n".join(shown), tags=ALLOWED, attributes=KEPT, link_rel=None)
    return BeautifulSoup(allowed, "html.parser")


def _rendered(markdown: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


def test_where_no_script_style_or_control_passes_all_of_it_is_text_that_reads_right(
    with_cells: nbformat.NotebookNode, without_cells: nbformat.NotebookNode
) -> None:
    for notebook in (with_cells, without_cells):
        page = _by_the_rules(notebook)
        text = page.get_text()
        assert "answered · 4 turns · 2 sub-calls" in text
        assert "There are 3." in text
        assert "I count, for $5 and $6." in text
        assert not [sign for sign in ("&#", "&lt;", "</", "```", "@media") if sign in text]
        assert [link["href"].startswith("rlm-runs/") for link in page.select("a")] == [True]
    for said in ("counted 3", "ZeroDivisionError", "4 turns: code, outputs and sub-calls"):
        assert said in text
    assert {image["alt"] for image in page.select("img")} == {"Figure: Words a day"}
