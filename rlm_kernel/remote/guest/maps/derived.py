"""Makes of maps: the items that bear on a question most, and one text out of many.

Each takes ``mapped(asked, items, by)``, which yields the calls of a map and returns its table.
"""

from typing import Any

from ..errors import LMError
from ..pieces import counted
from .items import cut, text_of
from .map import Map
from .map_table import MapTable

BEST = 10
"""The greatest mark of an item, and how many items are given by default."""
REDUCE_CHARS = 40_000
"""The most characters that are read in one prompt, where it takes more: of much, much is missed."""
MARK = (
    "How much does the item help to answer the question below? Give a whole number from 0 (not at "
    "all) to %d (it answers it).\n\nQuestion: %s"
)
REDUCE = (
    "Below are %s. Write one text out of them that answers the request, and nothing besides. Keep "
    "the names, numbers and dates that matter for it; add nothing of your own.\n\nRequest: %s"
)
BETWEEN = "\n\n---\n\n"


def found(mapped: Any, items: Any, question: str, top: int, by: Any) -> Any:
    """Yield the calls, and return the table of the ``top`` rows that were marked best, those that
    come first before others of the same mark; rows of mark 0 are none of them."""
    if top.__class__ is not int or top < 1:
        raise ValueError("llm_find: top=%r: give a whole number of at least 1" % (top,))
    Map(question)  # which says what is wrong with it
    marks = {"type": "integer", "enum": list(range(BEST + 1))}
    table = yield from mapped(Map(MARK % (BEST, question), type=marks), items, by)
    good = [row for row in table.rows if row.state == "ok" and row.value]
    best = sorted(good, key=lambda row: -row.value)[:top]
    said = [table.said, "the best %d of %s" % (len(best), counted(len(table), "row"))]
    if table.failed:
        said.append("%d failed, the first one row %d" % (len(table.failed), table.failed[0].index))
    return MapTable(question, best, "; ".join(filter(None, said)))


def reduced(mapped: Any, texts: Any, question: str, prompt_chars: int) -> Any:
    """Yield the calls, and return the one text that is left: groups of texts become one each, and
    so on. Raises ``LMError`` where a group got no reply, since all above would lack it."""
    Map(question)
    room = min(REDUCE_CHARS, prompt_chars - Map(REDUCE % ("texts", question)).around)
    level = [text for text in _texts(texts) if text.strip()]
    if not level:
        raise ValueError("llm_reduce: there is no text")
    before: Any = None
    while True:
        groups = list(_groups(level, room))
        if before is not None and len(groups) >= before:
            raise LMError(
                "llm_reduce: what is written of %s is not shorter than they are: ask for less"
                % counted(before, "group")
            )
        before = len(groups)
        words = "parts of a long text" if len(groups) > 1 else "texts"
        table = yield from mapped(Map(REDUCE % (words, question)), groups, None)
        if table.failed:
            raise LMError(
                "llm_reduce: %d of %s got no reply: %s"
                % (len(table.failed), counted(len(table), "group"), table.failed[0].why)
            )
        level = table.values
        if len(groups) == 1:
            return level[0]


def _texts(texts: Any) -> "list[str]":
    if isinstance(texts, MapTable):
        return [text_of(row.value) for row in texts.rows if row.value is not None]
    return [texts] if isinstance(texts, str) else [item.text for item in cut(texts).items]


def _groups(texts: "list[str]", room: int) -> Any:
    """Yield texts joined, as many as there is room for and two at least: longer ones are cut."""
    half = max((room - len(BETWEEN)) // 2, 1)
    pieces = [item.text for text in texts for item in cut(text, half).items]
    group: list = []
    size = 0
    for piece in pieces:
        if group and size + len(BETWEEN) + len(piece) > room:
            yield BETWEEN.join(group)
            group, size = [], 0
        group.append(piece)
        size += len(piece) + len(BETWEEN)
    yield BETWEEN.join(group)
