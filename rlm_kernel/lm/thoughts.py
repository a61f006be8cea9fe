"""The thoughts in a reply, told from what is said: models that reason may send both as one text.

A thought begins with an opening mark (``<think>`` and its kin, with attributes or in capitals;
``[THINK]``; Gemma's ``<|channel>thought``; a header of harmony's analysis or commentary channel)
that begins the reply, begins a line outside of any fenced block, or follows another thought. It
ends with its closing mark, or with the reply. A closing mark that nothing opened ends a thought
too, of all the text before it: the opening mark then stood in the model's template.

A mark that is only talked about is none: in a fenced block, in backticks, in quotes, or an opening
one in the midst of a line. Not promised: a thought whose opening mark is in the template is known
as one only when its closing mark has come.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from . import fences

_KIN = r"(?:think|thinking|thoughts?|reasoning)"
_HEADER = r"(?:<\|end\|>\s*)?(?:<\|start\|>[^<\n]*)?<\|channel\|>\s*{}\b[^<\n]*"
_HEADER += r"(?:<\|constrain\|>[^<\n]*)?<\|message\|>"
_FINAL = re.compile(_HEADER.format("final"))
"""Begins what is said, and is no part of it."""
_FORMS = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (
        (rf"<(?:[\w-]+:)?{_KIN}(?:\s[^<>]*|/)?>", rf"</(?:[\w-]+:)?{_KIN}\s*>"),
        (r"(?-i:\[THINK(?:ING)?\])", r"(?-i:\[/THINK(?:ING)?\])"),
        (r"◁think▷", r"◁/think▷"),
        (r"<\|channel>\s*thought\b", r"<channel\|>"),
        (
            r"<\|(?:start_thinking|begin_of_thought|inner_prefix)\|>",
            r"<\|(?:end_thinking|end_of_thought|inner_suffix)\|>",
        ),
        (
            _HEADER.format("(?:analysis|commentary)"),
            r"<\|(?:end|call|return)\|>|(?=<\|start\|>)|(?=<\|channel\|>)",
        ),
        # The same where the endpoint has taken the marks out of it.
        (r"(?<![\s\S])(?:assistant)?analysis(?=\S)(?=[\s\S]*assistantfinal)", r"assistantfinal"),
    )
)
_OPENING = re.compile("|".join(opening.pattern for opening, _ in _FORMS), re.IGNORECASE)
_ORPHAN = re.compile("|".join(closing.pattern for _, closing in _FORMS[:5]), re.IGNORECASE)
_QUOTES = ("''", '""', "“”", "()")
_BLANK = re.compile(r"[\s\ufeff\u200b]*")
_GAP = re.compile(r"\s*\n|[ \t]*")
_LAST_MARK = re.compile(r"(?:<\|(?:return|end)\|>\s*)+\Z")
_BEGIN = re.compile(r"^[ \t]*(?=[<\[◁])|(?=<\|(?:end|start|channel)\|>)", re.MULTILINE)
_LINE_CHARS = 400  # of a line, looked at for quotes and backticks around a mark
MAX_THOUGHTS = 100
"""In one reply: what comes after so many is taken for thought too, so that the work is bounded."""


@dataclass(frozen=True)
class Said:
    """A reply in its two parts; ``thoughts`` with the marks around them."""

    text: str
    thoughts: str


def split(reply: str) -> Said:
    """Return what a reply says and what it only thinks. One without thoughts is said as it is."""
    found = _spans(reply)
    if not found:
        return Said(reply, "")
    thoughts = "\n\n".join(reply[start:end].strip() for start, end in found)
    return Said("".join(reply[start:end] for start, end in _between(reply, found)), thoughts)


def masked(reply: str) -> str:
    """Return the reply with a line feed for each character of its thoughts, so that what is found
    in it stands at the same place in the reply."""
    parts, position = [], 0
    for start, end in _spans(reply):
        parts += [reply[position:start], "\n" * (end - start)]
        position = end
    return "".join([*parts, reply[position:]])


def _spans(reply: str) -> list[tuple[int, int]]:
    """Return where thoughts, and marks that belong to none, stand in a reply, in order."""
    if not (_OPENING.search(reply) or _ORPHAN.search(reply) or _FINAL.search(reply)):
        return []
    opened = list(_opened(reply))
    spans = []
    for start, end in _between(reply, opened):
        if (upto := _orphaned(reply, start, end)) > start:
            spans.append((start, _after(reply, upto)))
    if opened and _FINAL.search(reply) and (last := _LAST_MARK.search(reply)):
        spans.append(last.span())
    return _merged(sorted(spans + opened))


def _opened(reply: str) -> Iterator[tuple[int, int]]:
    """The thoughts that have an opening mark, and headers of what is said."""
    position = 0
    for n in itertools.count(1):
        opening = _next(reply, position)
        if opening is None:
            return
        end = opening.end()
        if n >= MAX_THOUGHTS:
            end = len(reply)
        elif opening.re is not _FINAL and not opening.group().endswith("/>"):
            end = _closed(reply, opening)
        position = _after(reply, end)
        yield opening.start(), position


def _next(reply: str, position: int) -> re.Match[str] | None:
    """The next opening mark that counts, from a place that is the reply's begin or its like."""
    blank = _BLANK.match(reply, position)
    if blank and (found := _mark(reply, blank.end())):
        return found
    for start, end in _outside(reply, position):
        for begin in _BEGIN.finditer(reply, start, end):
            if (found := _mark(reply, begin.end())) and not _quoted(reply, found):
                return found
    return None


def _mark(reply: str, position: int) -> re.Match[str] | None:
    return _OPENING.match(reply, position) or _FINAL.match(reply, position)


def _closed(reply: str, opening: re.Match[str]) -> int:
    """Return the end of the thought that ``opening`` begins. Marks in code of its own are none."""
    closing = next(c for o, c in _FORMS if o.match(reply, opening.start()))
    if closing.search(reply, opening.end()) is None:
        return len(reply)
    for start, end in _outside(reply, opening.end(), code_only=True):
        for found in closing.finditer(reply, start, end):
            if not _quoted(reply, found):
                return found.end()
    return len(reply)


def _orphaned(reply: str, start: int, end: int) -> int:
    """The end of the last closing mark between two places that ends a thought nothing opened."""
    begin, talked = start, _OPENING.search(reply, start, end)
    for part in _outside(reply, start, code_only=True):
        for found in _ORPHAN.finditer(reply, part[0], min(part[1], end)):
            if talked and talked.start() < begin:
                talked = _OPENING.search(reply, begin, end)
            of_pair = talked is not None and talked.start() < found.start()
            if _is_alone(reply, found) or not (of_pair or _ends_sentence(reply, found)):
                begin = found.end()
        if part[1] >= end:
            break
    return begin


def _outside(reply: str, position: int, *, code_only: bool = False) -> Iterator[tuple[int, int]]:
    """The parts of a reply that are in no fenced block. With ``code_only`` a block counts only if
    it is surely one: Python that parses, or another language and no fence is opened in it; and the
    line that opens it counts as outside, since it may close one that began with the thought."""
    begin = position
    while (block := fences.fenced(reply, position)) is not None:
        upto = block.start
        if code_only:
            upto = reply.find("\n", upto, block.end) if _is_sure(block) else block.end
        yield begin, block.end if upto < 0 else upto
        begin = position = block.end
    yield begin, len(reply)


def _is_sure(block: fences.Block) -> bool:
    if block.is_python:
        return block.parses
    return block.closed and fences.fenced(block.source, 0) is None


def _around(reply: str, mark: re.Match[str]) -> tuple[str, str]:
    """Return what stands on its line before a mark, and behind it."""
    before = reply[max(0, mark.start() - _LINE_CHARS) : mark.start()].rpartition("\n")[2]
    after = reply[mark.end() : mark.end() + _LINE_CHARS].partition("\n")[0]
    return before, after


def _quoted(reply: str, mark: re.Match[str]) -> bool:
    """Return whether a mark stands in backticks, quotes or brackets, and so is only talked
    about."""
    before, after = _around(reply, mark)
    ticks = before.replace("```", "").count("`"), after.replace("```", "").count("`")
    in_code = ticks[0] % 2 == 1 and ticks[1] > 0
    return in_code or before[-1:] + after[:1] in _QUOTES


def _ends_sentence(reply: str, mark: re.Match[str]) -> bool:
    """Return whether a mark is talked about as the last word of a sentence, or quoted."""
    before, after = _around(reply, mark)
    return _quoted(reply, mark) or (before[-1:].isspace() and after[:1] in tuple(".,;:!?)"))


def _is_alone(reply: str, mark: re.Match[str]) -> bool:
    """Return whether a mark has a line to itself."""
    return not any(map(str.strip, _around(reply, mark)))


def _after(reply: str, end: int) -> int:
    """Past the white space behind a thought, but not past the indentation of what follows."""
    gap = _GAP.match(reply, end)
    return gap.end() if gap else end


def _between(reply: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    position = 0
    for start, end in spans:
        yield position, start
        position = end
    yield position, len(reply)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
