"""Words are found with the text around them, wherever they stand; those that stand nowhere are
named."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_kernel.inputs.contexts import folders
from rlm_kernel.remote.guest.answers.answer import written
from rlm_kernel.remote.guest.globals import find
from rlm_kernel.remote.guest.reading.places import MOST_WORDS
from rlm_kernel.remote.guest.values import load

TEXT = "The Cedar radio.\nA cedar\n  radio, and a cedarwood one.\n"


def test_a_place_has_its_line_its_characters_and_the_text_around_it() -> None:
    found = find(TEXT, "cedar radio", around=4)
    assert [one[:5] for one in found] == [
        ("cedar radio", "", 1, 4, 15),
        ("cedar radio", "", 2, 19, 32),
    ]
    assert [one.text for one in found] == ["The Cedar radio.\nA ", ".\nA cedar\n  radio, an"]
    assert all(TEXT[one.start : one.end].lower().split() == ["cedar", "radio"] for one in found)


def test_words_that_stand_nowhere_are_named_and_others_counted() -> None:
    found = find(TEXT, ["zebra", "cedar", "a"])
    assert found.missing == ["zebra"]
    assert found.counts == {"zebra": 0, "cedar": 3, "a": 8}
    assert [one.word for one in found] == ["cedar"] * 3 + ["a"] * 8
    assert (found.of("cedar"), found.of("zebra")) == (found[:3], [])
    assert (len(found), found[-1], found.searched) == (11, found[10], len(TEXT))
    assert not find(TEXT, "zebra")
    with pytest.raises(IndexError):
        found[11]


@pytest.mark.parametrize(
    ("word", "case", "count"),
    [("CEDAR", False, 3), ("Cedar", True, 1), (" cedar ", False, 3), ("ced.r", False, 0)],
)
def test_letters_large_and_small_are_alike_unless_said_otherwise(
    word: str, case: bool, count: int
) -> None:
    assert len(find(TEXT, word, case=case)) == count


@pytest.mark.parametrize(
    ("text", "word", "place"),
    [("İİ, Kemi", "kemi", 4), ("ΟΔΟΣ, οδος", "οδοσ", 0), ("STRASSE straße", "straße", 8)],
)
def test_letters_that_change_their_length_move_no_place(text: str, word: str, place: int) -> None:
    assert find(text, word)[0].start == place


VALUES: list[tuple[str, Any, str, list[tuple[str, int]]]] = [
    ("a list", ["no", "the cedar"], "cedar", [("[1]", 4)]),
    ("a dict", {"wood": {"cedar": "Cedar"}}, "cedar", [("wood.cedar (key)", 0), ("wood.cedar", 0)]),
    ("dicts in a list", [{"n": 2023}, {"n": "in 2023"}], "2023", [("[0].n", 0), ("[1].n", 3)]),
    ("bytes", b"\xffcedar", "cedar", [("", 4)]),
    ("a number", 2023, "02", [("", 1)]),
    ("a set", {"cedar"}, "cedar", [("[0]", 0)]),
    ("what has a comma between two items", ["ce", "dar", "ce dar"], "ce dar", [("[2]", 0)]),
    ("nothing", None, "cedar", []),
    ("an empty text", "", "cedar", []),
]


@pytest.mark.parametrize(
    ("value", "word", "places"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES]
)
def test_a_word_is_found_wherever_a_text_is(value: Any, word: str, places: Any) -> None:
    assert [(one.where, one.start) for one in find(value, word)] == places


def test_a_word_is_found_in_the_cells_and_names_of_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"wood": ["oak", "cedar"], "n": [1.5, None]})
    assert [one.where for one in find(frame, "cedar")] == ["[1].wood"]
    assert [one.where for one in find(frame, "wood")] == ["column wood"]
    assert find(frame, ["1.5", "nan"]).counts == {"1.5": 1, "nan": 0}
    assert find(frame["wood"], "oak")[0].where == "[0].wood"


def test_a_word_is_found_in_the_files_of_a_folder(tmp_path: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one\ncedar")
    (tmp_path / "in" / "b.txt").write_text("two")
    listing = tmp_path / "listing"
    listing.write_bytes(folders.listing(tmp_path / "in").packed())
    spec = {"kind": "folder", "name": "in", "files": str(listing)}
    folder = load(spec, str(tmp_path / "in"))
    found = find(folder, ["cedar", "three"])
    assert [one[:4] for one in found] == [("cedar", "a.txt", 2, 4)]
    assert found.missing == ["three"]


def test_what_is_shown_is_short_and_all_places_are_kept() -> None:
    words = [f"w{number}" for number in range(300)]
    found = find(" ".join(words) * 100, [*words, *(f"x{number}" for number in range(300))])
    assert len(repr(found)) < 5000
    assert "see .counts" in repr(found)
    assert "290 more: see .missing" in repr(found)
    assert sum(1 for _ in found) == len(found) == sum(found.counts.values())
    answer = written(find(TEXT, "radio"))
    assert answer.text.startswith("2 places of 1 word")
    assert len(json.loads(answer.json or "")) == 2


def test_what_no_word_is_is_refused() -> None:
    for words in (3, None, b"x", {"a": 1}, [3]):
        with pytest.raises(TypeError, match="find: "):
            find(TEXT, words)
    for words in ("", " \n", [], ["a", ""], ["a"] * (MOST_WORDS + 1)):
        with pytest.raises(ValueError, match="find: "):
            find(TEXT, words)
    with pytest.raises(ValueError, match="around"):
        find(TEXT, "a", around=-1)
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(ValueError, match="contains itself"):
        find(nested, "a")


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text("abAB \n", max_size=9), max_size=6), st.text("ab ", min_size=1, max_size=3))
def test_each_place_holds_its_word_and_none_is_left_out(texts: list[str], word: str) -> None:
    if not word.strip():
        return
    found = find(texts, word)
    wanted = word.lower().split()
    for one in found:
        text = texts[int(one.where[1:-1])]
        assert text[one.start : one.end].lower().split() == wanted
        assert one.line == text.count("\n", 0, one.start) + 1
    holding = {f"[{at}]" for at, text in enumerate(texts) if " ".join(wanted) in text.lower()}
    assert holding <= {one.where for one in found}


def test_many_places_in_a_large_text_take_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        text = "a cedar here\n" * count
        started = time.process_time()
        found = find(text, ["cedar", "zebra"])
        assert sum(one.line for one in found) == count * (count + 1) // 2
        return time.process_time() - started

    seconds(1000)
    assert seconds(160_000) < 40 * max(seconds(20_000), 0.02)
