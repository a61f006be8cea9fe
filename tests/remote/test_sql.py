"""Queries to the tables that a value is, and what a question can be answered from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.remote.guest.reading.folder import Folder
from rlm_kernel.remote.guest.reading.look import look_at
from rlm_kernel.remote.guest.reading.passages import passages
from rlm_kernel.remote.guest.reading.sql import Found, query

CSV = 'id,name,spent,on day,code\n1,Ann,"$1,200.50",05.03.2024,007\n2,bo,$3,31.12.2023,012\n'
MIXED = """id,day,weight
1,"February 3, 2024",1.5 kg
2,05.02.2024,300 g
3,2024-03-01,3kg
"""
NONE = "id,phone,age\n1,+441,5\n2,-,n/a\n3,N/A,4\n4,,\n"
CLOCKS = 'id,at\n1,"31/03/2024, 1:05 AM"\n2,"31/03/2024, 1:05 PM"\n'
IN_ORDER = "id,at\n1,10/01/2024\n2,11/01/2024\n3,12/01/2024\n4,01/02/2024\n"
LOGINS = "\n".join(
    f"2024-01-01T00:00:{n:02} sshd[9]: Failed password for u{n % 7 if n < 14 else 1} from ::1"
    for n in range(20)
)
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
        ("id,took\n1,5 ms\n2,7ms\n", "SELECT SUM(took) FROM t", 12),
        ("id,cost\n1,\"6,650 EUR\"\n2,EUR 50\n", "SELECT SUM(cost) FROM t", 6700),
        (NONE, "SELECT COUNT(*) FROM t WHERE phone IS NULL", 3),
        (NONE, "SELECT phone FROM t WHERE id = 1", "+441"),
        (NONE, "SELECT SUM(age) FROM t", 9),
        (
            [{"user": {"name": "Ann", "at": {"city": "Kemi"}}}, {"user": {"name": "Bo"}}],
            "SELECT user_name FROM t WHERE user_at_city = 'kemi'",
            "Ann",
        ),
        (CLOCKS, "SELECT id FROM t WHERE at >= '2024-03-31 12:00'", 2),
        (CLOCKS, "SELECT COUNT(*) FROM t WHERE at LIKE '31/03/2024%'", 2),
        (MIXED, "SELECT id FROM t WHERE day = 'February 3, 2024'", 1),
        (IN_ORDER, "SELECT MAX(at) FROM t", "2024-02-01"),
        (LOGINS, "SELECT after_for FROM t GROUP BY 1 ORDER BY COUNT(*) DESC LIMIT 1", "u1"),
        (CLOCKS, "SELECT COUNT(*) FROM t WHERE YEAR(at) = 2024 AND MONTH(at) = 3 AND day(at) = 31"
         " AND hour(at) < 12", 1),
        (CSV, "SELECT name FROM t WHERE name REGEXP '^A'", "Ann"),
        (CSV, "SELECT regexp_replace(code, '^0+', '') FROM t WHERE id = 1", "7"),
        (CSV, "SELECT concat(split_part(name, 'n', 1), '-', id) FROM t WHERE id = 1", "A-1"),
        ([{"x": x} for x in (1, 5, 9, 50)], "SELECT MEDIAN(x) FROM t", 7),
        ([{"x": x} for x in (1, 3)], "SELECT ROUND(STDDEV(x), 3) FROM t", 1.414),
        (LOGINS, "SELECT extract(text, 'for ', ' from') FROM t LIMIT 1", "u0"),
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
        (
            "SELECT nme FROM t",
            "no such column: nme. There are the tables t(id, name 'Ann', spent, ",
        ),
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


MAIL = """From: Ada <a@x.org>
To: Bo <b@x.org>
Subject: =?utf-8?q?Caf=C3=A9?= {n}
Date: Mon, 01 Jan 2024 1{n}:00:00 +0100

The bill of {what} is number {n}00.
"""
FOLDERS: dict[str, tuple[dict[str, str], str, Any]] = {
    "mails": (
        {f"{n}.eml": MAIL.format(n=n, what=what) for n, what in enumerate(("tea", "rice", "oil"))},
        "SELECT date FROM t WHERE sender LIKE '%Ada%' AND subject = 'Café 1'",
        "2024-01-01 11:00:00",
    ),
    "settings": (
        {f"{side}/a.ini": f"[db]\nhost = {side}\nport = 5\nuser = u\n" for side in ("one", "two")},
        "SELECT a.name FROM t a JOIN t b ON a.name = b.name AND a.file = b.file"
        " WHERE a.folder = 'one' AND b.folder = 'two' AND a.value <> b.value",
        "host",
    ),
    "tables in texts": (
        {f"p{n}.md": f"# P{n}\n\nText.\n\n| item | cost |\n|--|--:|\n| tea | {n} EUR |\n"
         for n in (1, 2, 3)},
        "SELECT SUM(cost) FROM t WHERE title <> 'P1'",
        5,
    ),
    "tasks": (
        {f"w{n}.md": f"# Week {n}\n\n- [ ] buy tea @ann\n- [x] buy oil @bo\n" for n in (1, 2)},
        "SELECT COUNT(*) FROM t WHERE done = 0 AND task LIKE '%@ann%'",
        2,
    ),
    "fields above a text": (
        {f"{n}.txt": f"Author: A{n}\nYear: 199{n}\n\nOnce upon a time.\n" for n in (1, 2)},
        "SELECT Author FROM t WHERE Year > 1991",
        "A2",
    ),
    "many tables": (
        {f"{n:02}.csv": f"id,who\n{n},ann\n9{n},bo\n" for n in range(12)},
        "SELECT id FROM t WHERE who = 'bo' AND file = '07.csv'",
        97,
    ),
}  # fmt: skip


def folder_of(path: Path, files: dict[str, str]) -> Folder:
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return Folder(str(path), "x", [[n, "utf-8", "strict", len(t)] for n, t in files.items()])


@pytest.mark.parametrize(("files", "text", "answer"), FOLDERS.values(), ids=FOLDERS)
def test_files_that_are_alike_are_one_table(
    tmp_path: Path, files: dict[str, str], text: str, answer: Any
) -> None:
    assert query(folder_of(tmp_path, files), text).answer == answer


def test_a_file_that_is_not_like_the_others_is_a_row_with_its_text(tmp_path: Path) -> None:
    files = {f"{n}.eml": MAIL.format(n=n, what="tea") for n in range(9)} | {"readme": "Hello."}
    folder = folder_of(tmp_path, files)
    assert query(folder, "SELECT text FROM t WHERE sender IS NULL").answer == "Hello."
    assert query(folder, "SELECT COUNT(*) FROM t").answer == 10


ORDERS = "id,country,status,maker\n1,Denmark,shipped,Ada Moe\n2,Chile,paid,Bo\n3,Chile,open,maker\n"
DOUBTS = [
    ("How many orders from Chile are paid?",
     "SELECT COUNT(*) FROM t WHERE country = 'Chile' AND status = 'paid'", None),
    ("How many orders from Chile are paid?", "SELECT COUNT(*) FROM t WHERE country = 'Chile'",
     "'paid' is a status, which the query leaves out"),
    ("How many orders are from Chile?",
     "SELECT COUNT(*) FROM t WHERE country = 'Chile' AND status = 'paid'",
     "status 'paid', which the question does not say"),
    ("What is the maker of order 1?", "SELECT maker FROM t WHERE id = 1", None),
    ("How many are by ada moe?", "SELECT COUNT(*) FROM t WHERE id > 1",
     "'Ada Moe' is a maker"),
    ("How many orders of the Danes are there?",
     "SELECT COUNT(*) FROM t WHERE country LIKE 'Dan%'", None),
    ("How many makers are friendly?",
     "SELECT COUNT(*) FROM t WHERE judge(maker, 'rude', 'kind') = 'kind'",
     "the label 'kind', which the question does not say"),
    ("Who is the maker of the paid order?", "SELECT maker FROM t WHERE status <> 'paid'",
     "several rows, and the question asks for one"),
    ("Which makers are there for paid orders?", "SELECT maker FROM t WHERE status <> 'paid'", None),
    ("How many in 2024?", "SELECT COUNT(*) FROM t WHERE id LIKE '2024-%'", None),
]  # fmt: skip


@pytest.mark.parametrize(("question", "text", "doubt"), DOUBTS)
def test_a_query_is_held_against_the_question(question: str, text: str, doubt: str | None) -> None:
    found = query(ORDERS, text, lambda asked: ["kind"] * len(asked), question)
    assert found.doubt is None if doubt is None else doubt in str(found.doubt)
    assert query(ORDERS, text, lambda asked: ["kind"] * len(asked)).doubt is None


def test_a_look_tells_how_a_date_of_the_question_is_written() -> None:
    seen = look_at(CLOCKS, "How many were there on 31/03/2024?")
    assert "In the question: 31/03/2024 is at '2024-03-31'" in seen


def test_a_query_that_finds_nothing_is_told_how_a_date_of_the_question_is_written() -> None:
    text = "SELECT COUNT(*) FROM t WHERE at LIKE '2024-31-03%'"
    found = query(CLOCKS, text, question="How many were there on 31/03/2024?")
    assert "31/03/2024 is at '2024-03-31'." in str(found)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the mean of x? Round to one decimal.", 2.3),
        ("The mean of x, to two decimal places?", 2.33),
        ("How large is the mean of x? One decimal.", 2.3),
        ("What is the mean, rounded to the nearest whole number?", 2),
        ("What is the mean of x?", 2.33333333333),
    ],
)
def test_a_figure_has_the_decimals_that_were_asked_for(question: str, answer: float) -> None:
    rows = [{"x": x} for x in (1, 2, 4)]
    assert query(rows, "SELECT AVG(x) FROM t", question=question).answer == answer


def test_a_value_that_is_looked_for_in_no_column_is_found_in_another() -> None:
    with pytest.raises(
        ValueError, match=r"no such column: buyer\. 'ada' stands in maker\. There are"
    ):
        query(ORDERS, "SELECT COUNT(*) FROM t WHERE buyer LIKE '%Ada%'")


def test_a_look_tells_which_columns_belong_together() -> None:
    people = [{"id": f"P{n}", "boss": f"P{n // 2}", "town": f"T{n % 3}"} for n in range(12)]
    assert "- boss: text, 6 different" in look_at(people, "Who?").replace("one of", "6 different,")
    assert "each stands in id" in look_at(people, "Who?")
    orders = {"people": people, "orders": [{"by": f"P{n % 7}", "n": n} for n in range(20)]}
    seen = look_at(orders, "Who?")
    assert "each stands in people.id" in seen.partition("Table orders")[2]


def test_a_wrong_column_is_told_with_an_example_of_each() -> None:
    with pytest.raises(ValueError, match=r"t\(id, country 'Denmark', status 'shipped', maker"):
        query(ORDERS, "SELECT town FROM t")


def test_a_look_tells_which_values_the_question_names_and_what_is_missing() -> None:
    seen = look_at("id,city,mail\n1,Kemi,-\n2,Rome,a@x\n3,Kemi,n/a\n", "How many are from kemi?")
    assert "'Kemi' is a city" in seen
    assert "NULL in 2 rows" in seen


def test_words_elsewhere_in_a_short_text_speak_for_a_passage(tmp_path: Path) -> None:
    files = {f"{n}.eml": MAIL.format(n=n, what=what) for n, what in enumerate(("tea", "oil"))}
    files["2.eml"] = MAIL.format(n=7, what="oil").replace("Ada", "Cid")
    seen = look_at(folder_of(tmp_path, files), "What is the number of the oil bill from Cid?")
    passages = seen.partition("Passages with words")[2]
    assert "The bill of oil is number 700" in passages
    assert "number 000" not in passages


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
