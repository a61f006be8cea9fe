"""The rules by which answers are right, each cut at its task's own length first.

A rule never looks beyond ``answer_chars`` characters, and an answer of many times that length is
none: whoever gives the context back has not answered.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..batch import Task, correct, equality, normalised
from .sets import Gold

DUMP = 8
"""So many times its task's length an answer has to be to count as none."""
LEAST_CHARS = 120
CLOSE = 0.01
"""The most by which a number that is no whole one may be off, as the last digit that is asked."""
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w])")
_PART = re.compile(r"[\n,;]|\band\b")
_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
Given: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Given, str], bool | float]


def answer_chars(gold: Gold) -> int:
    """Return the length at which an answer is cut, where its kind does not say one: some words
    beside the gold."""
    text = ", ".join(gold) if isinstance(gold, list) else str(gold)
    return LEAST_CHARS + 2 * len(text)


def score(task: Task, answer: str | None) -> bool | float | None:
    """Return whether an answer is right by the rule of its task, or how right from 0 to 1; None
    where no answer is expected. Blocks: a rule may read the context."""
    rule = task.fields.get("rule")
    if rule is None:
        return equality(task, answer)
    if answer is None:
        return False
    most = task.fields["answer_chars"]
    if len(answer.strip()) > DUMP * most:
        return False
    given = {**task.fields, "path": task.context_path}
    return RULES[rule](given, _plain(answer.strip()[:most]))


def _plain(text: str) -> str:
    return " ".join(
        unicodedata.normalize("NFC", text).replace("`", "").replace("**", "").split(" ")
    )


def _number(given: Given, answer: str) -> bool:
    """Look for one number. Those that the question names do not count."""
    gold = float(given["expected"])
    asked = {_value(found) for found in _NUMBER.findall(given["question"])}
    found = {_value(found) for found in _NUMBER.findall(answer)}
    told = found - asked or found
    if len(told) != 1:
        return False
    [value] = told
    whole = isinstance(given["expected"], int)
    return value == gold if whole else abs(value - gold) <= CLOSE + 1e-9


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _text(given: Given, answer: str) -> bool:
    """Look for the gold as a word, and for no other answer beside it."""
    accepted = given["expected"] if isinstance(given["expected"], list) else [given["expected"]]
    if any(correct(answer, gold) for gold in accepted):
        return True
    lower = answer.casefold()
    for gold in accepted:
        lower, count = re.subn(_word(gold), " ", lower)
        if count:
            return not any(re.search(_word(other), lower) for other in given.get("others", ()))
    return False


def _word(text: str) -> str:
    return rf"(?<!\w){re.escape(text.casefold())}(?!\w)"


def _items(answer: str) -> list[str]:
    """Return the items of an answer: a list as JSON or Python writes it, else what stands between
    commas, semicolons, line breaks and "and"."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(answer)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | tuple | set | frozenset):
            return [str(each) for each in found]
    parts = (_MARK.sub("", part) for part in _PART.split(answer))
    return [part for part in parts if part.strip()]


def _same(items: Sequence[str]) -> list[str]:
    return [str(normalised(item)) for item in items]


def _list(given: Given, answer: str) -> bool:
    """Compare all items, in any order. A sentence before the first one is passed over."""
    found, gold = set(_same(_items(answer))), set(_same(given["expected"]))
    if found == gold or set(_same(_items(answer.rpartition(":")[2]))) == gold:
        return True
    return _places(given, answer) is not None


def _order(given: Given, answer: str) -> bool:
    gold = _same(given["expected"])
    if gold in (_same(_items(answer)), _same(_items(answer.rpartition(":")[2]))):
        return True
    places = _places(given, answer)
    return places is not None and places == sorted(places)


def _places(given: Given, answer: str) -> list[int] | None:
    """Return where each gold stands in an answer that is a printed table; None where it is none,
    where a gold is missing, or where another thing is named that could have been meant."""
    lower, places = answer.casefold(), []
    if "," in answer or "\n" not in answer:
        return None
    for gold in given["expected"]:
        found = re.search(_word(gold), lower)
        if found is None:
            return None
        places.append(found.start())
    for gold in given["expected"]:
        lower = re.sub(_word(gold), " ", lower)
    others = given.get("others", ())
    return places if others and not any(re.search(_word(o), lower) for o in others) else None


def _parts(given: Given, answer: str) -> float:
    """Return the share of the golds that stand in the answer, as RULER does. A stretch of the
    context that holds several of them is no answer."""
    lower, golds = answer.casefold(), [gold.casefold() for gold in given["expected"]]
    if len(golds) > 1 and answer in given["path"].read_text(encoding="utf-8"):
        return 0.0
    return sum(gold in lower for gold in golds) / len(golds)


RULES: dict[str, Rule] = {
    "number": _number,
    "text": _text,
    "list": _list,
    "order": _order,
    "parts": _parts,
}
"""By the name that a task has in ``rule``; without one an answer is compared with ``expected``."""
