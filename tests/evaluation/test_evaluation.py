"""Evaluations carried out by a scripted LM, in a folder that is gone on with."""

from __future__ import annotations

import ast
import asyncio
import csv
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from asking import block
from evaluating import evaluated as carried_out
from evaluating import knowing, small_grid

from rlm_kernel import UsageError, batch, evaluation
from rlm_kernel.batch import Summary, open_session
from rlm_kernel.batch.figures import Picture
from rlm_kernel.batch.tables import Markdown
from rlm_kernel.evaluation import Grid, notebook
from rlm_kernel.evaluation.lengths import parsed
from rlm_kernel.evaluation.rows import by_split, rows
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Two kinds at two lengths, by us and by the LM alone."""
    out = tmp_path_factory.mktemp("evaluation") / "results"
    return carried_out(out, small_grid(systems=("rlm", "window")))


def test_each_task_has_a_result_with_what_it_was_and_a_run_that_opens(evaluated: Summary) -> None:
    found = evaluated.results.results
    assert Counter(each.task["system"] for each in found) == {"rlm": 4, "window": 4}
    for each in found:
        assert each.status == "answered", each.reason
        assert {"set", "kind", "length", "seed", "wording", "split", "rule"} <= set(each.task)
        folder = evaluated.results.folder
        if each.task["system"] == "rlm":
            assert each.trajectory is not None
            nbformat.read(folder / each.trajectory, as_version=4)
        else:
            record = json.loads((folder / "runs" / each.id / "baseline.json").read_text())
            assert record["answer"] == "Dijon"
            assert (each.turns, each.calls) == (1, 0)
            assert each.tokens > 0


def test_the_table_has_a_row_for_each_set_length_and_system(evaluated: Summary) -> None:
    made = rows(evaluated.results)
    keys = [(row.set, row.length, row.system, row.tasks) for row in made]
    assert keys == [
        ("needles", "1e3", "rlm", 2), ("needles", "1e3", "window", 2),
        ("needles", "2e3", "rlm", 2), ("needles", "2e3", "window", 2),
        ("all", "all", "rlm", 4), ("all", "all", "window", 4),
    ]  # fmt: skip
    ours, window = made[-2:]
    assert ours.success > window.success
    for row in made:
        assert row.low <= row.success <= row.high
        scored = [r for r in evaluated.results.results if r.task["system"] == row.system]
        assert row.confident_wrong <= len(scored)
    assert window.confident_wrong == sum(
        r.correct is False for r in evaluated.results.results if r.task["system"] == "window"
    )
    splits = [(row.set, row.system) for row in by_split(evaluated.results)]
    assert set(splits) == {(s, w) for s in ("open", "held-out") for w in ("rlm", "window")}


def test_the_table_stands_beside_the_results_as_csv_and_json(evaluated: Summary) -> None:
    folder = evaluated.results.folder
    told = json.loads((folder / "scores.json").read_text())
    assert told == [dataclasses.asdict(row) for row in rows(evaluated.results)]
    with (folder / "scores.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["success"] for row in read] == [str(row["success"]) for row in told]


def test_the_notebook_has_the_table_and_the_plots(evaluated: Summary) -> None:
    sha256 = json.loads((evaluated.results.folder / "batch.json").read_text())["sha256"]
    assert evaluation.plan().texts is notebook.texts
    names: dict[str, Any] = {}
    shown = [_shown(text, names) for text in notebook.texts(evaluated.results, sha256)
             if text[:1] != "#"]  # fmt: skip
    pictures = [each for each in shown if isinstance(each, Picture)]
    assert [picture.told for picture in pictures][:2] == [
        "Success by length of needles",
        "Confidently wrong answers, tokens and seconds by system",
    ]
    assert len(pictures) == 5
    for picture in pictures[:2]:  # the others are a batch's
        data, _ = picture._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
    tables = [each.text for each in shown if isinstance(each, Markdown)]
    assert "| all | all | rlm | 4 | 100% (51–100) | 0 |" in tables[0]
    assert "| held-out |" in tables[1]


def _shown(source: str, names: dict[str, Any]) -> Any:
    """Run a cell here; return what a notebook would show."""
    *statements, last = ast.parse(source).body
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_same_again_asks_nobody_and_another_grid_is_refused(evaluated: Summary) -> None:
    folder, lm = evaluated.results.folder, ScriptedLM([])
    again = carried_out(folder, small_grid(systems=("rlm", "window")), lm)
    assert lm.asked == []
    assert len(again.results.results) == 8
    with pytest.raises(UsageError, match=r"with seeds=1, not 3: ask for the same, or choose"):
        evaluation.build(small_grid(seeds=3, systems=("rlm", "window")), folder)


def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    given = small_grid(lengths=parsed("1e3"), seeds=1, systems=("rlm", "window"))
    made = evaluation.build(given, tmp_path / "out")
    how = evaluation.plan(concurrency=1, notebook=False)
    begun: list[batch.Batch] = []

    def stop(counts: batch.Counts) -> None:
        if counts.done == 2:
            begun[0].stop()

    session = open_session(in_force(), how, root=knowing(made.tasks))
    work = evaluation.evaluate(made.tasks, tmp_path / "out", session, how, stop, begun.append)
    first = engine().run(work)
    assert first.stopped == "interrupted"
    lm = knowing(made.tasks)
    whole = carried_out(tmp_path / "out", given, lm)
    assert whole.stopped is None
    assert {r.status for r in whole.results.results} == {"answered"}
    assert len(lm.asked) + len(lm.prompts) <= 2


def test_lengths_in_tokens_are_those_of_the_model(tmp_path: Path) -> None:
    given = small_grid(names=("needles/value",), lengths=parsed("2kt"), seeds=1)
    made = evaluation.build(given, tmp_path / "out", lambda text: len(text) // 2)
    [task] = made.tasks.tasks
    assert given.in_tokens
    assert not small_grid().in_tokens
    assert 0.8 * 4096 < task.fields["chars"] < 1.3 * 4096


@pytest.mark.parametrize(
    ("written", "count", "in_tokens"),
    [("1e5", 100_000, False), ("100k", 100_000, False), ("1m", 10**6, False),
     ("32kt", 32_768, True), ("1MT", 1 << 20, True)],
)  # fmt: skip
def test_a_length_is_characters_or_tokens(written: str, count: int, in_tokens: bool) -> None:
    [found] = parsed(written)
    assert (found.count, found.in_tokens) == (count, in_tokens)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: parsed("ten"), "--length='ten': give characters such as 1e5"),
        (lambda: parsed("1e9"), "give from 1,000 to 50,000,000"),
        (lambda: Grid(names=("nothing",)), "there is no set 'nothing': give any of asked"),
        (lambda: Grid(names=("asked/x",)), "asked has no kind 'x': give any of count-filtered"),
        (lambda: Grid(seeds=0), "seeds=0"),
        (lambda: Grid(split="x"), "split='x': give open or held-out"),
        (lambda: Grid(systems=("gpt",)), "baseline='gpt': give any of window, rlms, dspy"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        make()


# tasks of one's own
def _own(folder: Path, *lines: Any) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n"
                            for each in lines))  # fmt: skip
    return path


def test_own_tasks_are_scored_by_their_rule_and_stand_in_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("one two three")
    path = _own(
        tmp_path,
        {"question": "How many?", "context": "a b", "expected": 2, "rule": "number"},
        {"question": "How many?", "context_path": "c.txt", "expected": 3, "id": "c"},
    )
    tasks = evaluation.own_tasks(path, ("rlm", "window"))
    assert [task.id for task in tasks.tasks] == ["1", "1-window", "c", "c-window"]
    how = evaluation.plan(notebook=False)
    lm = ScriptedLM(lambda messages: block("FINAL_VAR(f'{len(context.split())} words')"),
                    lambda prompt: "3")  # fmt: skip
    session = open_session(in_force(), how, root=lm)
    summary = engine().run(evaluation.evaluate(tasks, tmp_path / "out", session, how))
    correct = {each.id: each.correct for each in summary.results.results}
    assert correct == {"1": True, "1-window": False, "c": False, "c-window": True}
    found = [(row.set, row.length, row.system, row.success) for row in rows(summary.results)]
    assert ("mine", "1e0", "rlm", 1.0) in found
    assert ("all", "all", "rlm", 0.5) in found


def test_bad_lines_of_own_tasks_are_named_with_what_is_wrong(tmp_path: Path) -> None:
    good = {"question": "How many?", "context": "a", "expected": 1}
    path = _own(
        tmp_path,
        good,
        {"question": "How many?", "context": "a"},
        {**good, "rule": "nearly"},
        {**good, "answer_chars": 0},
        {**good, "expected": "one", "rule": "number"},
        {**good, "rule": "list"},
        {**good, "others": "two"},
        "no json",
    )
    with pytest.raises(UsageError) as raised:
        evaluation.own_tasks(path, ("rlm",))
    told = str(raised.value)
    for words in (
        "7 lines are not tasks",
        "line 2: there is no expected: give the right answer",
        "line 3: rule='nearly': give number, text, list, order, parts",
        "line 4: answer_chars=0: give a whole number of at least 1",
        "line 5: expected='one': the rule number wants a number",
        "line 6: expected=1: the rule list wants a list",
        "line 7: others='two': give a list of the answers that are wrong",
        "line 8: it is not JSON",
    ):
        assert words in told


def test_the_short_form_has_ten_tasks_of_open_kinds() -> None:
    kinds = evaluation.SHORT.kinds()
    assert len(kinds) * evaluation.SHORT.seeds == 10
    assert not any(kind.held_out for _, kind in kinds)
    assert asyncio.iscoroutinefunction(evaluation.evaluate)
