"""What a user's script hands in as tools, right and wrong."""

import asyncio
import collections
import functools
import logging
import os
import re
import sys
import xml.etree.ElementTree
from collections import Counter as Tally
from dataclasses import dataclass, field
from pathlib import Path

import tool_samples_2
from tool_samples_2 import doubled
from tool_samples_2 import words as parts

from rlm_kernel import LMError, on_host

WORD = re.compile(r"\w+", re.IGNORECASE)
STOP = {"the", "a"}
WEIGHTS = {"tea": [1.5, None], "shop": (True, b"\0")}
FAR = float("inf")
TABLE = ["x" * 100] * 3_000
LOG = logging.getLogger("tool_samples")
seen = []


def words(text: str) -> list[str]:
    return [word for word in WORD.findall(text.lower()) if word not in STOP]


def count(text: str, most: int = len(STOP)) -> Tally:
    """The most frequent words."""
    if not text:
        raise ValueError("there is no text")
    return Tally(dict(Tally(words(text)).most_common(most)))


def split(text):
    return parts(doubled(text)), WEIGHTS, FAR


def remember(thing):
    seen.append(thing)
    return len(seen)


def place():
    return os.getpid(), "rlm_guest" in sys.modules


def tag(text):
    return xml.etree.ElementTree.fromstring(text).tag


@dataclass
class Point:
    """A place on a line."""

    x: int = 0
    more: list = field(default_factory=list)

    def moved(self, by: int) -> "Point":
        return Point(self.x + by, [*self.more, self])


def moved(point: Point) -> Point:
    return point.moved(1)


@functools.cache
def factorial(n: int) -> int:
    return 1 if n < 2 else n * factorial(n - 1)


async def later(text: str) -> str:
    """Takes a while."""
    await asyncio.sleep(0)
    return text.upper()


def mood(text: str) -> str:
    """Asks the sub-LM."""
    try:
        return llm_query(f"mood of {text}?")  # noqa: F821 - the kernel has it
    except LMError as error:
        return f"none: {error}"


def stock(item: str) -> int:
    """How many there are in the shop."""
    return len(item)


def stocks(items: list[str]) -> list[int]:
    return [stock(item) for item in items]


def rows():
    return len(TABLE)


def needy(text: str) -> str:
    import no_such_package

    return no_such_package.clean(text)


def content_to_do_without() -> str:
    try:
        import no_such_package
    except ImportError:
        return "without"
    return no_such_package.__name__


def only_on_host(function):
    if "rlm_guest" in sys.modules:
        raise ValueError("not here")
    return function


@only_on_host
def fragile() -> None:
    pass


# wrong ones
def logs(text):
    LOG.info(text)


def logs_too(text):
    return logs(text)


def looks_at_context():
    return len(context)  # noqa: F821


def names_nothing():
    return nothing  # noqa: F821


def reads_beside_itself():
    return Path(__file__).read_text()


def uses_a_module():
    return tool_samples_2.doubled("x")


def imports_a_module():
    from tool_samples_2 import doubled

    return doubled("x")


def around(k):
    def inside(x):
        return x + k

    return inside


def marked_only():
    return marked()


@on_host
def marked():
    return 1


class Store:
    def get(self, key):
        return key

    @staticmethod
    def put(key):
        return key


wrapped = functools.lru_cache(words)
partial = functools.partial(words, "")
typed: dict = {}
exec("def typed_in(): pass", typed)
LAMBDAS = [lambda x: x + 1, lambda x: x + 2 + len(collections.deque(STOP))]
