"""The kind of a question, which an LM that is spoken to in several ways is asked first."""

from __future__ import annotations

import re
from typing import Any

from . import prompts

SORT = """\
Sort questions about a text. read: one place in the text states it, as a name, a date, a number or \
a reason. count: many lines, rows or words must be counted, added, compared or sorted, which a \
program can do. judge: somebody must understand many pieces and judge their opinion, mood, topic \
or intention. Reply with one word, read, count or judge."""
SORTED = (
    ("Which seller has the most orders?", "count"),
    ("How many comments on the bakery are negative?", "judge"),
    ("What is the number of the invoice?", "read"),
    ("How many lines mention the bakery?", "count"),
    ("How many of the poems by Ada are about war?", "judge"),
    ("Where was the captain of the ship born?", "read"),
    ("In which letters is the sister afraid?", "judge"),
    ("How many rows have the status closed?", "count"),
    ("Why did the mill close?", "read"),
    ("How many of the calls from Lima complain about noise?", "judge"),
    ("What is the total weight of the parcels?", "count"),
    ("Which words are used most often?", "count"),
    ("Which guests praise the cook?", "judge"),
    ("What are the two passwords for the vault?", "read"),
    ("Which is the cheapest ticket?", "count"),
    ("What is the phone number of Dr Noor?", "read"),
    ("What is the mean height?", "count"),
    ("How many emails by Tao are friendly?", "judge"),
)
"""A small model that is asked straight away always says judge; it needs to be shown some first."""


def asked(question: str) -> list[dict[str, Any]]:
    """Return the messages that ask which kind a question is. What is asked stands in its first
    sentence with a question mark; what follows is mostly about the form of the answer."""
    sentences = re.split(r"(?<=[.?!])\s+", question.strip())
    first = next((s for s in sentences if s.endswith("?")), question.strip())
    shown = [(prompts.message("user", q), prompts.message("assistant", kind)) for q, kind in SORTED]
    return [
        prompts.message("system", SORT),
        *(m for pair in shown for m in pair),
        prompts.message("user", first),
    ]


def kind_of(reply: str, style: prompts.Style) -> str:
    """Return the kind that the LM named; the first one where it named none."""
    return next((kind for kind in style.system if kind in reply.lower()), next(iter(style.system)))
