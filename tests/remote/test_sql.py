"""Queries to the tables that a value is, and what a question can be answered from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.remote.guest.look import look_at
from rlm_kernel.remote.guest.passages import passages
from rlm_kernel.remote.guest.sql import Found, query
from rlm_kernel.remote.guest.values import Folder

CSV = 'id,name,spent,on day,code\n1,Ann,"$1,200.50",05.03.2024,007\n2,bo,$3,31.12.2023,012\n'
MIXED = """id,day,weight
1,"February 3, 2024",1.5 kg
2,05.02.2024,300 g
3,2024-03-01,3kg
"""
LOG = "\n".join(
    f"2024-05-01 10:00:{n:02} {'ERROR' if n % 3 else 'INFO'} db: lost [user=u{n % 2}]"
    for n in range(9)
)


@pytest.mark.parametrize(
    ("value", "text", "answer"),
    [
        (CSV, "SELECT SUM(spent) FROM t", 1203.5),
        (CSV, 'SELECT name FROM t WHERE "on day" >= \'2024-01-01\'', "Ann"),
        (CSV, "SELECT code FROM t WHERE name = 'BO'", "012"),
        (CSV, "SELECT name FROM t ORDER BY id", ["Ann", "bo"]),
        (CSV, "SELECT name, spent FROM t WHERE id = 1", "Ann"),
        (LOG, "SELECT COUNT(*) FROM t WHERE level = 'ERROR' AND user = 'u1'", 3),
        (json.dumps([{"a": True, "b": [1, 2]}]), "SELECT a FROM t WHERE b LIKE '%2%'", 1),
        ([{"a": 1}, {"b": 2}], "SELECT COUNT(*) FROM t WHERE a IS NULL", 1),
        ([3, 5, 4], "SELECT MAX(item) FROM t", 5),
        ({"x": 1, "y": 2}, "SELECT key FROM t WHERE value = 2", "y"),
        (
            {"people": [{"id": 1, "name": "Ann"}], "visits": [{"who": 1}, {"who": 1}]},
            "SELECT name FROM people JOIN visits ON who = id GROUP BY name HAVING COUNT(*) = 2",
            "Ann",
        ),
        ("One two. Two!\nTHREE two", "SELECT count FROM words WHERE word = 'two'", 3),
        ("a b\n\nc", "SELECT text FROM t WHERE line = 3", "c"),
        (["first", "second"], "SELECT file FROM t WHERE text LIKE '%con%'", "1"),
        (b"a,b\n1,2\n3,4\n", "SELECT b FROM t WHERE a = 3", 4),
        ("0.1,x\n0.2,y\n", "SELECT SUM(column_1) FROM t", 0.3),
        (MIXED, "SELECT COUNT(*) FROM t WHERE day LIKE '2024-02-%'", 2),
        (MIXED, "SELECT SUM(weight) FROM t", 4.8),
    ],
)  # fmt: skip
def test_a_query_is_answered_by_the_rows(value: Any, text: str, answer: Any) -> None:
    assert query(value, text).answer == answer


@pytest.mark.parametrize("dates", [["03/04/2024", "05/06/2024"], ["3 May 2024", "some day"]])
def test_dates_that_may_be_read_in_two_ways_stay_as_they_are(dates: list[str]) -> None:
    rows = [{"day": day} for day in dates]
    assert [day for (day,) in query(rows, "SELECT day FROM t")] == dates


def _folder(path: Path, names: list[str]) -> Folder:
    return Folder(str(path), "it", [[n, "utf-8", "", (path / n).stat().st_size] for n in names])


def test_a_folder_of_tables_has_a_table_for_each_and_one_of_texts_its_lines(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Ann\n2,Bo\n")
    (tmp_path / "my visits.csv").write_text("who,day\n1,Mon\n1,Tue\n")
    names = ["people.csv", "my visits.csv"]
    folder = _folder(tmp_path, names)
    text = "SELECT name, COUNT(*) FROM people JOIN my_visits ON who = id GROUP BY name"
    assert query(folder, text) == [("Ann", 2)]
    (tmp_path / "note.txt").write_text("It was Mon.\nNo more.\n")
    notes = _folder(tmp_path, [*names, "note.txt"])
    assert query(notes, "SELECT file FROM t WHERE text LIKE '%no more%'").answer == "note.txt"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT nme FROM t", "no such column: nme. There are the tables t(id, name, spent, "),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("DELETE FROM t", "not authorized"),
        ("SELECT sum(code) FROM t", "sum(code): this column of t has texts, such as '007'"),
        ("ATTACH '/tmp/x' AS x", "not authorized"),
        ("PRAGMA table_info(t)", "not authorized"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT judge(name, 'only') FROM t", "no such function: judge"),
    ],
)
def test_a_query_that_is_none_is_an_error_with_the_columns(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"of t has texts|There are the tables") as raised:
        query(CSV, text)
    assert words in str(raised.value)


def test_what_reads_as_nothing_says_so() -> None:
    with pytest.raises(TypeError, match="int"):
        query(5, "SELECT 1 FROM t")


def test_only_what_is_found_nowhere_is_hinted_at() -> None:
    assert query(CSV, "SELECT COUNT(*) FROM t WHERE name = 'Anne'").hints == [
        "No name is 'Anne'; there are, for example, Ann."
    ]
    assert query(CSV, "SELECT name FROM t WHERE name LIKE '%nn%' AND id > 1").hints == []
    assert query(CSV, "SELECT COUNT(*) FROM t WHERE name = 'Ann'").hints == []


def test_texts_too_long_for_an_answer_and_many_columns_are_none() -> None:
    assert Found([("x" * 201,)], ["text"]).answer is None
    assert Found([("x", "y"), ("z", "y")], ["a", "b"]).answer is None
    assert Found([("x", 2), ("z", 1)], ["a", "n"]).answer == ["x", "z"]
    assert Found([], ["a"]).answer is None
    assert str(Found([], ["a"])) == "No rows."
    assert str(Found([(1, None)], ["a", "b"])) == "a | b\n1 | none"


def test_judged_texts_are_asked_about_together_and_once() -> None:
    asked: list[Any] = []

    def judge(texts: list[Any]) -> list[str]:
        asked.append(texts)
        return ["good" if "love" in text else "bad" for text, _, _ in texts]

    text = "SELECT COUNT(*) FROM t WHERE judge(text, 'bad', 'good') = 'bad'"
    assert query("I love it\nit broke\nit broke\n", text, judge).answer == 2
    assert asked == [
        [(line, "Is this bad or good?", ("bad", "good")) for line in ("I love it", "it broke")]
    ]


def test_the_columns_are_shown_with_their_kinds_and_values() -> None:
    assert look_at(CSV, "?").splitlines() == [
        "Table t, 2 rows, has the columns",
        "- id: number, 1 or 2",
        "- name: text, one of 'Ann', 'bo'",
        "- spent: number, 1200.5 or 3",
        "- \"on day\": text, one of '2024-03-05', '2023-12-31'",
        "- code: text, one of '007', '012'",
    ]
    assert "- weight: number in kg, 0.3 to 3" in look_at(MIXED, "?")
    days = [{"day": f"{n + 1}.03.2024"} for n in range(20)]
    assert look_at(days, "?").endswith("20 different dates, '2024-03-01' to '2024-03-20'")


NOISE = "The weather was fine and the road long.\n" * 300


@pytest.mark.parametrize(
    ("question", "lines"),
    [
        ("Where was the keeper of the lighthouse born?", [301, 602]),
        ("Who keeps bees?", []),
        ("What did the captain's keeper do?", [301, 602]),
    ],
)
def test_passages_are_found_by_rare_words_and_names_in_them_are_followed(
    question: str, lines: list[int]
) -> None:
    text = f"{NOISE}The keeper of the lighthouse is Tobias Renn.\n{NOISE}Renn is from Velmora."
    found, _ = passages({"": text}, question)
    assert [one.line for one in found] == lines


def test_a_long_line_is_cut_into_passages_and_words_that_stand_nowhere_are_named() -> None:
    text = "The road is long. " * 500 + "The dog is called Biscuit. " + "So it goes. " * 500
    found, missing = passages({"": text}, "What is the warden's dog called?")
    assert "The dog is called Biscuit." in found[0].text
    assert len(found[0].text) <= 400
    assert missing == ["warden"]


def test_a_look_at_a_long_text_is_bounded() -> None:
    text = NOISE * 100 + "The gate opens with 84-KX-19.\n" + "gate " * 10_000
    looked = look_at(text, "What opens the gate?")
    assert "84-KX-19" in looked
    assert len(looked) < 4300
