"""The blocks of code in an LM's reply, and where each of them stands.

A block is fenced, or stands between tags such as ``<code>``. What encloses it is read as it was
meant: in a list, with CRLF, with its end glued to the code or followed by an end token. Nothing
here raises for any text, and the work for one block is bounded.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

LANGUAGES = frozenset({"python", "py", "ipython", "repl", "jupyter", "tool_code"})
"""The tags of a fence of Python, a version left out; ``tool_code`` is Gemini's."""
MAX_ENDS = 8
"""Ends of one block that are tried, so that the work for it is bounded."""
MAX_TALKED = 8
"""Beginnings that turned out to be none before others are passed over unseen."""
MAX_TOKENS = 10
TOKEN = r"(?:<\|[\w-]{1,40}\|>|</?s>|<(?:eos|end_of_turn|end_code|turn\|)>|</code>)"
"""The tokens that models end a text with, which may come through as text."""
_TAGGED = rf"(?:{'|'.join(sorted(LANGUAGES, reverse=True))})[\d.]*"
_LIST = r"[ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+"
_OPENING = (
    rf"(?:(?P<lead>{_LIST})(?P<mark>`{{3,}}+|~{{3,}}+)[ \t{{.]*+(?P<tag>[\w+.-]*+)[^\n`]*+$"
    rf"|(?P<prose>[^\n`]++)(?P<glued>`{{3,}}+)(?P<python>{_TAGGED})[ \t\r]*$)"
)
_FENCE = re.compile(rf"^{_OPENING}", re.MULTILINE | re.IGNORECASE)
_FENCE_HERE = re.compile(_OPENING, re.MULTILINE | re.IGNORECASE)
_ELEMENT = re.compile(
    r"^(?P<lead>[ \t]*+)<(?P<tag>code|python|execute(?:_i?python)?|tool_code)>",
    re.MULTILINE | re.IGNORECASE,
)
_NO_MORE = re.compile(rf"[ \t]*+(?:{TOKEN}[ \t]*+)*+\r?(?=\n|\Z)", re.IGNORECASE)
_ONLY_TAG = re.compile(rf"(?:[ \t]*+{_TAGGED}|[\w+.-]++)[ \t\r]*+(?=\n|\Z)", re.IGNORECASE)
_LAST_TOKEN = re.compile(rf"{TOKEN}\Z", re.IGNORECASE)
_TOKEN_CHARS = 50


class Form(IntEnum):
    """The form of a block, the plainest sign of Python first."""

    TAGGED = 0
    ELEMENT = 1
    UNTAGGED = 2
    FOREIGN = 3


@dataclass(frozen=True)
class Block:
    """One block: its source without indentation, CRLF and end tokens that are not its own, and
    where it stands in the reply, with what encloses it."""

    source: str
    start: int
    end: int
    closed: bool
    form: Form

    @property
    def is_python(self) -> bool:
        return self.form is not Form.FOREIGN

    @property
    def parses(self) -> bool:
        return parses(self.source)


@dataclass(frozen=True)
class _End:
    """A place where a block may end: its source at ``at``, all of it at ``after``. One that is not
    ``sure`` may be in a comment."""

    at: int
    after: int
    sure: bool = True

    @property
    def opens(self) -> bool:
        """Return whether another block begins there, in this one or behind it."""
        return self.after == self.at


def parses(source: str) -> bool:
    return _fault(source) is None


def _fault(source: str) -> str | None:
    """Return what is wrong with the syntax of a source, if anything is."""
    found = parsed(source)
    return found if isinstance(found, str) else None


def parsed(source: str) -> ast.Module | str:
    """Return the syntax tree of a source, or what is wrong with it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)


def every(reply: str) -> Iterator[Block]:
    """Yield the blocks of a reply, of any language, in order."""
    position = 0
    while (block := fenced(reply, position)) is not None:
        yield block
        position = block.end


def without_code(reply: str) -> str:
    """Return what a reply says around its blocks, a paragraph for each part."""
    ends = [0, *(block.end for block in every(reply))]
    starts = [*(block.start for block in every(reply)), len(reply)]
    parts = (reply[end:start].strip() for end, start in zip(ends, starts, strict=True))
    return "\n\n".join(filter(None, parts))


def fenced(reply: str, position: int) -> Block | None:
    """Return the next block of any language that begins at ``position`` or after it."""
    at, talked = position, 0
    # What stands before the position, such as the mark of a thought, begins no line of its own.
    opening = _FENCE_HERE.match(reply, position) or _FENCE.search(reply, position)
    while opening is not None:
        if opening["prose"] is None:
            break
        # Behind words on its line a fence may only be talked about.
        block = _fenced(reply, opening)
        if block.closed and block.parses:
            break
        at, talked = opening.end(), talked + 1
        opening = None if talked > MAX_TALKED else _FENCE.search(reply, at)
    upto = len(reply) if opening is None else opening.start()
    element = _element(reply, position, upto)
    return element or (None if opening is None else _fenced(reply, opening))


def _fenced(reply: str, opening: re.Match[str]) -> Block:
    """The block that a fence begins.

    One of Python does not end inside of a string of its source; else a block ends at the first
    closing fence.
    """
    begin = opening.start() if opening["prose"] is None else opening.end("prose")
    mark = opening["mark"] or opening["glued"]
    form = _form(opening["python"] or opening["tag"] or "")
    width = len(opening["lead"] or "")
    start = min(opening.end() + 1, len(reply))
    first = unsure = None
    for end in islice(_ends(reply, start, mark), MAX_ENDS):
        if form is Form.FOREIGN and end.opens:
            continue
        block = _block(reply, begin, (start, end.at), end.after, form, width)
        if not end.sure:
            unsure = unsure or block
            continue
        first = first or block
        fault = None if form is Form.FOREIGN else _fault(block.source)
        if fault is None:
            return block
        if "unterminated triple-quoted" not in fault:
            break
    rest = start, len(reply)
    return first or unsure or _block(reply, begin, rest, None, form, width)


def _form(tag: str) -> Form:
    if not tag:
        return Form.UNTAGGED
    return Form.TAGGED if tag.lower().rstrip("0123456789.") in LANGUAGES else Form.FOREIGN


def _ends(reply: str, start: int, mark: str) -> Iterator[_End]:
    """Yield where a block that ``mark`` began may end, in order."""
    fences = re.compile(rf"(?P<indent>^[ \t]*)?{re.escape(mark[0])}{{{len(mark)},}}", re.MULTILINE)
    for fence in fences.finditer(reply, start):
        last = _NO_MORE.match(reply, fence.end())
        if fence["indent"] is None:
            if last is not None and mark[0] == "`":  # glued to the code, unless to a comment of it
                line = reply.rfind("\n", start, fence.start()) + 1 or start
                in_comment = reply.find("#", line, fence.start()) >= 0
                yield _End(fence.start(), last.end(), sure=not in_comment)
        elif last is not None:
            yield _End(fence.start(), last.end())
        elif _ONLY_TAG.match(reply, fence.end()):  # begins another one: this was never closed
            yield _End(fence.start(), fence.start())
        else:  # words behind it
            yield _End(fence.start(), fence.end())


def _element(reply: str, position: int, upto: int) -> Block | None:
    """Return the block of Python between tags that begins first between two places."""
    for opening in islice(_ELEMENT.finditer(reply, position, upto), MAX_TALKED):
        closing = f"</{opening['tag']}>"
        at = reply.find(closing, opening.end())
        if at < 0 and upto < len(reply):
            continue
        inside = opening.end(), len(reply) if at < 0 else at
        after = None if at < 0 else at + len(closing)
        width = len(opening["lead"])
        block = _block(reply, opening.start(), inside, after, Form.ELEMENT, width)
        alone = after is None or _NO_MORE.match(reply, after)
        if alone and block.source.lstrip()[:1] not in ("`", "~", "<") and block.parses:
            return block
    return None


def _block(
    reply: str, start: int, inside: tuple[int, int], after: int | None, form: Form, width: int
) -> Block:
    """Return the block whose source is ``inside``; it is not closed where nothing comes ``after``.
    Up to ``width`` blanks at the beginning of a line are what it is indented by."""
    source = untokened(reply[inside[0] : inside[1]].replace("\r\n", "\n")).strip("\n")
    if width:
        source = re.sub(rf"^[ \t]{{1,{width}}}+", "", source, flags=re.MULTILINE)
    return Block(
        source=textwrap.dedent(source) if source[:1].isspace() else source,
        start=start,
        end=len(reply) if after is None else after,
        closed=after is not None,
        form=form,
    )


def untokened(text: str) -> str:
    """Return a text without the tokens that a model has ended it with."""
    end = len(text)
    for _ in range(MAX_TOKENS):
        end = len(text[:end].rstrip())
        found = _LAST_TOKEN.search(text, max(0, end - _TOKEN_CHARS), end)
        if found is None:
            return text if end == len(text.rstrip()) else text[:end]
        end = found.start()
    return text[:end]
