"""The guide: its pages run, their tables are what is declared, their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from documents import NOTEBOOKS, README, ROOT

from rlm_kernel import __version__, guide
from rlm_kernel.errors import UsageError

from .running import PagesKernel, outputs, pages_kernel
from .tables import TABLES, table_of

PAGES = ROOT / "notebooks" / "guide"
EXECUTABLE = [
    topic
    for topic, notebook in NOTEBOOKS.items()
    if any(cell["cell_type"] == "code" for cell in notebook["cells"])
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesKernel]:
    with pages_kernel(tmp_path_factory.mktemp("guide")) as kernel:
        yield kernel


@pytest.mark.parametrize("topic", EXECUTABLE)
def test_a_page_puts_out_what_it_shows(kernel: PagesKernel, topic: str) -> None:
    path = PAGES / f"{topic}.ipynb"
    shown = nbformat.read(path, as_version=4)
    assert outputs(kernel.run(path)) == outputs(shown)


@pytest.mark.parametrize("topic", NOTEBOOKS)
def test_a_page_is_a_valid_notebook_with_a_title(topic: str) -> None:
    notebook = nbformat.read(PAGES / f"{topic}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize("topic", NOTEBOOKS)
def test_the_tables_of_a_page_have_every_fact_as_it_is_declared(topic: str) -> None:
    for cell in NOTEBOOKS[topic]["cells"]:
        if name := table_of(cell):
            assert cell["source"] == TABLES[name](), "python -m tests.guide makes it anew"


def test_each_table_is_on_one_page() -> None:
    named = [table_of(cell) for notebook in NOTEBOOKS.values() for cell in notebook["cells"]]
    assert sorted(filter(None, named)) == sorted(TABLES)


def test_the_topics_are_the_pages() -> None:
    assert {path.stem for path in PAGES.iterdir()} == {*guide.TOPICS, "index"}


def _anchors(path: Path) -> set[str]:
    """The anchors of its headings: GitHub's of a Markdown file, JupyterLab's of a notebook."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", TEXTS[path]), re.MULTILINE)
    if path.suffix == ".ipynb":
        return {head.replace(" ", "-") for head in heads}
    return {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}


def _texts() -> dict[Path, str]:
    """The Markdown of README and guide, by file."""
    texts = {ROOT / "README.md": README}
    for topic, notebook in NOTEBOOKS.items():
        cells = [c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown"]
        texts[PAGES / f"{topic}.ipynb"] = "\n\n".join(cells)
    return texts


TEXTS = _texts()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for link in LINK.findall(FENCE.sub("", TEXTS[path])):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), link
        if anchor:
            assert anchor in _anchors(target), link


def test_the_readme_and_the_index_lead_to_every_page() -> None:
    for topic in guide.TOPICS:
        assert f"(notebooks/guide/{topic}.ipynb" in README
        assert f"({topic}.ipynb)" in TEXTS[PAGES / "index.ipynb"]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_the_changes_begin_with_this_version() -> None:
    first = re.search(r"^## (.*)$", TEXTS[PAGES / "changes.ipynb"], re.MULTILINE)
    assert first is not None
    assert first[1] == __version__.rpartition(".")[0]


def test_a_page_as_text_leads_to_other_pages_by_the_command_that_shows_them() -> None:
    assert "[" not in re.sub(r"`[^`]*`", "", FENCE.sub("", guide.text("forks")))
    assert "(`%rlm help notebook`)" in guide.text("forks", "%rlm help")
    assert "The tour (`notebooks/tour.ipynb` in the checkout) shows" in guide.text("notebook")


def test_a_topic_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no topic 'setting'.*settings"):
        guide.text("setting")
