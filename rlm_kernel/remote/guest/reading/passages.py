"""The passages of a text that a question may be answered from, found by its words alone.

A passage is a line, or a part of a long one. The rarer a word of the question is in the text, the
more it counts; of short texts, as mails are, those count more that have more of the words. Names
and numbers that stand in the first passages and are rare are followed, so that what is said of them
elsewhere is found too. Nothing here asks an LM, and the same texts and question always give the
same passages.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .sql_tables import WORD, spans

MOST = 8
_HOPS = 4
_MOST_PLACES = 2000
"""A word that stands in more places tells nothing apart."""
_NEAR_BEST, _NEAR = 0.7, 0.5
"""So near to the best are those whose names are followed, and those that fill the room."""
_TEXT_SHARE = 0.8
"""So much a word weighs that stands elsewhere in the short text of a passage."""
_SHORT_CHARS = 4000
_FOLLOWED_PLACES = 12
_FOLLOWED_WORDS = 20
_COMMON = """
a about above after all also an and any are as at be because been before below between both but
by can could did do does each every few find following for from give had has have he her here
him his how i if in into is it its like list many me mentioned more most much must my name no
not now of on one only or other our out over provide provided please said same say says she should
so some still such tell text than that the their them then there these they this those through to
under up us very was we were what when where which who whom whose why will with would you your
answer question context document
"""


class Passage(NamedTuple):
    """A passage in the text that ``where`` names, in this ``line``, counted from 1."""

    where: str
    line: int
    text: str


class _Place(NamedTuple):
    name: str
    start: int
    end: int


class _Searched:
    """Texts that are searched for words."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts
        self._small = {name: _small(text) for name, text in texts.items()}
        self._size = sum(map(len, texts.values())) / 6 + 1  # in words, about
        self.weights: dict[str, float] = {}

    def places(self, word: str) -> list[_Place]:
        """Return the passages in which a word stands, and note its weight; nothing where it stands
        in too many."""
        pattern = re.compile(r"(?<![^\W_])%s(?:s|'s|’s)?(?![^\W_])" % re.escape(word))
        found: dict[_Place, None] = {}
        count = 0
        for name, text in self._small.items():
            for hit in pattern.finditer(text):
                count += 1
                if count > _MOST_PLACES:
                    return []
                found[self._passage(name, hit.start())] = None
        if count:
            self.weights[word] = math.log(1 + self._size / count)
        return list(found)

    def _passage(self, name: str, at: int) -> _Place:
        text = self.texts[name]
        begin = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        line = text[begin : len(text) if end < 0 else end]
        start, stop = next((s, e) for s, e in spans(line) if e > at - begin)
        return _Place(name, begin + start, begin + stop)

    def text(self, place: _Place) -> str:
        return self.texts[place.name][place.start : place.end].strip()


def passages(texts: Mapping[str, str], question: str) -> tuple[list[Passage], list[str]]:
    """Return at most ``MOST`` passages in the order of the texts, and the words of the question
    that stand nowhere."""
    searched = _Searched(texts)
    asked = _words(question)
    found, missing = _found(searched, asked)
    chosen = _best(found, MOST)
    known = {word for word in asked}
    for _ in range(_HOPS):
        if not chosen or len(chosen) >= MOST:
            break
        named = [w for place in chosen for w in _names(searched.text(place)) if w not in known]
        known.update(named)
        more, _ = _found(searched, named[:_FOLLOWED_WORDS], _FOLLOWED_PLACES)
        more = {place: weight for place, weight in more.items() if place not in chosen}
        if not more:
            break
        chosen += _best(more, MOST - len(chosen), near=0.0)
    rest = [place for place in _best(found, MOST, near=_NEAR) if place not in chosen]
    return _told(searched, (chosen + rest)[:MOST]), missing


def _found(
    searched: _Searched, words: Iterable[str], most: int = _MOST_PLACES
) -> tuple[dict[_Place, float], list[str]]:
    """Return the passages with words in them, each with what it weighs, and the words without."""
    weights: dict[_Place, float] = {}
    missing = []
    of_text: dict[str, float] = {}
    for word in words:
        places = searched.places(word)
        if word not in searched.weights and not places:
            missing.append(word)
        places = places if len(places) <= most else []
        for place in places:
            weights[place] = weights.get(place, 0.0) + searched.weights[word]
        for name in {place.name for place in places}:
            of_text[name] = of_text.get(name, 0.0) + searched.weights[word]
    if len(searched.texts) > 1:
        for place, weight in weights.items():
            if len(searched.texts[place.name]) <= _SHORT_CHARS:
                weights[place] += _TEXT_SHARE * (of_text[place.name] - weight)
    return weights, missing


def _best(weights: Mapping[_Place, float], most: int, near: float = _NEAR_BEST) -> list[_Place]:
    """Return those that weigh most, none of which weighs much less than the first."""
    ordered = sorted(weights, key=lambda place: -weights[place])[:most]
    return [place for place in ordered if weights[place] >= near * weights[ordered[0]]]


def _told(searched: _Searched, chosen: list[_Place]) -> list[Passage]:
    order = {name: at for at, name in enumerate(searched.texts)}
    feeds: dict[str, list[int]] = {}
    told = []
    for place in sorted(chosen, key=lambda place: (order[place.name], place.start)):
        if place.name not in feeds:
            text = searched.texts[place.name]
            feeds[place.name] = [found.start() for found in re.finditer("\n", text)]
        line = bisect_right(feeds[place.name], place.start) + 1
        told.append(Passage(place.name, line, searched.text(place)))
    return told


def _words(question: str) -> list[str]:
    """Return the words of a question that may tell passages apart, in small letters."""
    found = dict.fromkeys(stem(word) for word in WORD.findall(question))
    return [word for word in found if not common(word)]


def _names(text: str) -> list[str]:
    """Return what may be followed: words with a capital letter inside of a sentence or a digit."""
    made = []
    for found in WORD.finditer(text):
        word = found.group()
        inside = found.start() > 0 and word[0].isupper()
        if (inside or any(map(str.isdigit, word))) and not common(stem(word)):
            made.append(stem(word))
    return list(dict.fromkeys(made))


def common(word: str) -> bool:
    """Return whether a word, in small letters, is too common to tell anything apart."""
    return word in _STEMS or word in _COMMON_WORDS


def stem(word: str) -> str:
    """Return a word in small letters, without an s at its end."""
    small = _small(word)
    for end in ("'s", "’s"):
        small = small[: -len(end)] if small.endswith(end) else small
    return (
        small[:-1] if len(small) > 3 and small.endswith("s") and not small.endswith("ss") else small
    )


def _small(text: str) -> str:
    """Return the text in small letters, of the same length: of all letters only İ has two there."""
    return text.replace("İ", "i").lower()


_COMMON_WORDS = frozenset(_COMMON.split())
_STEMS = frozenset(map(stem, _COMMON_WORDS))
