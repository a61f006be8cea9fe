"""Tables as JSON data: their columns and rows, of a large one the head.

A DataFrame of pandas or polars is ``{"columns": [...], "rows": [[...], ...]}``; with an ``index``
where that is not just the rows' numbers. A Series is a table of one column. One of more than
``MOST_CELLS`` cells is cut to ``HEAD_ROWS`` rows, and says so by ``"cut": True`` and ``row_count``.
"""

from typing import Any

MOST_CELLS = 50_000
HEAD_ROWS = 100
_LIBRARIES = ("pandas", "polars")


def is_table(value: Any) -> bool:
    """Return whether it is a DataFrame or a Series."""
    bases: tuple[type, ...] = type(value).__mro__
    ours = {base.__name__ for base in bases if base.__module__.partition(".")[0] in _LIBRARIES}
    return not ours.isdisjoint(("DataFrame", "Series"))


def is_cut(table: Any) -> bool:
    """Return whether only its head is given as data."""
    rows, columns = _shape(table)
    return rows > HEAD_ROWS and rows * max(columns, 1) > MOST_CELLS


def head_of(table: Any) -> dict:
    """Return the table as data, whose values are as they stand in it."""
    rows, _ = _shape(table)
    cut = is_cut(table)
    whole, table = table, table.head(HEAD_ROWS) if cut else table
    data = _of_polars(table) if not hasattr(table, "index") else _of_pandas(table, whole)
    return dict(data, row_count=rows, cut=True) if cut else data


def csv_of(table: Any) -> bytes:
    """Return the whole as CSV."""
    if hasattr(table, "index"):
        text = table.to_csv(index=not _is_counting(table.index))
    else:
        text = (table if hasattr(table, "write_csv") else table.to_frame()).write_csv()
    return str(text).encode("utf-8", "surrogatepass")


def _shape(table: Any) -> tuple[int, int]:
    shape = table.shape
    return (shape[0], shape[1] if len(shape) > 1 else 1)


def _of_pandas(table: Any, whole: Any) -> dict:
    if len(table.shape) > 1:
        columns = [table.iloc[:, at].tolist() for at in range(table.shape[1])]
        data = {"columns": list(table.columns), "rows": _rows(columns, len(table))}
    else:
        data = {"columns": [table.name], "rows": [[item] for item in table.tolist()]}
    if not _is_counting(whole.index):
        data["index"] = table.index.tolist()
    return data


def _rows(columns: list, count: int) -> list:
    return [list(row) for row in zip(*columns)] if columns else [[] for _ in range(count)]


def _of_polars(table: Any) -> dict:
    frame = table if hasattr(table, "rows") else table.to_frame()
    return {"columns": list(frame.columns), "rows": [list(row) for row in frame.rows()]}


def _is_counting(index: Any) -> bool:
    """Return whether an index is 0, 1, 2 and so on."""
    return (
        type(index).__name__ == "RangeIndex"
        and (index.start, index.step) == (0, 1)
        and index.name is None
    )
