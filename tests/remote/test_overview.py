"""The longer look at a value: how it is built, how large its parts are, in bounded time."""

from __future__ import annotations

import io
import json
import time
import zipfile

import pytest

from rlm_kernel.inputs.contexts import folders
from rlm_kernel.remote.guest import overview
from rlm_kernel.remote.guest.describe import describe
from rlm_kernel.remote.guest.values import load


def told(value):
    return describe(value)["overview"].split("\n")


def test_a_dict_names_the_type_and_the_length_of_each_value():
    shop = {
        "orders": [{"id": n, "qty": 2} for n in range(12_000)], "meta": {"a": 1}, "n": 5,
        "docs": ["x" * 70, "y" * 30], "title": "Shop", "raw": b"x" * 99, "no": None,
    }  # fmt: skip
    assert told(shop)[:8] == [
        "7 keys:",
        '"orders": list of 12,000 dict with keys id, qty',
        '"meta": dict of 1 with keys a',
        '"n": int 5',
        '"docs": list of 2 str, 100 characters in all',
        '"title": str of 4 characters: "Shop"',
        '"raw": bytes of 99 bytes',
        '"no": NoneType None',
    ]


def test_a_dict_of_many_keys_is_told_by_its_first_and_by_how_long_all_are():
    lines = told({f"id{n}": "x" * (n % 100) for n in range(5_000)})
    assert lines[0] == "5,000 keys:"
    assert lines[4:6] == [
        '… and 4,997 more keys, the last "id4999"',
        "The values: str. Characters: 247,500 in all, 49 at the median, 99 at most.",
    ]


def test_a_list_says_how_long_its_items_are():
    assert told(["x" * n for n in range(1, 1_000)])[0] == (
        "999 items: str. Characters: 499,500 in all, 500 at the median, 999 at most."
    )
    assert told([{"id": n, "t": "x" * 50} for n in range(5_000)])[0].startswith(
        "5,000 items: dict with keys id, t. Characters: about 35"
    )
    assert told([1, "a"])[0].startswith("2 items: int, str. Characters: 2 in all")


@pytest.mark.parametrize(
    "value", [{"data": [{"id": n} for n in range(1_000)]}, [[n] * 9 for n in range(1_000)]]
)
def test_the_end_is_not_the_beginning_again(value):
    seen = describe(value)
    lines = seen["overview"].split("\n")
    assert lines[lines.index("It begins:") + 1] == seen["head"]
    assert lines[lines.index("It ends:") + 1] == seen["tail"]
    assert "999" in seen["tail"]
    assert "999" not in seen["head"]


def test_a_million_items_are_looked_at_in_bounded_time():
    texts, dicts = ["x" * 10] * 1_000_000, [{"k": "v" * 30}] * 1_000_000
    started = time.process_time()
    assert "about 10,000,000 in all" in told(texts)[0]
    assert "1,000,000 items: dict" in told(dicts)[0]
    assert '"d": list of 1,000,000 dict' in told({"d": dicts})[1]
    assert time.process_time() - started < 1


def test_a_table_has_its_size_its_index_its_gaps_and_its_last_row():
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-01-01", periods=500, name="day")
    frame = pandas.DataFrame({"a": range(500), "b": ["x"] * 499 + [None]}, index=days)
    lines = told(frame)
    text = frame["b"].dtype
    assert lines[0] == f"500 rows × 2 columns: a (int64), b ({text}, 1 missing)"
    assert lines[1].startswith("Its index: day (datetime64")
    assert lines[1].endswith("from 2024-01-01 00:00:00 to 2025-05-14 00:00:00")
    assert lines[2:4] == ["It begins:", "2024-01-01,0,x"]
    assert lines[-2:] == ["It ends:", "2025-05-14,499,"]


def test_a_table_of_counted_rows_has_no_word_of_its_index():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3, 4]})
    assert told(frame) == ["4 rows × 1 column: a (int64)", "It begins:", "1", "2", "3",
                           "It ends:", "4"]  # fmt: skip
    assert "Its index: no name (int64), from 3 to 0" in told(frame[::-1].copy())
    pairs = pandas.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", "n"])
    lines = told(pandas.DataFrame({"a": [1, 2]}, index=pairs))
    assert "Its index: k, n (MultiIndex), from x 1 to y 2" in lines


def test_a_wide_table_names_its_columns_once():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({f"measurement_{n}": [n, n + 1] for n in range(81)})
    seen = describe(frame)["overview"]
    assert seen.startswith("2 rows × 81 columns: measurement_0 (int64), ")
    assert " more\nIt begins:\n0,1,2,3" in seen
    assert (seen.count("measurement_1 "), "measurement" in seen.split("\n", 1)[1]) == (1, False)
    assert len(seen) < 1_000


def test_a_folder_says_how_to_read_it_and_how_large_it_is(tmp_path):
    for number in range(7):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / f"{number}.md").write_text("é" * (number + 1) * 100)
    listing = tmp_path / "listing"
    listing.write_bytes(folders.listing(tmp_path / "docs").packed())
    folder = load({"kind": "folder", "name": "docs", "files": listing}, str(tmp_path / "docs"))
    assert told(folder) == [
        "7 texts of 2,800 characters in all (7 .md). A mapping: `context[name]` is a text, read "
        "when it is asked for; `context.items()` gives all.",
        "Its names: 0.md, 1.md, 2.md, 3.md, 4.md, … 6.md",
        "The largest: 6.md (700), 5.md (600), 4.md (500)",
        "0.md begins:",
        "é" * 100,
    ]


def archive(**members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("_x", ".x"), content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (archive(word__document_xml=""), "a Word document (.docx), which is a ZIP archive of 1"),
        (archive(xl__workbook_xml=""), "an Excel workbook (.xlsx)"),
        (archive(ppt__presentation_xml=""), "a PowerPoint presentation (.pptx)"),
        (archive(mimetype="application/epub+zip"), "an e-book (.epub)"),
        (archive(mimetype="text/x-odd"), "of the type text/x-odd"),
        (archive(a="", b=""), "a ZIP archive of 2 members: a, b"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "an older Office file"),
        (b"PK\x03\x04 cut short", ""),
    ],
)
def test_an_archive_is_named_as_what_it_is(data, says):
    seen = describe(data)
    assert says in seen["overview"]
    assert seen["format"] == ("ZIP archive" if data[:2] == b"PK" else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x,2\ny,4\nz,6\n", "CSV with 2 columns, without a header"),
        ("2024-01-01;x\n2024-01-02;y\n2024-01-03;z\n", "CSV with 2 columns split at ';', without"),
        ("1\t2\n3\t4\n5\t6\n", "TSV with 2 columns, without a header"),
        ("name,n\ny,4\nz,6\n", ""),
        ("no table\nat all\n", ""),
    ],
)
def test_a_header_is_claimed_only_where_there_is_one(text, says):
    seen = describe(text)["overview"]
    assert seen.startswith(says)
    assert bool(seen) == bool(says)


class Grudging(dict):
    """A dict that gives nothing away."""

    def __len__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [[Grudging()], {"a": Grudging()}, {"k": ["😀" * 10_000]}, [[]]])
def test_an_overview_is_short_and_never_raises(value):
    seen = describe(value)["overview"]
    assert len(seen) <= overview.MOST_CHARS
    assert json.dumps(seen)
