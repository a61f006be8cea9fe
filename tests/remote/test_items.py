"""The items of a map: how a text, a list, a table and a folder are cut, and where each piece is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.remote.guest.maps.items import cut
from rlm_kernel.remote.guest.maps.map import Map
from rlm_kernel.remote.guest.maps.map_table import MapRow, MapTable

ARRAY = '[{"a": 1},\n {"a": [2, "]"]}, "three"]'
LINES = '{"a": 1}\n\n{"a": 2}\n{"a": 3}\n'
TABLE = 'id,text\n1,"one, and\nmore"\n2,two\n\n3,three\n'
LOG = "".join(f"2024-01-0{n} 10:00:00 event {n}\n" for n in range(1, 6))
PROSE = "One line of it,\nand a second.\n\nAnother one\nhere.\n\n\nThe last."
FOLDER = {"a.txt": "first\nsecond", "b/c.txt": "third"}


@pytest.mark.parametrize(
    ("text", "by", "pieces"),
    [
        ("a\r\nb\n\n  \nc", "line", ["a", "b", "c"]),
        ("a\n\n", "file", ["a\n\n"]),
        ("", "line", []),
        ("\n \n", None, []),
        (PROSE, "paragraph", ["One line of it,\nand a second.", "Another one\nhere.", "The last."]),
        ("aaaa bbbb cccc", 6, ["aaaa ", "bbbb ", "cccc"]),
        ("aaaaaaaaaa", 4, ["aaaa", "aaaa", "aa"]),
        (ARRAY, "row", ['{"a": 1}', '{"a": [2, "]"]}', '"three"']),
        (LINES, "row", ['{"a": 1}', '{"a": 2}', '{"a": 3}']),
        (TABLE, "row", ['1,"one, and\nmore"', "2,two", "3,three"]),
    ],
)
def test_a_text_is_cut_and_each_pieces_place_is_known(text: str, by: Any, pieces: Any) -> None:
    found = cut(text, by).items
    assert [text[item.start : item.end] for item in found] == pieces


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (ARRAY, "row"),
        (LINES, "row"),
        (TABLE, "row"),
        (LOG, "line"),
        (PROSE, "paragraph"),
        ("Good radio, I like it\nBad one, broken\nFine, it works\n", "line"),
        ("x" * 5000, "chars"),
        ("only this", "line"),
        ("".join(f"{'word ' * 9}\n" * 9 + "\n" for _ in range(9)), "paragraph"),
        ("".join("Item\n" * 9 + "\n" for _ in range(9)), "line"),
    ],
)
def test_the_way_is_guessed_and_the_guess_is_said(text: str, way: str) -> None:
    found = cut(text)
    assert found.said.startswith(f"by {way} (a guess: ")
    assert found.items == cut(text, way).items


def test_rows_have_their_values() -> None:
    assert [item.value for item in cut(ARRAY, "row").items] == [{"a": 1}, {"a": [2, "]"]}, "three"]
    assert cut(TABLE, "row").items[0].value == {"id": "1", "text": "one, and\nmore"}
    assert json.loads(cut(TABLE, "row").items[1].text) == {"id": "2", "text": "two"}


def test_a_list_a_mapping_and_a_table_give_their_items() -> None:
    pandas = pytest.importorskip("pandas")
    items = cut([{"a": 1}, "text", 3]).items
    assert [(item.text, item.where) for item in items] == [
        ('{"a": 1}', "[0]"),
        ("text", "[1]"),
        ("3", "[2]"),
    ]
    assert [item.text for item in cut(FOLDER).items] == [
        "a.txt:\nfirst\nsecond",
        "b/c.txt:\nthird",
    ]
    assert [(item.where, item.start, item.value) for item in cut(FOLDER, "line").items] == [
        ("a.txt", 0, "first"),
        ("a.txt", 6, "second"),
        ("b/c.txt", 0, "third"),
    ]
    frame = pandas.DataFrame({"n": [1, 2], "t": ["x", None]})
    assert [item.value["n"] for item in cut(frame).items] == [1, 2]
    assert [item.value for item in cut(frame["n"]).items] == [1, 2]
    rows = [MapRow(0, "an item", "a value", "ok")]
    assert [item.value for item in cut(MapTable("q", rows)).items] == ["an item"]


def test_what_json_has_no_form_for_is_an_item_without_a_text() -> None:
    endless: list[Any] = []
    endless.append(endless)
    [fine, wrong] = cut(["fine", endless]).items
    assert (fine.wrong, wrong.text) == ("", "")
    assert "contains itself" in wrong.wrong


@pytest.mark.parametrize(
    ("items", "by", "words"),
    [
        (b"bytes", None, "decode them"),
        (7, None, "takes a list, a text, a table or a folder, not int"),
        ("text", "word", "give line, paragraph, row, file, chars"),
        ("text", 0, "the most characters"),
        ("only this", "row", "no table, no JSON lines"),
        ('[{"a": 1}, {"b"', "row", "no JSON array"),
    ],
)
def test_what_cannot_be_cut_says_why(items: Any, by: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        cut(items, by)


@given(
    st.text(alphabet='ab \n\r,"é'),
    st.one_of(st.sampled_from(["line", "paragraph"]), st.integers(1, 9)),
)
def test_nothing_but_blanks_is_lost_between_the_pieces(text: str, by: Any) -> None:
    at = 0
    for item in cut(text, by).items:
        assert text[item.start : item.end] == item.value
        assert not text[at : item.start].strip()
        at = item.end or 0
    assert not text[at:].strip()


def test_a_hundred_thousand_lines_are_cut_into_calls_of_a_batch_each() -> None:
    text = "".join(f"line {n}\n" for n in range(100_000))
    made = Map("Which?").over(cut(text, "line"))
    parts = []
    for part in made.parts(100_000, 10_000):
        parts.append((len(part["prompts"]), part["ahead"][0]))
        made.take({"value": [{"value": "x", "about": {"attempts": 1}}] * len(part["prompts"])})
    assert parts == [(10_000, 100_000 - 10_000 * n) for n in range(1, 11)]
    assert made.table.counts() == {"x": 100_000}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"question": ""}, "not empty"),
        ({"question": "q", "votes": 0}, "from 1 to 9"),
        ({"question": "q", "votes": True}, "from 1 to 9"),
        ({"question": "q", "labels": ["a"]}, "two or more"),
        ({"question": "q", "labels": ["a", "a"]}, "each once"),
        ({"question": "q", "labels": ["a", 1]}, "list of str"),
        ({"question": "q", "labels": ["a", "b"], "type": int}, "not both"),
        ({"question": "q", "examples": ["a"]}, "pairs"),
        ({"question": "q", "type": int, "examples": [("a", "x")]}, "example 0 does not fit"),
        ({"question": "q", "examples": [("a", 1)]}, "must be a str"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anybody_is(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        Map(**arguments)
