"""What is a task, and when its answer is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from batching import tasks, write_tasks

from rlm_kernel import UsageError
from rlm_kernel.batch import correct, make_tasks, normalised, read_tasks

GOOD = '{"question": "Q?", "context": "c"}'
BAD = {
    '{"question": "Q?"': "it is not JSON: Expecting ',' delimiter at character 18",
    "[1]": "it is [1]: give an object",
    '{"context": "c"}': "there is no question",
    '{"questoin": "Q?", "context": "c"}': "there is no question; is 'questoin' meant to be it?",
    '{"question": 7, "context": "c"}': "question=7: give a text",
    '{"question": "  ", "context": "c"}': "question='  ': give a text",
    '{"question": "Q?"}': "there is no context; context_path names a file",
    '{"question": "Q?", "context": null}': "context=None: give a text or a JSON value",
    '{"question": "Q?", "context": "c", "context_path": "a.txt"}': "give one of them",
    '{"question": "Q?", "context_path": "missing.txt"}': "context_path='missing.txt': there is no",
    '{"question": "Q?", "context_path": 3}': "context_path=3: give a path",
    '{"question": "Q?", "context": "c", "expected": {}}': "expected={}: give a text, a number",
    '{"question": "Q?", "context": "c", "expected": []}': "expected=[]: give a text, a number",
    '{"question": "Q?", "context": "c", "expected": NaN}': "NaN is not a JSON number",
    '{"question": "Q?", "context": "c", "id": [1]}': "id=[1]: give a text or a whole number",
    '{"question": "Q?", "context": "c", "id": 1}': "id='1': line 1 has it already",
    '{"question": "Q?", "context": "c", "max_cost": "much"}': "max_cost='much': give a number",
    '{"question": "Q?", "context": "c", "max_turns": 0}': "at least 1",
}


def test_all_bad_lines_are_named_at_once_with_number_value_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join([GOOD, "", *BAD, GOOD]))
    with pytest.raises(UsageError, match=f"{len(BAD)} lines are not tasks") as caught:
        read_tasks(path)
    _, *told = str(caught.value).splitlines()
    for number, (line, reason) in zip(told, enumerate(BAD.values(), 3), strict=True):
        assert number.strip().startswith(f"line {line}: ")
        assert reason in number


def test_bytes_that_are_no_text_and_a_file_without_tasks_are_said(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b'{"question": "\xff"}')
    with pytest.raises(UsageError, match="line 1: byte 15 is not UTF-8"):
        read_tasks(path)
    path.write_text("\n\n")
    with pytest.raises(UsageError, match="there is no task"):
        read_tasks(path)
    with pytest.raises(UsageError, match=r"no\.jsonl: the tasks cannot be read: No such file"):
        read_tasks(tmp_path / "no.jsonl")


def test_thousands_of_bad_lines_do_not_fill_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text("no\n" * 5000)
    with pytest.raises(UsageError, match="and 4,950 more"):
        read_tasks(path)


def test_a_path_is_relative_to_the_file_and_a_number_is_an_id(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("inside")
    more = {"question": "Q?", "context_path": "a.txt", "max_cost": 0.5, "tag": ["x"], "id": 7}
    path = write_tasks(tmp_path, [*tasks(1), more])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    first, second = read_tasks(path).tasks
    assert (first.id, second.id) == ("1", "7")
    assert second.source().size == 6
    assert (second.limits, second.rest) == ({"max_cost": 0.5}, {"tag": ["x"]})


def test_ids_of_any_characters_give_folders_of_their_own() -> None:
    ids = ["../../up", "a/b", "a-b", "A-B", ".", "..", ".hidden", "ü", "x" * 300, "con\n", "a b"]
    made = make_tasks({"question": "Q?", "context": "c", "id": name} for name in ids)
    names = [task.folder for task in made.tasks]
    assert [task.id for task in made.tasks] == ids
    assert len({name.casefold() for name in names}) == len(ids)
    for name in names:
        assert len(name) <= 60
        assert name.isascii()
        assert not set("/\\\n ") & set(name)
        assert not name.startswith((".", "-"))
    assert made.tasks[2].folder == "a-b"


def test_the_same_tasks_have_the_same_digest_however_they_are_written(tmp_path: Path) -> None:
    path = write_tasks(tmp_path, tasks(3))
    path.write_text(path.read_text().replace('", "', '",   "'))
    assert read_tasks(path).sha256 == make_tasks(tasks(3)).sha256
    assert make_tasks(tasks(3)).sha256 != make_tasks(tasks(4)).sha256


def test_a_context_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="line 1: it is not JSON"):
        make_tasks([{"question": "Q?", "context": {1, 2}}])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Paris", "paris"), ("  the  Seine\n", "The Seine"), ("**Paris**.", "Paris"),
        ("“Paris”", "'paris'"), ("42", 42), ("42.0", 42), ("1,000", 1000), ("1e3", "1000"),
        ("-5", -5), ("(.5)", 0.5), ("True", True), ("b", ["a", "b"]), ("7.", ["x", 7]),
        ("Café", "Café"), ("...", "..."), ("\u22125", -5), ("$1,000", 1000), ("**-$5**.", -5),
        ("3.50 €", 3.5), ("50%", "50%"),
    ],
)  # fmt: skip
def test_these_answers_are_right(answer: str, expected: Any) -> None:
    assert correct(answer, expected) is True


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Paris, France", "Paris"), ("5", -5), ("50%", 50), ("5 apples", 5), ("0.1", "0.10001"),
        ("12345678901234567890123456789012", 12345678901234567890123456789013), ("", "x"),
        ("1,00", 100), (None, "x"), ("c", ["a", "b"]),
    ],
)  # fmt: skip
def test_these_answers_are_wrong(answer: str | None, expected: Any) -> None:
    assert correct(answer, expected) is False


def test_where_nothing_is_expected_nothing_is_right_or_wrong() -> None:
    assert correct("anything", None) is None
    assert make_tasks([json.loads(GOOD)]).tasks[0].expected is None


def test_a_long_answer_of_punctuation_is_normalised_at_once() -> None:
    assert normalised("-" * 200_000 + "x") == "x"
