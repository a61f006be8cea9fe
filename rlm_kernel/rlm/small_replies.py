"""From a small LM's reply to the cells in it: a query or an answer in words becomes the cell that
is run and shown. Nothing here raises for any text."""

from __future__ import annotations

import re

from ..lm import cells, fences

MOST_WORDS_CHARS = 300
"""A longer reply without any block is no answer in words."""
MOST_QUOTES = 10
_ANSWER = re.compile(r"^\W{0,3}answer\W{0,3}:\W{0,3}\s*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_QUERY = re.compile(r"\A\s*(?:SELECT|WITH)\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)
_APART = re.compile(r"\s*[,;\n]\s*(?:and\s+)?|\s+and\s+")
_ASK = """\
found = sql(context, {query}, {question!r})
print(found)
if found.answer is not None:
    FINAL_VAR(found.answer, doubt=found.doubt)"""
SAID = "FINAL_VAR("
"""An answer in words begins so."""
_SAY = SAID + "{answer!r}, evidence=find(context, {quotes!r})[:{most}])"


def sources(reply: str, question: str, *, cut_short: bool = False, words: bool = True) -> list[str]:
    """Return the cells of a reply to a question, in order. Code in Python is run as it is, else the
    first query is asked, else the ``words``, where they may be one, are the answer. Of a reply that
    was ``cut_short`` nothing is taken that may be half of it."""
    written = cells.sources(reply, cut_short=cut_short)
    if written and not any(map(_QUERY.match, written)):
        return written
    query = _query(reply, cut_short)
    if query is not None:
        return [_ASK.format(query=_literal(query), question=question)]
    answer = _answer(reply) if words and not cut_short else None
    if answer is None:
        return []
    quotes = [part for part in _APART.split(answer) if part][:MOST_QUOTES]
    return [_SAY.format(answer=answer, quotes=quotes, most=MOST_QUOTES)]


def _query(reply: str, cut_short: bool) -> str | None:
    for block in fences.every(reply):
        if (block.closed or not cut_short) and _QUERY.match(block.source):
            return block.source.strip()
    bare = fences.untokened(reply)
    return bare.strip() if _QUERY.match(bare) and not cut_short else None


def _answer(reply: str) -> str | None:
    said = fences.untokened(reply).strip()
    found = _ANSWER.search(said)
    if found:
        return found[1].strip().strip("`*").strip()
    plain = "```" not in said and "\n\n" not in said and 0 < len(said) <= MOST_WORDS_CHARS
    return said if plain else None


def _literal(query: str) -> str:
    """Return a query as Python writes it: over several lines, where it may stand so."""
    if '"""' in query or "\\" in query or query.endswith('"'):
        return repr(query)
    return f'"""\n{query}\n"""'
