import csv
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.inputs.contexts import folders
from rlm_kernel.remote.guest.describe import describe
from rlm_kernel.remote.guest.values import load as load_value

LOG = "".join(f"2024-01-{d:02} 10:00:0{d % 10},123 INFO worker, step {d}\n" for d in range(1, 29))
CSV = "name,city,n\n" + 'Zoé,"Paris, 5e",1\n' * 9
MARKDOWN = "# Title\n\nSome *text* and a [link](x.md).\n\n## Part\n\n- one\n"
PYTHON = "# about\nimport os\n\n\nclass A:\n    def f(self):\n        return os\n"
PROSE = "It was a dark night, and it rained.\nNothing, he said, was there.\nThen, it ended.\n"
RECORDS = "Name: Ann\nAge: 31\n\nName: Bo\nAge: 4\n\nName: Cy\nAge: 9\n"


def load(tmp_path, kind, data, **options):
    path = tmp_path / "bytes"
    path.write_bytes(data)
    spec = {"kind": kind, "encoding": "utf-8", "errors": "strict", "name": "a", **options}
    return load_value(spec, str(path))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a": [1, 2]}', "JSON object"),
        ("[1, 2,\n 3]", "JSON array"),
        ('{"a": 1}\n{"a": 2}\n', "JSON lines"),
        (CSV, "CSV with 3 columns: name, city, n"),
        (CSV.replace("\n", "\r\n"), "CSV with 3 columns: name, city, n"),
        ("a\tb\n1\t2\n3\t4\n", "TSV with 2 columns: a, b"),
        ("a;b\n1;2\n3;4\n", "CSV with 2 columns split at ';': a, b"),
        (MARKDOWN, "Markdown"),
        ("Use it:\n\n```python\nimport x\nimport y\n```\n", "Markdown"),
        ("<!DOCTYPE html>\n<html><body>x</body></html>", "HTML"),
        ('<?xml version="1.0"?>\n<a><b/></a>', "XML"),
        ("<feed a='1'><b/></feed>\n", "XML"),
        (LOG, "log lines with timestamps"),
        ("Nov  2 18:10:01 host sshd[1]: x\n" * 5, "log lines with timestamps"),
        (PYTHON, "Python source"),
        ("".join(f"{n}. a thing, more\n" for n in range(1, 30)), "numbered lines"),
        (RECORDS, "records separated by blank lines, with fields Name, Age"),
    ],
)
def test_the_format_of_a_text_is_named(text, form):
    assert describe(text)["format"] == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (CSV, "CSV with 3 columns: name, city, n"),
        (LOG, "log lines with timestamps"),
        ('{"a": "é"}\n', "JSON lines"),
        (MARKDOWN + "\n", "Markdown"),
        (RECORDS + "\n", "records separated by blank lines, with fields Name, Age"),
        (PYTHON, "Python source"),
    ],
)
def test_the_format_of_a_text_longer_than_the_look_is_named_too(text, form):
    assert describe(text * (200_000 // len(text)))["format"] == form


@pytest.mark.parametrize("value", [{"k": list(range(50_000))}, [{"k": 1}] * 20_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_longer_than_the_look_is_named(value, indent):
    form = describe(json.dumps(value, indent=indent))["format"]
    assert form == ("JSON object" if isinstance(value, dict) else "JSON array")


@pytest.mark.parametrize(
    "text",
    ["", " \n", "word", PROSE, "#!/bin/sh\n# one\necho a\n# two\n", "{not json}", "[1] see there",
     "\0\ud800", "1999 was a year\n2003 was one\n7 dwarfs\n", "a,b\nc,d,e\nf\n", '"' * 300_000],
)  # fmt: skip
def test_no_format_is_named_when_nothing_is_sure(text):
    assert describe(text)["format"] is None


def test_a_short_text_is_all_head():
    assert describe("a\r\nb") == {
        "type": "str", "length": 4, "lines": 2, "format": None, "head": "a\r\nb", "tail": "",
        "overview": "",
    }  # fmt: skip


def test_a_long_text_shows_its_first_and_last_characters():
    text = "".join(f"{n}\n" for n in range(1000))
    seen = describe(text)
    assert (seen["head"], seen["tail"]) == (text[:300], text[-150:])
    assert (seen["length"], seen["lines"]) == (len(text), 1000)


@pytest.mark.parametrize(
    ("value", "form", "head"),
    [
        ([{"id": 1}, {"c": None}], "list of dict with keys id, c", '[{"id": 1}, {"c": None}]'),
        (["a", 1], "list of str, int", '["a", 1]'),
        ([], None, "[]"),
        ({"a": [True], 2: (1,)}, "dict with keys a, 2", '{"a": [True], 2: (1,)}'),
        (b"\x1f\x8bxx", "gzip", "b'"),
        (b"plain", None, "b'plain'"),
        (3.5, None, "3.5"),
    ],
)
def test_other_values_show_their_first_items_and_what_they_are_made_of(value, form, head):
    seen = describe(value)
    assert seen["format"] == form
    assert seen["head"].startswith(head)
    assert (seen["type"], seen["lines"]) == (type(value).__name__, None)


def test_a_long_list_shows_its_first_and_last_items():
    seen = describe([f"item {n}" for n in range(10_000)])
    assert seen["length"] == 10_000
    assert seen["head"].startswith('["item 0", "item 1"')
    assert seen["tail"] == '"item 9999"'


def test_a_dataframe_shows_its_columns_and_types():
    pandas = pytest.importorskip("pandas")
    seen = describe(pandas.DataFrame({"a": range(500), "b": [0.5] * 500}))
    assert (seen["type"], seen["length"]) == ("DataFrame", 500)
    assert seen["format"] == "2 columns: a (int64), b (float64)"
    assert "0,0.5" in seen["head"]


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")

    def __bool__(self):
        raise RuntimeError("no")

    def __getattr__(self, name):
        raise RuntimeError(name)


class Huge:
    def __repr__(self):
        return "x" * 10_000_000


class NotText:
    def __repr__(self):
        return 5


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


HOSTILE = {
    "raises": Hostile(),
    "raises in a list": [Hostile()],
    "raises in a dict": {"a": Hostile()},
    "raises as a DataFrame": type("DataFrame", (Hostile,), {})(),
    "long repr": Huge(),
    "long reprs": [Huge()] * 9,
    "repr that is no text": NotText(),
    "deep": deep(),
    "long number": 10**6000,
    "long text": "x" * 10**6,
    "long bytes": b"x" * 10**6,
    "long item": ["y" * 10**6],
    "long tuple as key": {("k",) * 10**5: 1},
    "long key": {"k" * 10**6: 1},
    "nothing": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_huge_values_are_described_within_bounds(name):
    seen = describe(HOSTILE[name])
    assert len(json.dumps(seen)) < 3000
    assert seen["type"] == type(HOSTILE[name]).__name__


def test_a_cycle_is_described():
    value: dict = {}
    value["self"] = [value]
    assert "…" in describe(value)["head"]


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_any_text_is_described(text):
    assert describe(text)["length"] == len(text)


@given(st.text("[]{}<>,;|\t\n:\"'# `1a-", max_size=80))
def test_texts_made_of_marks_are_described(text):
    assert describe(text)["head"] == text


def test_ragged_tables_keep_every_field(tmp_path):
    rows = load(tmp_path, "csv", b"a,b\n1,2,3\n4,5,6,7\n")
    assert rows == [{"a": "1", "b": "2", "rest": ["3"]}, {"a": "4", "b": "5", "rest": ["6", "7"]}]


def test_rows_longer_than_the_header_do_not_become_an_index(tmp_path):
    assert load(tmp_path, "csv", b"a,b\n1,2,3\n4,5,6\n")[1] == {"a": "4", "b": "5", "rest": ["6"]}


def test_a_table_that_no_reader_takes_is_text(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    field = b"x" * (csv.field_size_limit() + 1)
    assert load(tmp_path, "csv", b"a\n" + field) == "a\n" + field.decode()


def test_bytes_escaped_in_a_table_are_escaped_in_its_cells(tmp_path):
    frame = load(tmp_path, "csv", b"a,b\n\xff,1\n", errors="backslashreplace")
    assert frame["a"][0] == r"\xff"


def test_json_that_this_python_cannot_parse_is_text(tmp_path):
    data = b"[" * 200_000
    assert load(tmp_path, "json", data) == data.decode()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "docs"
    (root / "sub").mkdir(parents=True)
    (root / "b.md").write_bytes(b"b\r\n\xff")
    (root / "sub" / "a.txt").write_text("a")
    (tmp_path / "secret").write_text("secret")
    return root


def opened(folder):
    listing = folder.parent / "listing"
    listing.write_bytes(folders.listing(folder).packed())
    return load_value({"kind": "folder", "name": folder.name, "files": listing}, str(folder))


def test_a_folder_reads_like_a_mapping(folder):
    files = opened(folder)
    assert list(files) == ["b.md", "sub/a.txt"]
    assert (len(files), "b.md" in files, 3 in files) == (2, True, False)
    assert dict(files.items()) == {"b.md": "b\r\n\\xff", "sub/a.txt": "a"}
    assert repr(files) == "<Folder 'docs' of 2 files: b.md, sub/a.txt>"


def test_a_folder_is_described(folder):
    seen = describe(opened(folder))
    assert (seen["type"], seen["length"]) == ("Folder", 2)
    assert seen["format"] == "folder of text files: 1 .md, 1 .txt"
    assert "sub/a.txt" in seen["head"]


def test_a_folder_reads_nothing_outside_it(folder):
    files = opened(folder)
    for key in ("../secret", str(folder.parent / "secret"), "sub/../../secret", "", 3, None):
        with pytest.raises(KeyError):
            files[key]


def test_a_file_swapped_for_a_link_out_of_the_folder_is_not_read(folder):
    files = opened(folder)
    (folder / "b.md").unlink()
    (folder / "b.md").symlink_to(folder.parent / "secret")
    with pytest.raises(KeyError):
        files["b.md"]


def test_a_missing_file_of_a_folder_names_its_neighbours(folder):
    with pytest.raises(KeyError, match=r"near it: \['b\.md'"):
        opened(folder)["B.md"]
