"""The host looks for a quote itself that a kernel says to stand in the input."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from rlm_kernel.answers import Evidence
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.contexts import Source, standing
from rlm_kernel.remote.guest.answers.evidence import checked
from rlm_kernel.remote.guest.values import load

TEXT = "The mill at Kemi\nburnt in 1912.\r\nÅ ship sank 🚢 in 1913.\n" * 40_000
"""Some MB, so that it is read in pieces; its letters have one to four bytes."""
QUOTES = ["Kemi burnt in 1912", "Å ship sank 🚢 in 1913", "The mill"]


def _asserted(*evidence: Evidence) -> tuple[Evidence, ...]:
    return tuple(replace(e, supported=False, start=None, end=None, line=None) for e in evidence)


def _found(quotes: object, source: Source, path: Path | None = None) -> list[Evidence]:
    """What an honest kernel says."""
    spec = {**source.spec(), "files": None}
    if path is None:
        assert source.path is not None
        path = source.path
    return [Evidence(**told) for told in checked(quotes, load(spec, str(path)))]


def _file(folder: Path, data: bytes, name: str = "input.txt") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_what_stands_in_a_text_is_supported(tmp_path: Path, encoding: str) -> None:
    source = contexts.from_path(_file(tmp_path, TEXT.encode(encoding)))
    honest = _found([*QUOTES, (len(TEXT) - 30, len(TEXT) - 4)], source)
    assert [one.supported for one in honest] == [True] * 4
    assert standing(honest, source) == tuple(honest)


def test_what_stands_in_a_text_in_memory_is_supported(tmp_path: Path) -> None:
    source = contexts.from_value(TEXT)
    honest = _found(QUOTES, source, _file(tmp_path, TEXT.encode()))
    assert standing(honest, source) == tuple(honest)


@pytest.mark.parametrize(
    "change",
    [
        {"quote": "The mill at Oulu"},
        {"quote": "Kemi"},
        {"quote": ""},
        {"start": 1},
        {"end": 20},
        {"start": 1 << 30, "end": (1 << 30) + 16},
        {"line": 2},
        {"where": "another part"},
    ],
    ids=str,
)
def test_what_does_not_stand_there_is_only_asserted(change: dict[str, object]) -> None:
    source = contexts.from_value(TEXT)
    right = Evidence(quote="The mill at Kemi", supported=True, start=0, end=16, line=1)
    assert standing([right], source) == (right,)
    wrong = replace(right, **change)  # type: ignore[arg-type]
    assert standing([wrong], source) == _asserted(wrong)


def test_of_a_thousand_false_quotes_none_is_supported() -> None:
    draw = random.Random(20261201)
    source = contexts.from_value(TEXT[:50_000])
    for _ in range(20):
        forged = []
        for _ in range(50):
            start = draw.randrange(49_000)
            quote = f"the price of {draw.randrange(10_000)} was agreed"
            forged.append(
                Evidence(
                    quote=quote,
                    supported=True,
                    start=start,
                    end=start + len(quote),
                    line=TEXT.count("\n", 0, start) + 1,
                )
            )
        assert not any(one.supported for one in standing(forged, source))


def test_files_of_a_folder_are_looked_into(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    _file(tmp_path / "in", TEXT.encode(), "a.txt")
    _file(tmp_path / "in", "Grüße aus Köln".encode("cp1252"), "b.txt")
    _file(tmp_path, b"The mill at Kemi", "outside.txt")
    source = contexts.from_path(tmp_path / "in")
    there = Evidence(quote="The mill", supported=True, where="a.txt", start=0, end=8, line=1)
    other = Evidence(quote="aus Köln", supported=True, where="b.txt", start=6, end=14, line=1)
    outside = replace(there, where="../outside.txt")
    absent = replace(there, where="c.txt")
    expected = (there, other, *_asserted(outside, absent))
    assert standing([there, other, outside, absent], source) == expected


@pytest.mark.parametrize("name", ["input.json", "input.jsonl"])
def test_json_is_looked_into(tmp_path: Path, name: str) -> None:
    rows = [{"title": "A mill", "year": 1912}, {"title": "A ship", "year": 1913.5}]
    lines = json.dumps(rows) if name.endswith("json") else "\n".join(map(json.dumps, rows))
    source = contexts.from_path(_file(tmp_path, lines.encode(), name))
    honest = _found(["A ship", ("[0].title", 2, 6), "1913.5"], source)
    assert [one.where for one in honest] == ["[1].title", "[0].title", "[1].year"]
    assert standing(honest, source) == tuple(honest)
    moved = replace(honest[0], where="[0].title")
    assert standing([moved], source) == _asserted(moved)


def test_of_a_table_the_kernel_is_believed(tmp_path: Path) -> None:
    source = contexts.from_path(_file(tmp_path, b"name,year\nmill,1912\n", "input.csv"))
    said = Evidence(quote="mill", supported=True, where="[0].name", start=0, end=4, line=1)
    assert standing([said], source) == (said,)


def test_an_input_that_is_gone_supports_nothing(tmp_path: Path) -> None:
    path = _file(tmp_path, b"The mill at Kemi")
    source = contexts.from_path(path)
    said = Evidence(quote="The mill", supported=True, start=0, end=8, line=1)
    path.unlink()
    assert standing([said], source) == _asserted(said)
