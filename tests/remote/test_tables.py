"""A table keeps what is written in it, and says of all that is not as it seems."""

from __future__ import annotations

import csv
import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_kernel.remote.guest.reading import columns, tables
from rlm_kernel.remote.guest.reading.tables import read_table

pandas = pytest.importorskip("pandas")


def without_pandas(monkeypatch, text):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        return read_table(text)


def rows_of(frame):
    """The rows as a list of dicts, with None for what is missing."""
    return [
        {
            name: None if value is pandas.NA or value != value else value
            for name, value in row.items()
        }
        for row in frame.astype(object).to_dict("records")
    ]


KEPT = ["01234", "NA", "None", "null", "nan", "inf", "1e5", "1.10", "+1", " 1", "1.", ".5", "-0",
        "1,5", "1 000", "true", "2024-01-01", "12345678901234567890", "0x1f", "1_000", "١",
        "1E5", "0.00001", "--", "N/A", "#N/A"]  # fmt: skip


@pytest.mark.parametrize("cell", KEPT)
def test_what_a_number_would_not_be_written_as_stays_text(cell, monkeypatch):
    text = f'name,x\nann,"{cell}"\nbob,"{cell}"\n'
    frame, _ = read_table(text)
    assert frame["x"].tolist() == [cell, cell]
    assert without_pandas(monkeypatch, text)[0] == rows_of(frame)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-20", "0"], "int64", [1, -20, 0]),
        (["1.5", "-0.25", "1e-07", "0.1"], "float64", [1.5, -0.25, 1e-07, 0.1]),
        (["0.8444218515250481", "2.0"], "float64", [0.8444218515250481, 2.0]),
        (["True", "False"], "bool", [True, False]),
        (["1", "", "3"], "Int64", [1, None, 3]),
        (["1.5", ""], "float64", [1.5, None]),
        (["True", ""], "boolean", [True, None]),
        (["a", ""], "str", ["a", ""]),
        (["", ""], "str", ["", ""]),
    ],
)
def test_a_column_of_plain_values_is_of_their_type_and_gaps_are_missing(
    cells, kind, values, monkeypatch
):
    text = "".join(f"{name},{cell}\n" for name, cell in zip("kabcd", ["x", *cells], strict=False))
    frame, notes = read_table(text)
    assert str(frame["x"].dtype).replace("object", "str") == kind
    assert [row["x"] for row in rows_of(frame)] == values
    assert notes == []
    assert without_pandas(monkeypatch, text) == (rows_of(frame), [])


def test_a_note_names_the_columns_of_numbers_that_stay_text_and_why(monkeypatch):
    text = "zip,land,n,p,big\n01234,NA,1,1.10,123456789012345678901\n20095,DE,2.5,2.25,7\n"
    frame, notes = read_table(text)
    assert frame.iloc[0].tolist() == ["01234", "NA", "1", "1.10", "123456789012345678901"]
    assert notes == [
        "Columns of numbers that stay str, since they would not be written the same again: "
        "zip ('01234' would be 1234), n ('2.5' beside whole numbers), p ('1.10' would be 1.1), "
        "big ('123456789012345678901' has more than 18 digits)."
    ]
    assert without_pandas(monkeypatch, text)[1] == notes


def test_a_cell_far_down_decides_for_its_column():
    text = "id,n\n" + "".join(f"{n},{n}\n" for n in range(100_000)) + "7,007\n"
    frame, notes = read_table(text)
    assert (str(frame["id"].dtype), frame["n"].iloc[-1]) == ("int64", "007")
    assert "n ('007' would be 7)" in notes[0]


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("sep=;\nname;qty\nbolt;3\nnut;4\n", ["name", "qty"], "'sep=;'"),
        ('"sep=\t"\r\nname\tqty\r\nbolt\t3\r\n', ["name", "qty"], "delimiter"),
        ("Sales 2024\n\nname,qty\nbolt,3\nnut,4\n", ["name", "qty"], "'Sales 2024'"),
        (
            "Sales, by region\n\nname,qty,at\nbolt,3,x\nnut,4,y\n",
            ["name", "qty", "at"],
            "by region",
        ),
        ("Sales,,\n,,\nname,qty,at\nbolt,3,x\nnut,4,y\n", ["name", "qty", "at"], "'Sales'"),
        ("# made by a, b, c\nname,qty\nbolt,3\nnut,4\n", ["name", "qty"], "made by a"),
        ("bolt,3\nnut,4\n", ["column_1", "column_2"], "no header"),
        ("1,2\n3,4\n", ["column_1", "column_2"], "no header"),
        ("2024-01-01,ann\n2024-01-02,bob\n", ["column_1", "column_2"], "no header"),
        ("yes,no\nno,yes\nyes,yes\n", ["column_1", "column_2"], "no header"),
        ("a,a,b\n1,2,3\n", ["a", "a.1", "b"], "'a' is 'a.1'"),
        ("a,a.1,a\n1,2,3\n", ["a", "a.1", "a.2"], "'a' is 'a.2'"),
    ],
)
def test_what_is_no_plain_header_is_noticed(text, names, said, monkeypatch):
    frame, notes = read_table(text)
    assert list(frame.columns) == names
    assert said in notes[0]
    assert len(notes) == 1
    assert without_pandas(monkeypatch, text) == (rows_of(frame), notes)


@pytest.mark.parametrize(
    "text",
    [
        "country,2019,2020\nFR,1,2\nDE,3,4\n",
        ",0,1,2\n0,5,6,7\n1,8,9,9\n",
        "0,1,2\n5,6,7\n8,9,9\n",
        "id,1,2,3\na,5,6,7\n",
        "name,qty\nbolt,3\n",
        "name,city\nann,oslo\nbob,rome\n",
        "day\n2024-01-01\n",
    ],
)
def test_a_header_of_names_years_or_counted_columns_is_one(text):
    frame, notes = read_table(text)
    first = next(csv.reader(io.StringIO(text)))
    assert list(frame.columns) == [name or "Unnamed: 0" for name in first]
    assert notes == []


def test_rows_that_do_not_fit_the_header_are_counted(monkeypatch):
    frame, notes = read_table("a,b,c\n1,x,2\n4\n5,,\n")
    assert rows_of(frame) == [
        {"a": 1, "b": "x", "c": 2}, {"a": 4, "b": None, "c": None}, {"a": 5, "b": "", "c": None}
    ]  # fmt: skip
    assert notes == [
        "1 row has fewer fields than the header (the first is row 2): "
        "the fields that lack are None."
    ]
    rows, notes = read_table("a,b\n1,2\n4,5,6\n")
    assert rows == [{"a": "1", "b": "2"}, {"a": "4", "b": "5", "rest": ["6"]}]
    assert "1 row has more fields than the header (the first is row 2)" in notes[0]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('n,t\n"1","a,b"\n', {"n": 1, "t": "a,b"}),
        ('n,t\r\n1,"a\r\nb ""c"""\r\n', {"n": 1, "t": 'a\r\nb "c"'}),
        ('n,t\n1,5" pipe\n', {"n": 1, "t": '5" pipe'}),
        ("n,t\r1,x\r", {"n": 1, "t": "x"}),
        ("n,t\n1,a\0b\n", {"n": 1, "t": "a\0b"}),
        ("n;t\n1;2,5\n", {"n": 1, "t": "2,5"}),
        ("n,t\n\n1,\ud800\n\n", {"n": 1, "t": "\ud800"}),
    ],
)
def test_quotes_line_ends_and_odd_characters_are_read_as_written(text, row, monkeypatch):
    frame, _ = read_table(text)
    assert rows_of(frame) == [row]
    assert without_pandas(monkeypatch, text)[0] == [row]


cells = st.sampled_from(
    ["", "1", "0", "-1", "-0", "01", "1.5", "1.50", "-0.0", "0.0", "0.00001", "1e-05", "1e5", ".5",
     "5.", "12345678901234567", "1234567890123456789", "0.12345678901234567", "True", "False",
     "true", "nan", "a", "é", "-", "1-", "1.2.3", "é" * 9]
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=9), st.integers(1, 60)
)
def test_the_fast_way_judges_columns_as_the_rule_does(rows, block):
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    plain = [columns.Column(), columns.Column()]
    for column, own in zip(plain, zip(*rows, strict=True), strict=True):
        column.take(own)
    kept, columns._BLOCK = columns._BLOCK, block
    try:
        fast = columns.scan(pytest.importorskip("numpy"), made.getvalue().encode(), ",", 2)
    finally:
        columns._BLOCK = kept
    assert fast is not None
    assert [(c.kind, c.gaps, c.filled) for c in fast] == [(c.kind, c.gaps, c.filled) for c in plain]


@given(st.text("ab1.,;\t|\"'\r\n ", max_size=60))
def test_any_text_is_read_as_some_table(text):
    value, notes = read_table(text)
    assert type(value).__name__ in ("DataFrame", "list", "str")
    assert all(isinstance(note, str) for note in notes)


def test_a_table_that_cannot_be_read_stands_as_text(monkeypatch):
    text = "a,b\n1," + "x" * (csv.field_size_limit() + 1) + "\n"
    value, notes = without_pandas(monkeypatch, text)
    assert value == text
    assert "stands as text" in notes[0]
    assert read_table(text)[0]["b"].str.len().tolist() == [csv.field_size_limit() + 1]


def test_a_table_of_an_older_record_is_read_as_it_was_then(tmp_path):
    from rlm_kernel.remote.guest.values import load

    path = tmp_path / "a.csv"
    path.write_text("zip\n01234\n")
    spec = {"kind": "csv", "encoding": "utf-8", "errors": "strict", "name": "a.csv"}
    assert load({**spec, "reading": 1}, str(path))["zip"].tolist() == [1234]
    assert load(spec, str(path))["zip"].tolist() == ["01234"]
    assert tables.read_as_before("a,b\n1,2,3\n") == [{"a": "1", "b": "2", "rest": ["3"]}]


def test_empty_lines_above_a_table_are_passed_over():
    frame, notes = read_table("\n\r\nname,n\nann,1\n")
    assert (rows_of(frame), notes) == ([{"name": "ann", "n": 1}], [])
    assert read_table("\n\n") == ("\n\n", ["It has no rows, so it stands as text."])


def test_a_table_that_pandas_refuses_is_read_row_by_row(monkeypatch):
    def refuse(*given, **options):
        raise ValueError("no")

    monkeypatch.setattr(pandas, "read_csv", refuse)
    frame, notes = read_table("name,n\nann,1\nbob,\n")
    assert rows_of(frame) == [{"name": "ann", "n": 1}, {"name": "bob", "n": None}]
    assert notes == []
