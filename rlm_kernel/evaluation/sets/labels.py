"""Kinds that need a label for each item: counts and comparisons over messages, in the style of
OOLONG (arXiv 2511.02817).

No message says its label: it must be judged by what the message is about.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from random import Random

from .kind import Kind, Made, text
from .words import CITIES, FIRST, MONTHS, moment, others

ABOUT = {
    "cooking": (
        "How long does a {thing} need in the oven?", "The dough for the {thing} would not rise.",
        "I put too much pepper on the {thing} again.", "Which pan do you fry your {thing} in?",
    ),
    "sport": (
        "We lost to {place} in extra time.", "Her new best over ten kilometres is from {place}.",
        "The referee in {place} took two goals back.", "My knee hurts since the match in {place}.",
    ),
    "travel": (
        "Is there a night train to {place}?", "Our suitcase never arrived in {place}.",
        "The hotel in {place} had lost our booking.", "Do I need a visa for {place}?",
    ),
    "money": (
        "My bank in {place} wants a fee for the transfer.", "Should I pay the loan back early?",
        "The rent in {place} went up by a tenth.", "I sold my shares when they fell by {number}.",
    ),
    "health": (
        "The fever came back after {number} days.", "My dentist in {place} found a crack.",
        "She takes these pills {number} times a day.", "The cough keeps me awake at night.",
    ),
    "computers": (
        "The laptop restarts {number} times a day.", "I forgot the password of my router.",
        "After the update no window opens any more.", "The disk is full though I deleted {number} "
        "files.",
    ),
}  # fmt: skip
LABELS = tuple(sorted(ABOUT))
THINGS = ("soup", "roast", "cake", "loaf", "fish", "pie")
USERS = tuple(name.lower() for name in FIRST)


@dataclass(frozen=True)
class Item:
    """A message, with the label that it does not say."""

    user: str
    when: datetime
    label: str
    said: str

    def line(self) -> str:
        """Return it as the context has it."""
        return f"{self.when:%Y-%m-%d} | {self.user} | {self.said}"


def _items(chance: Random, chars: int) -> list[Item]:
    """Return messages whose labels are not evenly spread: no two are equally many."""
    count = max(chars // 60, 42)
    weights = dict(zip(LABELS, chance.sample((2, 3, 4, 6, 8, 11), 6), strict=True))
    items = [_item(chance, chance.choices(LABELS, list(weights.values()))[0]) for _ in range(count)]
    counted = Counter(item.label for item in items)
    least = min(counted[label] for label in LABELS)
    goal = least
    for label in sorted(LABELS, key=lambda name: (counted[name], name)):
        goal = max(goal, counted[label])
        items += [_item(chance, label) for _ in range(goal - counted[label])]
        goal += 1
    chance.shuffle(items)
    return items


def _item(chance: Random, label: str) -> Item:
    said = chance.choice(ABOUT[label]).format(
        thing=chance.choice(THINGS), place=chance.choice(CITIES), number=chance.randint(2, 9)
    )
    return Item(chance.choice(USERS), moment(chance), label, said)


def _context(items: list[Item]) -> str:
    return text([item.line() for item in items])


def _count(chance: Random, chars: int) -> Made:
    items, label = _items(chance, chars), chance.choice(LABELS)
    gold = sum(item.label == label for item in items)
    return Made(context=_context(items), gold=gold, words={"label": label})


def _extreme(chance: Random, chars: int, place: int) -> Made:
    items = _items(chance, chars)
    counted = Counter(item.label for item in items)
    gold = sorted(LABELS, key=lambda label: counted[label])[place]
    return Made(context=_context(items), gold=gold, others=others(LABELS, gold))


def _most(chance: Random, chars: int) -> Made:
    return _extreme(chance, chars, -1)


def _least(chance: Random, chars: int) -> Made:
    return _extreme(chance, chars, 0)


def _more(chance: Random, chars: int) -> Made:
    items = _items(chance, chars)
    one, two = chance.sample(LABELS, 2)
    counted = Counter(item.label for item in items)
    gold, other = (one, two) if counted[one] > counted[two] else (two, one)
    words = {"one": one, "two": two}
    return Made(context=_context(items), gold=gold, words=words, others=(other,))


def _of_user(chance: Random, chars: int) -> Made:
    items = _items(chance, chars)
    asked = chance.choice(items)
    gold = sum((item.user, item.label) == (asked.user, asked.label) for item in items)
    words = {"label": asked.label, "user": asked.user}
    return Made(context=_context(items), gold=gold, words=words)


def _in_month(chance: Random, chars: int) -> Made:
    items = _items(chance, chars)
    asked = chance.choice(items)
    month, label = asked.when.month, asked.label
    gold = sum((item.when.month, item.label) == (month, label) for item in items)
    words = {"label": label, "month": MONTHS[month - 1]}
    return Made(context=_context(items), gold=gold, words=words)


def _pairs(chance: Random, chars: int) -> Made:
    """Make few users who match, so that the pairs can be counted by hand."""
    items = _items(chance, chars)
    counted = Counter(item.label for item in items)
    # Of a rare one: the messages of other users about it are left out.
    label = chance.choice(sorted(LABELS, key=lambda name: counted[name])[:3])
    chosen = chance.sample(USERS, chance.randint(3, 7))
    kept = [item for item in items if item.label != label or item.user in chosen]
    kept += [Item(user, moment(chance), label, _item(chance, label).said) for user in chosen]
    gold = len(chosen) * (len(chosen) - 1) // 2
    return Made(context=_context(kept), gold=gold, words={"label": label})


TASK = f"Each line is a message about one of {', '.join(LABELS)}. "


def _kind(name: str, make: object, rule: str, *asked: str, held_out: bool = False) -> Kind:
    wordings = tuple(TASK + each for each in asked)
    assert callable(make)
    return Kind(name=name, make=make, rule=rule, wordings=wordings, held_out=held_out)


KINDS = (
    _kind("count", _count, "number",
          "How many messages are about {label}?",
          "Judge every line, and count those about {label}.",
          "What is the number of lines whose subject is {label}?"),
    _kind("most", _most, "text",
          "Which subject is the most common?",
          "About what do people write most often? Name one of the six.",
          "Name the subject that the largest number of lines has."),
    _kind("least", _least, "text",
          "Which subject is the rarest?",
          "About which of the six are there the fewest messages?",
          "Name the least common subject.", held_out=True),
    _kind("more", _more, "text",
          "Are more messages about {one} or about {two}?",
          "Compare {one} with {two}: which is the subject of more lines?",
          "Which of the two occurs more often, {two} or {one}?"),
    _kind("of-user", _of_user, "number",
          "How many messages of {user} are about {label}?",
          "Count what {user} wrote about {label}.",
          "Of the lines by {user}, how many have the subject {label}?"),
    _kind("in-month", _in_month, "number",
          "How many messages of {month} are about {label}?",
          "Count the lines dated in {month} whose subject is {label}.",
          "How often was {label} the subject in {month}?", held_out=True),
    _kind("pairs", _pairs, "number",
          "How many pairs of different users are there in which both wrote about {label} at least "
          "once?",
          "Take all users with at least one message about {label}: how many unordered pairs can "
          "be made of them?",
          "Count the unordered pairs of users who both have a line about {label}.", held_out=True),
)  # fmt: skip
