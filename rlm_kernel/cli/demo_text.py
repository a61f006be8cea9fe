"""The demonstration: a text, a question about it, and the right answer, from a seed.

The text is a shop's reviews. The question needs both ways of working: code to find the reviews of
one product among thousands, and a sub-LM to judge each of them, since no word marks the good ones.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

PRODUCTS = (
    "Alder lamp", "Birch kettle", "Cedar radio", "Dahlia toaster", "Elm speaker", "Fern blender",
    "Garnet clock", "Hazel heater", "Iris grill", "Juniper fan", "Koa mixer", "Linden printer",
)  # fmt: skip
CITIES = ("Oslo", "Porto", "Ghent", "Turku", "Graz", "Brno", "Malmö", "Cork", "Delft", "Lucca")
GOOD = (
    "It works perfectly and I am very happy with it.",
    "Excellent quality, I would buy it again at once.",
    "I love it, the best purchase I made this year.",
    "Fantastic, it does everything I hoped for.",
    "Wonderful product, my whole family enjoys it.",
    "Really great, I recommend it to all my friends.",
    "Superb, quick and quiet, five stars from me.",
    "I am delighted, it made my mornings much better.",
)
BAD = (
    "It broke on the first day and I am very angry.",
    "Terrible quality, a complete waste of money.",
    "I hate it, the worst purchase I made this year.",
    "Awful, it never worked and nobody helped me.",
    "Very disappointing, I sent it back at once.",
    "Really bad, I warn everybody not to buy it.",
    "Useless, loud and slow, one star is too much.",
    "I regret buying it, it ruined my mornings.",
)
DETAILS = (
    "The box arrived on a {day}.", "I ordered it for my {who}.", "It stands in the {room} now.",
    "I bought it in {city}.", "We use it on {day}s.", "My {who} chose the colour.",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROOMS = ("kitchen", "office", "garden shed", "living room", "hall")
PEOPLE = ("sister", "neighbour", "father", "grandmother", "colleague", "son")
ASKED = 24
OTHERS = 1900


@dataclass(frozen=True)
class Demo:
    """``context`` is longer than 200,000 characters; ``answer`` is what a right run says."""

    context: str
    question: str
    answer: str


def make(seed: int) -> Demo:
    """Return the demonstration of a seed; each has another text and often another answer."""
    chance = random.Random(seed)
    product = chance.choice(PRODUCTS)
    good = chance.randint(7, ASKED - 7)
    verdicts = [(product, chance.choice(GOOD)) for _ in range(good)]
    verdicts += [(product, chance.choice(BAD)) for _ in range(ASKED - good)]
    others = [name for name in PRODUCTS if name != product]
    verdicts += [(chance.choice(others), chance.choice(GOOD + BAD)) for _ in range(OTHERS)]
    chance.shuffle(verdicts)
    lines = [_review(number, name, text, chance) for number, (name, text) in enumerate(verdicts, 1)]
    question = f"How many reviews of the {product} are positive?"
    return Demo("\n".join(lines), question, str(good))


def _review(number: int, product: str, verdict: str, chance: random.Random) -> str:
    detail = chance.choice(DETAILS).format(
        day=chance.choice(DAYS),
        who=chance.choice(PEOPLE),
        room=chance.choice(ROOMS),
        city=chance.choice(CITIES),
    )
    text = f"{detail} {verdict}" if chance.random() < 0.5 else f"{verdict} {detail}"
    return f"Review {number:04}, {chance.choice(CITIES)}, {product}: {text}"
