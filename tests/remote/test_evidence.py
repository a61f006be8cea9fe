"""A quote is supported where it stands in the input, and nowhere else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_kernel.remote.guest.answers.evidence import MOST, MOST_CHARS, checked
from rlm_kernel.remote.guest.globals import find

TEXT = "The mill at Kemi\nburnt in 1912.  It cost 1,500 marks, 2.5 a head.\nNobody was hurt."


def supported(evidence: Any, context: Any = TEXT) -> list[bool]:
    return [one["supported"] for one in checked(evidence, context)]


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("The mill at Kemi", True),
        ("The mill at Kemi burnt in 1912.", True),  # white space is like any other
        ("\n burnt in 1912.   It  ", True),
        ("the mill at kemi", False),
        ("burnt in 1913.", False),
        ("burn", False),  # a part of a word
        ("urnt in 1912", False),
        ("191", False),
        ("1,500 marks", True),
        ("500 marks", False),  # a part of a number
        ("cost 1", False),
        ("2.5", True),
        ("5 a head", False),
        ("2", False),
        ("hurt", True),
        (".", True),
        ("", False),
        (" \n", False),
        ("The mill … 1912", False),
        ("[a-z]+", False),
    ],
)
def test_a_quote_is_compared_word_by_word(quote: str, stands: bool) -> None:
    assert supported([quote]) == [stands]


def test_a_quote_has_its_first_place() -> None:
    [one, other] = checked(["in  1912", "Nobody"], TEXT)
    assert (one["start"], one["end"], one["line"], one["where"]) == (23, 30, 2, "")
    assert TEXT[other["start"] : other["end"]] == "Nobody"
    assert checked(["no"], TEXT) == [
        {"quote": "no", "supported": False, "where": "", "start": None, "end": None, "line": None}
    ]


def test_a_place_is_supported_where_there_is_one() -> None:
    [one] = checked([(4, 8)], TEXT)
    assert (one["quote"], one["supported"], one["line"]) == ("mill", True, 1)
    assert supported([(0, len(TEXT)), (4, 4), (8, 4), (-3, 2), (0, len(TEXT) + 1)]) == [
        True, False, False, False, False,
    ]  # fmt: skip
    assert supported([("", 4, 8), ("a.txt", 4, 8), [4, 8]]) == [True, False, True]
    parts = {"a": "xx", "b": {"c": "The mill"}}
    [one] = checked([("b.c", 4, 8)], parts)
    assert (one["quote"], one["where"]) == ("mill", "b.c")


def test_what_find_gives_is_evidence() -> None:
    assert supported(find(TEXT, ["mill", "1912"])) == [True, True]
    assert supported(find(TEXT, "mill")[:1]) == [True]
    assert supported([*find(TEXT, "mill"), "no mill"], {"text": TEXT}) == [False, False]


def test_a_quote_stands_in_one_part_of_a_list_or_a_frame() -> None:
    context = ["The mill", "at Kemi", {"n": 1912}]
    assert supported(["The mill at Kemi", "at Kemi", "1912"], context) == [False, True, True]
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"town": ["Kemi", "Oulu"], "n": [1, 2]})
    [one] = checked(["Oulu"], frame)
    assert (one["where"], one["supported"]) == ("[1].town", True)
    assert supported(["Kemi"], None) == [False]
    assert checked(None, TEXT) == checked([], TEXT) == []


@pytest.mark.parametrize(
    "evidence", ["a quote", {}, ("a",), 3, [1], [None], [(1, 2, 3)], [("a", 1)], [(True, 2)]]
)
def test_what_is_no_evidence_is_refused(evidence: Any) -> None:
    with pytest.raises(TypeError, match="evidence is a list of str"):
        checked(evidence, TEXT)


def test_evidence_has_bounds_that_are_said() -> None:
    with pytest.raises(ValueError, match="51 items; 50 are the most"):
        checked(["a"] * (MOST + 1), TEXT)
    for one in ("x" * (MOST_CHARS + 1), (0, MOST_CHARS + 1)):
        with pytest.raises(ValueError, match="2,001 characters"):
            checked([one], TEXT)


WORDS = [
    "the",
    "a",
    "mill",
    "ship",
    "town",
    "burnt",
    "sank",
    "grew",
    "was",
    "in",
    "at",
    "of",
    "1911",
    "1912",
    "12",
    "1,500",
    "Kemi",
    "Oulu",
]


def _sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(3, 9)))


def test_of_a_thousand_planted_false_quotes_none_is_supported() -> None:
    draw = random.Random(14)
    context = "\n".join(_sentence(draw) for _ in range(3000))
    words = context.split()
    whole = f" {' '.join(words)} "
    planted: list[str] = []
    while len(planted) < 1000:
        at = draw.randrange(len(words) - 12)
        quote = words[at : at + draw.randint(2, 12)]
        place = draw.randrange(len(quote))
        match draw.randrange(5):
            case 0:
                quote[place] = draw.choice(WORDS)
            case 1:
                del quote[place]
            case 2:
                quote.insert(place, draw.choice(["not", *WORDS]))
            case 3:
                quote[place] = quote[place][:-1] or "x"
            case _:
                draw.shuffle(quote)
        if f" {' '.join(quote)} " not in whole and quote:
            planted.append(draw.choice([" ", "\n", "  "]).join(quote))
    said = [supported(planted[at : at + MOST], context) for at in range(0, 1000, MOST)]
    assert sum(map(sum, said)) == 0
    real = [" ".join(words[at : at + 7]) for at in range(0, 5000, 100)]
    assert supported(real, context) == [True] * 50


@settings(deadline=None, max_examples=300)
@given(st.text("ab \n.1", max_size=40), st.text("ab \n.1", max_size=8))
def test_what_is_supported_stands_there(context: str, quote: str) -> None:
    [one] = checked([quote], context)
    standing = " ".join(quote.split()) in " ".join(context.split()) and quote.strip() != ""
    assert standing or not one["supported"]
    if one["supported"]:
        assert context[one["start"] : one["end"]].split() == quote.split()
