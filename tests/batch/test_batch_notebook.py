"""``summary.ipynb``: executed where the batch ended, and again elsewhere, by anyone."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from batching import tasks, turn

from rlm_kernel import RecordError, UsageError, batch
from rlm_kernel.batch import Plan, Results, TaskResult, run_batch
from rlm_kernel.batch.summing import live_on_average, median, percentile_90, spans
from rlm_kernel.testing import ScriptedLM

HOSTILE = "<script>alert(1)</script> $a$ | [x](javascript:alert(1)) ![i](http://e.example/i.png)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of three: one right, one wrong, one that failed with a hostile text."""
    out = tmp_path_factory.mktemp("batch") / "results"
    given = tasks(3)
    given[1]["expected"] = HOSTILE
    given[2]["id"] = HOSTILE
    given[2]["max_turns"] = 1
    summary = run_batch(given, out, Plan(concurrency=3), model=ScriptedLM(turn))
    assert summary.without_outputs is None
    return out


def _cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)  # type: ignore[no-untyped-call]
    return list(notebook.cells)


def _pictures(cells: list[Any]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def test_it_has_been_executed_and_has_its_tables_and_pictures(folder: Path) -> None:
    cells = _cells(folder / "summary.ipynb")
    assert "2 of 3 tasks answered · 1 of 3 right" in cells[0].source
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(_pictures(cells)) == 3
    table = code[0].outputs[0].data["text/markdown"]
    assert re.search(r"\| right \| 1 \| 33%", table)
    assert "| **all** | 3 | 100%" in table


def test_what_a_stranger_wrote_stays_text(folder: Path) -> None:
    table = _cells(folder / "summary.ipynb")[-2].outputs[0].data["text/markdown"]
    assert "script" in table
    assert not set("<>$") & set(table.replace("<code>&#36;</code>", ""))
    assert re.findall(r"\]\(([^)]*)\)", table) == [
        f"runs/{next(p.name for p in (folder / 'runs').iterdir() if len(p.name) > 1)}"
        "/trajectory.ipynb",
        "runs/2/trajectory.ipynb",
    ]
    result = TaskResult("x", "Q?", "failed", trajectory="javascript:alert(1)//trajectory.ipynb")
    told = batch.failures_table(Results(folder, (result,))).text
    assert "javascript" not in told


def test_run_all_works_where_the_folder_is_now(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    lines = (moved / "results.jsonl").read_bytes().splitlines(keepends=True)
    (moved / "results.jsonl").write_bytes(b"".join(lines[:2]))
    monkeypatch.chdir(moved)
    code = [cell.source for cell in _cells(moved / "summary.ipynb") if cell.cell_type == "code"]
    names: dict[str, Any] = {}
    exec(code[0], names)
    assert (names["results"].folder, len(names["results"].results)) == (moved, 2)


def test_run_all_works_from_any_working_folder(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copy(folder / "summary.ipynb", tmp_path / "copied.ipynb")
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(copied)]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = _cells(tmp_path / "copied.ipynb")
    assert "| **all** | 3 | 100%" in str(cells[1].outputs)
    assert len(_pictures(cells)) == 3


def test_without_matplotlib_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for figure in (batch.outcomes_figure, batch.distributions_figure, batch.course_figure):
        shown = figure(batch.load(folder))
        assert 'pip install "rlm_kernel[batch]"' in shown._repr_markdown_()  # type: ignore[union-attr]


def test_figures_of_nothing_and_of_one_can_be_made(folder: Path) -> None:
    [one, *_] = batch.load(folder).results
    skipped = TaskResult("x", "Q?", "skipped")
    unpriced = dataclasses.replace(one, cost=None)
    for results in ((), (unpriced, skipped)):
        for figure in (batch.outcomes_figure, batch.distributions_figure, batch.course_figure):
            data, _ = figure(Results(folder, results))._repr_mimebundle_()  # type: ignore[union-attr]
            assert data["image/png"].startswith(b"\x89PNG")


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no results\.jsonl here"):
        batch.load(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "1", "question": "Q?", "status": "won"}',
        '{"id": "1", "question": "Q?", "status": "failed", "cost": "much"}',
        '{"id": "1", "question": "Q?", "status": "failed", "cost": 1e300}',
        '{"id": "1", "question": "Q?", "status": "failed", "more": 1}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_result_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "results.jsonl").write_text(line + "\n")
    with pytest.raises(RecordError, match="line 1 is no result"):
        batch.load(tmp_path)


def test_time_in_which_nothing_was_live_is_left_out() -> None:
    def result(began: float, ended: float) -> TaskResult:
        return TaskResult("x", "Q?", "answered", began=began, ended=ended)

    worked = spans([result(1000, 1004), result(1002, 1003), result(9000, 9001)])
    assert [(span.start, span.end) for span in worked] == [(2, 3), (0, 4), (4, 5)]
    assert live_on_average(worked, [0, 2, 4, 6]) == [1.0, 1.5, 0.5]


def test_medians_and_percentiles_of_few() -> None:
    assert (median([]), percentile_90([])) == (None, None)
    assert (median([3.0]), percentile_90([3.0])) == (3.0, 3.0)
    assert (median([1, 2, 3, 4]), percentile_90(range(101))) == (2.5, 90)
