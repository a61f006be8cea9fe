"""Kinds in which a little must be found in much: a key, a change, something that is not there."""

from __future__ import annotations

from random import Random

from .kind import Kind, Made, filled, text
from .words import CITIES, FILLER, PRODUCTS, people

NOT_THERE = "none"


def _prose(chance: Random, chars: int) -> list[str]:
    return filled(chars, lambda number: chance.choice(FILLER))


def _hide(lines: list[str], chance: Random, told: list[str]) -> None:
    """Put sentences at random places, in their order."""
    places = sorted(chance.randrange(len(lines) + 1) for _ in told)
    for shift, (place, sentence) in enumerate(zip(places, told, strict=True)):
        lines.insert(place + shift, sentence)


def _code(chance: Random) -> str:
    return f"k{chance.randrange(16**7):07x}"  # digits and an e alone would be read as a number


def _value(chance: Random, chars: int) -> Made:
    lines = _prose(chance, chars)
    names = people(chance, 8)
    codes = {name: _code(chance) for name in names}
    _hide(lines, chance, [f"The locker of {name} opens with {code}."
                          for name, code in codes.items()])  # fmt: skip
    rest = tuple(codes[name] for name in names[1:])
    words = {"name": names[0]}
    return Made(context=text(lines), gold=codes[names[0]], words=words, others=rest)


def _changed(chance: Random, chars: int) -> Made:
    lines = _prose(chance, chars)
    product = chance.choice(PRODUCTS)
    cities = chance.sample(CITIES, 4)
    _hide(lines, chance, [f"From now on the spare {product} is kept in {city}." for city in cities])
    words = {"product": product}
    return Made(context=text(lines), gold=cities[-1], words=words, others=tuple(cities[:-1]))


def _several(chance: Random, chars: int) -> Made:
    lines = _prose(chance, chars)
    asked, *names = people(chance, 5)
    cities = chance.sample(CITIES, 8)
    gold = cities[:4]
    told = [f"{asked} once lived in {city}." for city in gold]
    told += [f"{name} once lived in {city}." for name, city in zip(names, cities[4:], strict=True)]
    chance.shuffle(told)
    _hide(lines, chance, told)
    words = {"name": asked}
    return Made(context=text(lines), gold=sorted(gold), words=words, others=tuple(cities[4:]))


def _absent(chance: Random, chars: int) -> Made:
    lines = _prose(chance, chars)
    names = people(chance, 8)
    codes = [_code(chance) for _ in names[1:]]
    pairs = zip(names[1:], codes, strict=True)
    _hide(lines, chance, [f"The locker of {name} opens with {code}." for name, code in pairs])
    words = {"name": names[0]}
    return Made(context=text(lines), gold=NOT_THERE, words=words, others=tuple(codes))


KINDS = (
    Kind(
        name="value", make=_value, rule="text",
        wordings=(
            "What does the locker of {name} open with?",
            "Find the code of {name}'s locker.",
            "Which code belongs to the locker of {name}?",
        ),
    ),
    Kind(
        name="changed", make=_changed, rule="text", held_out=True,
        wordings=(
            "Where is the spare {product} kept now? The last word on it counts.",
            "The place of the spare {product} was changed several times: what is the latest?",
            "In which city is the spare {product} kept at the end?",
        ),
    ),
    Kind(
        name="several", make=_several, rule="list",
        wordings=(
            "In which cities did {name} once live? Name all.",
            "List every city where {name} is said to have lived.",
            "Give all former homes of {name}.",
        ),
    ),
    Kind(
        name="absent", make=_absent, rule="text", held_out=True,
        wordings=(
            "What does the locker of {name} open with? Answer none if it is not said.",
            "Find the code of {name}'s locker; if there is none, answer none.",
            "Which code belongs to the locker of {name}? If the text has no such code: none.",
        ),
    ),
)  # fmt: skip
