"""Evaluations carried out: by a scripted LM, beside baselines, in a folder that is gone on with."""

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

from rlm_kernel import LMError, UsageError, batch, evaluation
from rlm_kernel.batch import Summary, TaskResult, open_session
from rlm_kernel.batch.figures import Picture
from rlm_kernel.batch.tables import Markdown
from rlm_kernel.evaluation import Grid, baselines, grid, notebook, pythons
from rlm_kernel.evaluation.baselines import shortened
from rlm_kernel.evaluation.lengths import parsed
from rlm_kernel.evaluation.rows import by_split, rows
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM

NAMES = ("needles/value", "needles/changed")


def _lm(tasks: batch.Tasks, sub: Callable[[str], Any] = lambda prompt: "Dijon") -> ScriptedLM:
    """An author that knows the tasks, and a sub-LM that says the same each time."""

    def turn(messages: list[dict[str, Any]]) -> str:
        text = "\n".join(str(message["content"]) for message in messages)
        gold = next(t.expected for t in tasks.tasks if t.question in text)
        return block(f"gold = {gold!r} if context else None\nFINAL_VAR(gold)")

    return ScriptedLM(turn, sub)


def _grid(**more: Any) -> Grid:
    return Grid(**{"names": NAMES, "lengths": parsed("1e3,2e3"), "seeds": 1, **more})


def _evaluated(out: Path, given: Grid, lm: ScriptedLM | None = None, **plan: Any) -> Summary:
    made = evaluation.build(given, out)
    lm = lm or _lm(made.tasks)
    how = evaluation.plan(**{"concurrency": 4, "notebook": False, **plan})
    session = open_session(in_force(), how, root=lm)
    return engine().run(evaluation.evaluate(made.tasks, out, session, how))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Two kinds at two lengths, by us and by the LM alone."""
    out = tmp_path_factory.mktemp("evaluation") / "results"
    return _evaluated(out, _grid(systems=("rlm", "window")))


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
    again = _evaluated(folder, _grid(systems=("rlm", "window")), lm)
    assert lm.asked == []
    assert len(again.results.results) == 8
    with pytest.raises(UsageError, match=r"with seeds=1, not 3: ask for the same, or choose"):
        evaluation.build(_grid(seeds=3, systems=("rlm", "window")), folder)


def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    given = _grid(lengths=parsed("1e3"), seeds=1, systems=("rlm", "window"))
    made = evaluation.build(given, tmp_path / "out")
    how = evaluation.plan(concurrency=1, notebook=False)
    begun: list[batch.Batch] = []

    def stop(counts: batch.Counts) -> None:
        if counts.done == 2:
            begun[0].stop()

    session = open_session(in_force(), how, root=_lm(made.tasks))
    work = evaluation.evaluate(made.tasks, tmp_path / "out", session, how, stop, begun.append)
    first = engine().run(work)
    assert first.stopped == "interrupted"
    lm = _lm(made.tasks)
    whole = _evaluated(tmp_path / "out", given, lm)
    assert whole.stopped is None
    assert {r.status for r in whole.results.results} == {"answered"}
    assert len(lm.asked) + len(lm.prompts) <= 2


def test_a_window_too_small_is_asked_with_less(tmp_path: Path) -> None:
    sizes: list[int] = []

    def sub(prompt: str) -> str | Exception:
        sizes.append(len(prompt))
        if len(prompt) > 3000:
            return LMError("too long", cause="window", attempts=1, status=400)
        return "Dijon"

    given = _grid(names=("needles/value",), lengths=parsed("1e4"), seeds=1, systems=("window",))
    summary = _evaluated(tmp_path / "out", given, ScriptedLM([], sub))
    [result] = summary.results.results
    assert result.answer == "Dijon"
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 3000 < sizes[0]


def test_what_is_shortened_keeps_both_ends_and_says_what_is_gone() -> None:
    short = shortened("a" * 50 + "b" * 900 + "c" * 50, 100)
    assert short.startswith("a" * 50 + "\n[... 900 characters are left out")
    assert short.endswith("c" * 50)
    assert shortened("abc", 3) == "abc"


PEER = """
import json, sys, urllib.request
given = json.load(sys.stdin)
def ask(model, text):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(given["base_url"] + "/chat/completions",
        json.dumps(body).encode(), {"Authorization": "Bearer " + given["api_key"]})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
print("looking", file=sys.stderr)
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in the place of rlms, in this Python."""

    def put(source: str) -> None:
        (tmp_path / "rlms_peer.py").write_text(PEER + source)

    import sys

    for module in (pythons, grid, baselines):
        monkeypatch.setattr(module, "python_of", lambda name: Path(sys.executable))
    monkeypatch.setattr(baselines, "program", lambda name: str(tmp_path / f"{name}.py"))
    return put


def _asked_peer(tmp_path: Path, sub: Callable[[str], Any], **settings: Any) -> TaskResult:
    given = _grid(names=("needles/value",), lengths=parsed("1e3"), seeds=1, systems=("rlms",))
    made = evaluation.build(given, tmp_path / "out")
    how = evaluation.plan(notebook=False)
    session = open_session(in_force(settings), how, root=_lm(made.tasks, sub))
    summary = engine().run(evaluation.evaluate(made.tasks, tmp_path / "out", session, how))
    [result] = summary.results.results
    return result


def test_a_peer_asks_our_lms_by_an_endpoint_that_counts(
    peer: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    peer(
        "import os\nassert 'OPENAI_API_KEY' not in os.environ\n"
        "first = ask(given['author'], given['question'])\nthen = ask(given['sub'], 'part')\n"
        "print(json.dumps({'answer': first + ' ' + then}))"
    )
    prompts: list[str] = []

    def sub(prompt: str) -> str:
        prompts.append(prompt)
        return f"reply {len(prompts)}"

    result = _asked_peer(tmp_path, sub)
    assert result.answer == "reply 1 reply 2", result.reason
    assert (result.turns, result.calls, result.correct, result.confirmed) == (1, 1, False, True)
    assert result.tokens > 0
    assert prompts[1] == "part"
    assert "locker" in prompts[0]


@pytest.mark.parametrize(
    ("source", "settings", "status", "reason"),
    [
        ("raise SystemExit('it broke')", {}, "failed", "rlms ended with status 1: it broke"),
        ("print('no json')", {}, "failed", "rlms ended with status 0: looking"),
        (
            "[ask(given['sub'], 'x' * 40) for _ in range(9)]\nprint(json.dumps({'answer': 'no'}))",
            {"max_tokens": 20},
            "limit",
            "limit reached: tokens",
        ),
    ],
)
def test_a_peer_that_fails_or_reaches_a_limit_is_told_as_such(
    peer: Callable[[str], None],
    tmp_path: Path,
    source: str,
    settings: dict[str, Any],
    status: str,
    reason: str,
) -> None:
    peer(source)
    result = _asked_peer(tmp_path, lambda prompt: "reply", **settings)
    assert (result.status, result.answer, result.correct) == (status, None, False)
    assert reason in str(result.reason)


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_peer_that_goes_on_for_ever_ends_with_its_time(
    peer: Callable[[str], None], tmp_path: Path
) -> None:
    peer(
        "import subprocess, time\n"
        "started = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(started.pid))\n"
        "ask(given['sub'], 'x')\ntime.sleep(60)"
    )
    result = _asked_peer(tmp_path, lambda prompt: "reply", max_seconds=3)
    if result.calls:  # where the machine is so busy that it had not begun, nothing is there
        assert not _is_alive(int((tmp_path / "pid").read_text()))
    assert (result.status, result.answer) == ("limit", None)
    assert "limit reached: seconds" in str(result.reason)


def test_what_cannot_be_installed_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> Path:
        raise pythons.Unavailable(f"pip cannot install {name}.txt: no network")

    monkeypatch.setattr(grid, "python_of", none)
    monkeypatch.setattr("rlm_kernel.evaluation.sets.elsewhere.python_of", none)
    given = _grid(names=("ruler", "puzzles", "needles/value"), systems=("rlm", "dspy"))
    made = evaluation.build(given, tmp_path / "out")
    assert {task.fields["set"] for task in made.tasks.tasks} == {"needles"}
    assert made.skipped == {
        "dspy": "pip cannot install dspy.txt: no network",
        "ruler": "pip cannot install ruler.txt: no network",
        "puzzles": "pip cannot install puzzles.txt: no network",
    }
    with pytest.raises(UsageError, match="no task can be made here: pip cannot install ruler"):
        evaluation.build(_grid(names=("ruler",)), tmp_path / "other")


def test_lengths_in_tokens_are_those_of_the_model(tmp_path: Path) -> None:
    given = _grid(names=("needles/value",), lengths=parsed("2kt"), seeds=1)
    made = evaluation.build(given, tmp_path / "out", lambda text: len(text) // 2)
    [task] = made.tasks.tasks
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
