"""The words of ``%rlm help``, made of the grammar: as text, and as a page. The guide's pages."""

from __future__ import annotations

from ..guide import listing
from ..guide import text as guide_text
from ..record.markdown import code, literal, table
from .display.bundles import Shown
from .grammar import ANSWER, DEFAULT, OPTIONS, VERBS

EXAMPLES = (
    ("Ask about a file", "%rlm context reviews.txt\n%%rlm\nWhich product is liked best?"),
    (
        "Ask for a value of a type, at a price",
        "%%rlm liked: int --max-cost 0.50\nHow many reviews of the Cedar radio are positive?",
    ),
    ("Go on after a limit or an interrupt", "%rlm continue --max-turns 40\nLook at the dates."),
)
"""Cells, each with what it is for."""
_ASKS = f"A cell that begins with %%rlm asks; the answer is its result, and is bound to a name \
({ANSWER} by default)."
_OPTIONS = "Options, for this question only"
_LINES = f"Lines at the top of a cell, for the session; a setting alone shows its value, {DEFAULT} \
takes it back"
_TOPICS = "Pages of the guide, each shown by %rlm help TOPIC"


def help_text() -> str:
    """Return the whole grammar as text for a person."""
    shown = [line for what, cell in EXAMPLES for line in ("", f"{what}:", *_indented(cell))]
    return "\n".join(
        [
            "A cell that asks; the answer is its result and is bound to NAME:",
            f"  %%rlm [NAME[: TYPE]] [OPTIONS]    (NAME is {ANSWER} by default)",
            "  the question, on as many lines as you like",
            *shown,
            "",
            f"{_OPTIONS}:",
            *_table(_options()),
            "",
            f"{_LINES}:",
            *_table(_verbs()),
            "",
            f"{_TOPICS}:",
            *_table(listing()),
        ]
    )


def help_page() -> str:
    """Return the same as Markdown."""
    shown = [f"{what}:\n\n```\n{cell}\n```" for what, cell in EXAMPLES]
    parts = ((_LINES, _verbs()), (_OPTIONS, _options()), (_TOPICS, listing()))
    rows = {title: _rows(found) for title, found in parts}
    tables = [f"**{literal(title)}**\n\n{table(['', ''], made)}" for title, made in rows.items()]
    return "\n\n".join([literal(_ASKS), *shown, *tables])


def help_shown(topic: str | None = None) -> Shown:
    """Return both, for a front end; or a page of the guide. Raises ``UsageError`` for a topic that
    there is not."""
    if topic is not None:
        page = guide_text(topic, "%rlm help")
        return {"text/plain": page, "text/markdown": page}
    return {"text/plain": help_text(), "text/markdown": help_page()}


def _options() -> list[tuple[str, str]]:
    return [(f"--{name} {option.value}", option.what) for name, option in OPTIONS.items()]


def _verbs() -> list[tuple[str, str]]:
    return [(f"%rlm {name} {verb.arguments}".rstrip(), verb.what) for name, verb in VERBS.items()]


def _indented(cell: str) -> list[str]:
    return [f"  {line}" for line in cell.splitlines()]


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:{width}}  {right}" for left, right in rows]


def _rows(found: list[tuple[str, str]]) -> list[list[str]]:
    return [[code(left), literal(right)] for left, right in found]
