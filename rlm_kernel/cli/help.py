"""``rlm help``: the topics of the guide, and its pages."""

from __future__ import annotations

import argparse

from rich.table import Table

from .. import guide
from ..reports.terminal import standard_output
from . import parser
from .guide_page import Page, filled
from .statuses import ANSWERED
from .terminal import write_line, write_text

WIDTH = 100
"""The most columns of a page: longer lines are hard to read."""
FILLED = 80
"""The columns of its lines where it is not drawn, tables excepted."""
_MORE = "rlm help TOPIC shows a page, rlm COMMAND --help the options of a command."


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if options.topic is None:
        _list()
    elif options.topic in (commands := parser.commands()) and options.topic not in guide.TOPICS:
        write_text(commands[options.topic].format_help())
    else:
        _show(options.topic)
    return ANSWERED


def _show(topic: str) -> None:
    """Draw a page on a terminal; elsewhere it is Markdown. Raises ``UsageError``."""
    page = guide.text(topic)
    console = standard_output()
    if console.is_terminal:
        console.print(Page(page, hyperlinks=False), width=min(console.width, WIDTH))
    else:
        write_line(filled(page, FILLED))


def _list() -> None:
    table = Table("topic", "page", box=None, pad_edge=False)
    for topic, title in guide.listing():
        table.add_row(topic, title)
    console = standard_output()
    console.print(table)
    console.print(f"\n{_MORE}", highlight=False, markup=False)
