"""Any table, JSON, log or folder as a list of dicts, the same each time, and how it was read."""

from __future__ import annotations

import json
import pickle
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_kernel.inputs.contexts import folders
from rlm_kernel.remote.guest.answers.answer import written
from rlm_kernel.remote.guest.globals import rows
from rlm_kernel.remote.guest.values import dump, load

LOG = """\
2026-01-31 10:00:00,123 INFO start user=ann
2026-01-31 10:00:01,456 ERROR it failed user=bob
Traceback (most recent call last):
  ValueError
2026-01-31 10:00:02,789 going on user=ann
"""
ACCESS = '1.2.3.4 - ann [10/Jan/2026:13:55:36 +0000] "GET /a.gif?x=1 HTTP/1.1" 404 {size}\n'
TABLE: list[tuple[str, Any, list[dict[str, Any]], str]] = [
    ("CSV", "name,age\nann,3\nbob,\n", [{"name": "ann", "age": 3}, {"name": "bob", "age": None}],
     "table: name, age"),
    ("an Excel export", "\ufeffsep=;\nname;zip\nann;01234\nbob;2\n",
     [{"name": "ann", "zip": "01234"}, {"name": "bob", "zip": "2"}], "names the delimiter"),
    ("titles above a header", "Report\n\nname;age\nann;3\nbob;4\n",
     [{"name": "ann", "age": 3}, {"name": "bob", "age": 4}], "'Report'"),
    ("no header", "1|2.5\n3|4.5\n5|6.5\n",
     [{"column_1": n, "column_2": n + 1.5} for n in (1, 3, 5)], "no header"),
    ("numbers first", "id\tname\n1\tann\n2\tbob\n3\tcid\n",
     [{"id": 1, "name": "ann"}, {"id": 2, "name": "bob"}, {"id": 3, "name": "cid"}], "id, name"),
    ("times first", "time,level\n2026-01-31 10:00,INFO\n2026-01-31 10:01,WARN\n",
     [{"time": "2026-01-31 10:00", "level": "INFO"},
      {"time": "2026-01-31 10:01", "level": "WARN"}], "time, level"),
    ("sentences with commas", "Well, it rained.\nThen, it snowed.\nAt last, the sun.\n",
     [{"line": 1, "text": "Well, it rained."}, {"line": 2, "text": "Then, it snowed."},
      {"line": 3, "text": "At last, the sun."}], "No table"),
    ("Markdown", "| a | b |\n|---|:-:|\n| 1 | x\\|y |\n| 2 |\n",
     [{"a": "1", "b": "x|y"}, {"a": "2", "b": None}], "Markdown"),
    ("JSON", '[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}], "JSON"),
    ("JSON with rows inside", '{"next": null, "data": [{"a": 1}]}', [{"a": 1}],
     "under 'data'. The list's items: a. Not in them: next"),
    ("JSON lines", '{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}], "JSON lines"),
    ("JSON lines, one broken", '{"a": 1}\n' * 9 + '{"a": \n', [{"a": 1}] * 9 + [{"text": '{"a": '}],
     "1 line that are not JSON" ),
    ("a log", LOG, [
        {"line": 1, "time": "2026-01-31 10:00:00,123", "level": "INFO",
         "text": "INFO start user=ann", "user": "ann"},
        {"line": 2, "time": "2026-01-31 10:00:01,456", "level": "ERROR",
         "text": "ERROR it failed user=bob\nTraceback (most recent call last):\n  ValueError",
         "user": "bob"},
        {"line": 5, "time": "2026-01-31 10:00:02,789", "level": None,
         "text": "going on user=ann", "user": "ann"}], "log"),
    ("a server's log", "".join(ACCESS.format(size=size) for size in (7, "-", 8)), [
        {"line": n, "host": "1.2.3.4", "user": "ann", "time": "10/Jan/2026:13:55:36 +0000",
         "method": "GET", "path": "/a.gif?x=1", "status": 404, "size": size, "referer": None,
         "agent": None} for n, size in ((1, 7), (2, None), (3, 8))], "log"),
    ("a server's log with durations", "".join(
        f'10.0.0.{n} [2026-01-10T13:55:0{n}] "GET /a" 200 {n}5ms\n' for n in (1, 2, 3)), [
        {"line": n, "host": f"10.0.0.{n}", "user": None, "time": f"2026-01-10T13:55:0{n}",
         "method": "GET", "path": "/a", "status": 200, "size": None, "referer": None,
         "agent": None, "duration": f"{n}5ms"} for n in (1, 2, 3)], "log"),
    ("a log with sources", "".join(f"2026-01-31 10:00:0{n} INFO [auth] ok\n" for n in (1, 2, 3)), [
        {"line": n, "time": f"2026-01-31 10:00:0{n}", "level": "INFO", "text": "INFO [auth] ok",
         "source": "auth"} for n in (1, 2, 3)], "log"),
    ("a system's log", "".join(
        f"Jan 10 10:00:0{n} host sshd[{n}]: Failed password for u{n} from 10.0.0.{n} port 22\n"
        for n in range(6)), [
        {"line": n + 1, "time": f"Jan 10 10:00:0{n}", "level": None,
         "text": f"host sshd[{n}]: Failed password for u{n} from 10.0.0.{n} port 22",
         "source": "sshd", "after_for": f"u{n}", "after_from": f"10.0.0.{n}"}
        for n in range(6)], "log"),
    ("a chat", "31/01/2026, 04:00 - Ada L: hi: all\n31/01/2026, 04:01 - Bo: yes\nand no\n"
     "31/01/2026, 04:02 - Ada L: ok\n31/01/2026, 04:03 - Bo: ok\n", [
        {"line": 1, "time": "31/01/2026, 04:00", "sender": "Ada L", "text": "hi: all"},
        {"line": 2, "time": "31/01/2026, 04:01", "sender": "Bo", "text": "yes\nand no"},
        {"line": 4, "time": "31/01/2026, 04:02", "sender": "Ada L", "text": "ok"},
        {"line": 5, "time": "31/01/2026, 04:03", "sender": "Bo", "text": "ok"}], "log"),
    ("settings", "# here\n[db]\nhost = 'a'\nport=5\n\n[web]\nhost = b\n", [
        {"line": 3, "section": "db", "name": "host", "value": "a"},
        {"line": 4, "section": "db", "name": "port", "value": "5"},
        {"line": 7, "section": "web", "name": "host", "value": "b"}], "settings"),
    ("Markdown with tables", "# Costs\n\n| a | b |\n|---|---|\n| 1 | x |\n| 2 | y |\n", [
        {"a": "1", "b": "x"}, {"a": "2", "b": "y"}], "Markdown"),
    ("records", "Name: Ann\nSays: a\n  b\n\nName: Bob\nAge: 4\n\nName: Cid\nAge: 5\n", [
        {"Name": "Ann", "Says": "a\nb", "Age": None}, {"Name": "Bob", "Says": None, "Age": "4"},
        {"Name": "Cid", "Says": None, "Age": "5"}], "records"),
    ("pairs", 'at=1 say="a b"\nat=2\tsay=c\n', [{"at": "1", "say": "a b"}, {"at": "2", "say": "c"}],
     "name=value"),
    ("numbered lines", "1. one\n2. two\n   more\n3. three\n4. four\n5. five\n", [
        {"number": 1, "text": "one"}, {"number": 2, "text": "two\n   more"},
        {"number": 3, "text": "three"}, {"number": 4, "text": "four"},
        {"number": 5, "text": "five"}], "numbered"),
    ("prose", "Once.\n\nUpon a time.", [{"line": 1, "text": "Once."},
                                        {"line": 3, "text": "Upon a time."}], "No table"),
    ("nothing", "", [], "No table"),
    ("bytes", b"a,b\n1,2\n3,4\n", [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "table"),
    ("a list of dicts", [{"a": 1}, {"b": 2}, 3], [{"a": 1}, {"b": 2}, {"item": 3}], "'item'"),
    ("a list of lists", [["n", "v"], ["a", 1], ["b", 2]],
     [{"n": "a", "v": 1}, {"n": "b", "v": 2}], "named by the first"),
    ("tuples", ((1, 2), (3, 4)), [{"column_1": 1, "column_2": 2}, {"column_1": 3, "column_2": 4}],
     "without a header"),
    ("a list of lines", ["a,b", "1,2", "3,4"], [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "as lines"),
    ("a list of texts", ["one\ntext", "another"], [{"item": "one\ntext"}, {"item": "another"}],
     "each text"),
    ("columns", {"a": [1, 2], "b": [3, 4]}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}], "as columns"),
    ("dicts by key", {"x": {"n": 1}, "y": {"n": 2}}, [{"key": "x", "n": 1}, {"key": "y", "n": 2}],
     "under 'key'"),
    ("values by key", {"x": 1, "y": 2}, [{"key": "x", "value": 1}, {"key": "y", "value": 2}],
     "each key and its value"),
    ("one record", {"name": "ann", "age": 3}, [{"name": "ann", "age": 3}], "one row"),
    ("an empty list", [], [], "item"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "wanted", "guess"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_value_is_read_as_rows_and_says_how(value: Any, wanted: Any, guess: str) -> None:
    made = rows(value)
    assert made == wanted
    assert guess in made.guess
    assert (rows(value), rows(value).guess) == (made, made.guess)


def test_a_small_table_is_read_alike_with_and_without_pandas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [row[1] for row in TABLE if isinstance(row[1], str)]
    pytest.importorskip("pandas")
    known = [(rows(text), rows(text).guess) for text in texts]
    monkeypatch.delitem(sys.modules, "pandas")
    assert [(rows(text), rows(text).guess) for text in texts] == known
    assert "pandas" not in sys.modules


def test_a_frame_gives_its_rows_with_none_for_what_is_missing() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5, None], "b": ["x", "y"]}, index=[7, 8])
    assert rows(frame) == [{"a": 1.5, "b": "x"}, {"a": None, "b": "y"}]
    assert rows(frame["b"]) == [{"index": 7, "value": "x"}, {"index": 8, "value": "y"}]
    assert rows(frame.iloc[:0]) == []
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    assert rows(twice) == [{"a": 1, "a.1": 2}]
    numpy = pytest.importorskip("numpy")
    assert rows(numpy.array([[1, 2]])) == [{"column_1": 1, "column_2": 2}]


def test_a_folder_gives_a_row_for_each_file(tmp_path: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one")
    (tmp_path / "in" / "b.txt").write_text("two")
    listing = tmp_path / "listing"
    listing.write_bytes(folders.listing(tmp_path / "in").packed())
    spec = {"kind": "folder", "name": "in", "files": str(listing)}
    folder = load(spec, str(tmp_path / "in"))
    assert rows(folder) == [{"file": "a.txt", "text": "one"}, {"file": "b.txt", "text": "two"}]


@pytest.mark.parametrize("value", [None, 3, object(), {1, 2}])
def test_what_has_no_rows_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(value).__name__}"):
        rows(value)


def test_rows_are_a_list_of_copies_that_shows_its_beginning() -> None:
    context = [{"a": number} for number in range(1000)]
    made = rows(context)
    made[0]["a"] = "changed"
    assert context[0] == {"a": 0}
    assert isinstance(made, list)
    assert json.loads(json.dumps(made)) == made
    shown: list[str] = []
    printer = type("Printer", (), {"text": lambda self, text: shown.append(text)})()
    made._repr_pretty_(printer, False)
    assert shown[0].startswith("1,000 rows. ")
    assert len(shown[0]) < 2000
    assert written(made).text == str(list(made))
    kind, data = dump(made)
    assert (kind, json.loads(data)) == ("json", made)
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.guess) == (made, made.guess)


@settings(deadline=None, max_examples=200)
@given(st.text("ab1.,;\t|\"'{}[]:= \r\n-#", max_size=80))
def test_any_text_gives_rows_and_a_guess(text: str) -> None:
    made = rows(text)
    assert all(isinstance(row, dict) for row in made)
    assert made.guess


@pytest.mark.parametrize("line", ["{n},name {n},2026-01-31\n", '{{"id": {n}}}\n',
                                  "2026-01-31 10:00:00 INFO number n={n}\n"])  # fmt: skip
def test_a_large_text_takes_time_in_proportion(line: str) -> None:
    def seconds(count: int) -> float:
        text = "id,name,day\n" * line.startswith("{n}")
        text += "".join(line.format(n=number) for number in range(count))
        started = time.process_time()
        assert len(rows(text)) == count
        return time.process_time() - started

    seconds(1000)
    assert seconds(80_000) < 40 * max(seconds(10_000), 0.02)
