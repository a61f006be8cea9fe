"""A record runs again with no LM, and any change of it is named."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tool_samples
from asking import ask, ask_within, block, events, of, script

from rlm_kernel import Limits, RecordError, Result, on_host
from rlm_kernel.events import CellRan
from rlm_kernel.record import trajectory
from rlm_kernel.record.versions import versions
from rlm_kernel.replay.replay import replay
from rlm_kernel.replay.verdict import Verdict
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings import limits
from rlm_kernel.testing import ScriptedLM


def _replay(path: Path) -> Verdict:
    return engine().run(replay(trajectory.load(path), lambda text: None))


def _equal(path: Path) -> Verdict:
    verdict = _replay(path)
    assert (verdict.result, verdict.differences, verdict.ambiguities) == ("equal", [], [])
    return verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run with batches, a failed cell, rich output and an answer from replies."""
    lm = script(
        "n = llm_query_batched([f'how many in {i}?' for i in range(5)])\nprint(context, n)",
        "1 / 0",
        "from IPython.display import HTML\nHTML('<b>x</b>')",
        "FINAL_VAR(n[2] + llm_query('how many in 2?'))",
        sub=lambda prompt: f"there are {len(prompt) * 137}",
    )
    out = tmp_path_factory.mktemp("runs") / "run"
    result = ask(lm, out, "line one\r\n" * 3000)
    assert result.status == "answered"
    return result


@pytest.fixture
def copy(run: Result, tmp_path: Path) -> Path:
    """The run's folder somewhere else, free to be changed."""
    return Path(shutil.copytree(run.trajectory.parent, tmp_path / "moved"))


def test_a_run_in_a_moved_folder_is_equal(copy: Path) -> None:
    verdict = _equal(copy)
    assert (verdict.cells, verdict.calls) == (4, 6)


def test_the_notebook_alone_is_equal(copy: Path, tmp_path: Path) -> None:
    alone = tmp_path / "mailed" / "trajectory.ipynb"
    alone.parent.mkdir()
    shutil.copy(copy / "trajectory.ipynb", alone)
    assert _equal(alone).calls == 6


def test_a_digit_changed_in_the_journal_is_named_with_its_line(copy: Path) -> None:
    path = copy / "journal.jsonl"
    text = path.read_text()
    changed = text.replace("there are 1918", "there are 1919", 1)
    assert changed != text
    path.write_text(changed)
    line = next(i for i, row in enumerate(changed.splitlines(), 1) if "there are 1919" in row)
    verdict = _replay(copy)
    assert verdict.result == "differs"
    assert f"line {line} (" in verdict.differences[0]


def test_a_digit_changed_in_the_notebook_is_named_with_its_cell(copy: Path) -> None:
    path = copy / "trajectory.ipynb"
    text = path.read_text()
    changed = text.replace('"there are 1918"', '"there are 1919"', 1)
    assert changed != text
    path.write_text(changed)
    verdict = _replay(copy)
    assert verdict.result == "differs"
    assert "trajectory.ipynb" in verdict.differences[0]


def test_a_digit_changed_in_the_notebook_alone_is_named(copy: Path, tmp_path: Path) -> None:
    alone = tmp_path / "mailed.ipynb"
    text = (copy / "trajectory.ipynb").read_text()
    alone.write_text(text.replace('"there are 1918"', '"there are 1919"', 1))
    verdict = _replay(alone)
    assert verdict.result == "differs"
    assert "cell" in verdict.differences[0]


def test_changed_code_of_a_cell_is_named(copy: Path) -> None:
    path = copy / "journal.jsonl"
    path.write_text(path.read_text().replace("how many in {i}?", "how much in {i}?"))
    assert _replay(copy).result == "differs"


def test_a_record_that_was_cut_differs(copy: Path) -> None:
    path = copy / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-200])
    verdict = _replay(copy)
    assert verdict.result == "differs"


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        _replay(tmp_path)
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": []}))
    with pytest.raises(RecordError):
        _replay(tmp_path / "x.ipynb")


def test_children_are_replayed_before_their_parents(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "child?" in messages[1]["content"]:
            return block("FINAL_VAR(context * 2 + llm_query('leaf'))")
        return block(
            "print(context)\nFINAL_VAR(rlm_query_batched(['child?'] * 2, ['a', 'b\\ud800']))"
        )

    result = ask(ScriptedLM(turn, lambda prompt: "!"), tmp_path / "run")
    assert result.response == "['aa!', 'b\\ud800b\\ud800!']"
    verdict = _equal(result.trajectory)
    assert (verdict.cells, verdict.calls) == (3, 4)


def test_equal_prompts_of_threads_with_equal_replies_are_equal(tmp_path: Path) -> None:
    assert _threads(tmp_path, lambda prompt: "the same").result == "equal"


def test_equal_prompts_of_threads_with_different_replies_are_ambiguous(tmp_path: Path) -> None:
    replies = iter(range(100))
    verdict = _threads(tmp_path, lambda prompt: f"reply {next(replies)}")
    assert verdict.result in ("ambiguous", "differs")
    assert "at the same time got different replies" in verdict.ambiguities[0]


def _threads(tmp_path: Path, sub: Any) -> Verdict:
    lm = ScriptedLM(
        [
            block(
                "from concurrent.futures import ThreadPoolExecutor\n"
                "with ThreadPoolExecutor(8) as pool:\n"
                "    r = sorted(pool.map(llm_query, ['same'] * 8))\n"
                "print(context)\nFINAL_VAR(r)"
            )
        ],
        sub,
        latency_s=0.2,
    )
    result = ask(lm, tmp_path / "run")
    assert result.status == "answered"
    return _replay(result.trajectory.parent)


def _add(a: int, b: int) -> int:
    return a + b


def _fail() -> None:
    raise ValueError("no such thing")


def test_calls_back_are_answered_without_the_tool(tmp_path: Path) -> None:
    lm = script(
        "print(context)\nx = add(1, b=2)\n"
        "try:\n    fail()\nexcept RuntimeError as e:\n    print(e)",
        "FINAL_VAR(x)",
    )
    tools = {"add": on_host(_add), "fail": on_host(_fail)}
    result = ask(lm, tmp_path / "run", tools=tools)
    assert result.response == "3"
    assert _equal(result.trajectory.parent).calls == 2


def test_tools_are_defined_again_from_a_notebook_that_was_sent_alone(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if "child?" in messages[1]["content"]:
            return block("FINAL_VAR(count(context))")
        return block(
            "print(context, stock('tea'))\ncount(context)",
            "FINAL_VAR(str(rlm_query('child?', 'a tea')) + mood('it'))",
        )

    tools = {
        "count": tool_samples.count,
        "mood": tool_samples.mood,
        "stock": on_host(tool_samples.stock),
    }
    lm = ScriptedLM(turn, lambda prompt: f"<{prompt}>")
    result = ask(lm, tmp_path / "run", "tea and tea", tools=tools)
    assert result.response == "{'tea': 1}<mood of it?>"
    assert _equal(result.trajectory.parent).cells == 3
    for name, cells in (("trajectory", 2), ("calls/0.1", 1)):
        alone = tmp_path / "mailed.ipynb"
        shutil.copy(result.trajectory.parent / f"{name}.ipynb", alone)
        assert _equal(alone).cells == cells


def test_changed_source_of_a_tool_is_named(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(count(context))")
    result = ask(lm, tmp_path / "run", "tea", tools={"count": tool_samples.count})
    path, alone = result.trajectory, tmp_path / "mailed.ipynb"
    text = path.read_text()
    changed = text.replace("text.lower()", "text.upper()")
    assert changed.count("text.upper()") == 2, "in the metadata and in the cell that shows it"
    alone.write_text(changed)
    assert "it gave the answer" in _replay(alone).differences[0]
    path.write_text(changed)
    assert "the source of the tools is not the one" in _replay(path.parent).differences[0]


def test_data_that_was_handed_in_is_there_again(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(table['k'])")
    result = ask(lm, tmp_path / "run", tools={"table": {"k": "from the table"}})
    assert result.response == "from the table"
    _equal(result.trajectory.parent)


@pytest.mark.parametrize("limits", [Limits(turns=1), Limits(calls=3, turns=2), Limits(tokens=500)])
def test_a_run_that_hit_a_limit_is_equal(tmp_path: Path, limits: Limits) -> None:
    lm = script(
        "print(context)\nprint(llm_query('one'))\nr = llm_query_batched(['a b'] * 200)", "1 + 1"
    )
    result = ask(lm, tmp_path / "run", limits=limits)
    assert result.status == "limit"
    _equal(result.trajectory.parent)


def test_a_run_interrupted_in_a_cell_is_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEPT_SECONDS_SHARE", 0.6)
    asking = "print(llm_query('two'))\nwhile True: pass"
    lm = script("print(context, llm_query('one'))", asking, "while True: pass")
    result = ask_within(lm, tmp_path / "run", Limits(seconds=5.0))
    assert result.status == "limit"
    assert [cell.status for cell in of(CellRan, events(result))] == ["ok", "timeout", "interrupted"]
    assert _equal(result.trajectory.parent).cells == 2


def test_a_cell_that_ended_its_kernel_is_not_run_again(tmp_path: Path) -> None:
    lm = script("print(context)\nimport os; os._exit(3)", "FINAL_VAR(context)")
    result = ask(lm, tmp_path / "run")
    assert _equal(result.trajectory.parent).cells == 1


def test_a_context_file_that_was_changed_is_found_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_text("first\n" * 20_000)
    result = ask(script("print(context[:5])\nFINAL_VAR(len(context))"), tmp_path / "run", path)
    path.write_text("second\n")
    _equal(result.trajectory.parent)


def test_a_replay_can_be_cancelled_and_leaves_no_kernel(copy: Path) -> None:
    async def cancelled() -> None:
        began = asyncio.Event()
        task = asyncio.ensure_future(replay(trajectory.load(copy), lambda text: began.set()))
        await began.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.cancelled()

    engine().run(cancelled())


def test_a_run_that_draws_times_and_writes_from_threads_is_equal(tmp_path: Path) -> None:
    lm = script(
        "import random\nprint(context, random.random())\nrandom.shuffle(order := list(range(99)))",
        "%time total = sum(order)",
        "import threading\n"
        "def ask(i):\n    print('line', i, llm_query(f'{order[i]}'))\n"
        "threads = [threading.Thread(target=ask, args=(i,)) for i in range(9)]\n"
        "[t.start() for t in threads]\n[t.join() for t in threads]\nNone",
        "FINAL_VAR(order[:9])",
        sub=lambda prompt: f"<{prompt}>",
    )
    result = ask(lm, tmp_path / "run", "yes")
    assert result.status == "answered"
    assert _equal(result.trajectory.parent).calls == 9
    alone = tmp_path / "alone.ipynb"
    shutil.copy(result.trajectory, alone)
    assert _equal(alone).calls == 9


def test_children_draw_other_numbers_than_their_parents_and_each_other(tmp_path: Path) -> None:
    draw = block("import random\nprint(len(context))\nFINAL_VAR(random.random())")

    def turn(messages: list[dict[str, Any]]) -> str:
        first = "import random\nown = random.random()\n"
        asks = "print(len(context))\nFINAL_VAR([str(own), *rlm_query_batched(['a?', 'b?'])])"
        child = any(f": {question}" in messages[1]["content"] for question in ("a?", "b?"))
        return draw if child else block(first + asks)

    result = ask(ScriptedLM(turn), tmp_path / "run", "yes")
    assert len(set(json.loads((result.response or "").replace("'", '"')))) == 3
    _equal(result.trajectory.parent)


def test_other_versions_are_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = versions() | {"ipython": "1.2.3"}
    monkeypatch.setattr(trajectory, "versions", lambda: now)
    verdict = _replay(copy)
    assert verdict.result == "equal"
    [note] = verdict.notes
    assert note.startswith("it was recorded with ipython ")
    assert note.endswith(", here 1.2.3")
