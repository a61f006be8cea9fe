"""The pages by topic, as Markdown that has no need of the other files of the guide."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..record.markdown import fenced
from ..record.notebooks import ipynb
from ..settings.checks import did_you_mean

HERE = Path(__file__).resolve().parent
# A wheel has the folder in the package, a checkout at its top.
_PLACES = (HERE / "pages", HERE.parents[1] / "notebooks" / "guide")
PAGES = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
TOPICS = (
    "notebook", "python", "inputs", "tools", "answers", "maps", "trajectories", "replay", "forks",
    "batch", "eval", "sandboxes", "settings", "agents", "administrators", "speed", "format",
    "commands", "glossary", "changes",
)  # fmt: skip
"""In the order in which they are read."""
INDEX = "index"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_PAGE = re.compile(r"(\w+)\.ipynb(?:#.*)?")


def file_of(topic: str) -> Path:
    """Return the notebook of a topic. Raises ``UsageError`` for one that there is not."""
    if topic != INDEX and topic not in TOPICS:
        near = did_you_mean(topic, TOPICS) or f"; there are {', '.join(TOPICS)}"
        raise UsageError(f"there is no topic {topic!r}{near}")
    return PAGES / f"{topic}.ipynb"


def text(topic: str, command: str = "rlm help") -> str:
    """Return a page as Markdown. A link to another one says the ``command`` that shows it.

    Raises ``UsageError`` for a topic that there is not.
    """
    notebook = ipynb.loads(file_of(topic).read_bytes())
    cells = [part for cell in notebook["cells"] for part in _parts(cell, command)]
    return "\n\n".join(cells)


def about(topic: str) -> str:
    """Return the title of a page."""
    [first, *_] = ipynb.loads(file_of(topic).read_bytes())["cells"]
    return str(first["source"]).partition("\n")[0].removeprefix("# ")


def listing() -> list[tuple[str, str]]:
    """Return the topics, each with the title of its page."""
    return [(topic, about(topic)) for topic in TOPICS]


def _parts(cell: dict[str, Any], command: str) -> list[str]:
    if cell["cell_type"] == "markdown":
        return [_LINK.sub(lambda link: _unlinked(link, command), cell["source"])]
    outputs = filter(None, map(_output, cell["outputs"]))
    return [fenced(cell["source"], "python"), *map(fenced, outputs)]


def _output(output: dict[str, Any]) -> str:
    shown = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
    return str(shown).rstrip("\n")


def _unlinked(link: re.Match[str], command: str) -> str:
    """Return what stands for a link; one that leads to the web is kept."""
    picture, words, target = link.groups()
    if picture:
        return f"*Picture: {words}.*"
    if "://" in target:
        return link[0]
    if page := _PAGE.fullmatch(target):
        return f"{words} (`{command} {page[1]}`)"
    if target.startswith("#"):
        return words
    return f"{words} (`{posixpath.normpath(f'notebooks/guide/{target}')}` in the checkout)"
