"""The Python face: in loops, from threads, as a stream, with a kernel that is kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asking import block, check_whole, script, told

import rlm_kernel
import rlm_kernel.events
from rlm_kernel import RLM, ContextError, Limits, UsageError
from rlm_kernel.events import CellStarted, Event, ReplyDelta, RunEnded, RunStarted
from rlm_kernel.record import journal
from rlm_kernel.testing import ScriptedLM

FINISH = block("print(context)\nFINAL_VAR(context.upper())")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _always(reply: str = FINISH) -> ScriptedLM:
    return ScriptedLM(lambda messages: reply, lambda prompt: f"<{prompt}>")


def test_a_completion_gives_a_result(tmp_path: Path) -> None:
    with RLM(model=_always(block("FINAL_VAR(llm_query(context))"))) as rlm:
        result = rlm.completion("hello", root_prompt="What now?")
    assert (result.response, result.status, result.confirmed, result.reason) == (
        "<hello>",
        "answered",
        True,
        None,
    )
    assert result.usage.requests == 2
    assert result.cost == 0.0
    assert result.trajectory.name == "trajectory.ipynb"
    assert result.trajectory.parent.parent == tmp_path / "rlm-runs"
    assert (tmp_path / "rlm-runs" / ".gitignore").read_text() == "*\n"
    check_whole(result)


@pytest.mark.parametrize("question", [None, " "])
def test_without_a_question_it_is_looked_for_in_the_context(question: str | None) -> None:
    lm = script(FINISH)
    with RLM(model=lm) as rlm:
        rlm.completion("How much is 1 + 1?", question)
    assert "`context` holds a question" in told(lm, 1)


def test_a_path_is_read_as_the_command_line_reads_it(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"k": "v"}')
    with RLM(model=_always(block("FINAL_VAR(context['k'] + 'w')"))) as rlm:
        assert rlm.completion(tmp_path / "in.json").response == "vw"
        with pytest.raises(ContextError, match="no such file"):
            rlm.completion(tmp_path / "out.json")


def test_a_folder_leaves_out_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.log", "b.txt", "node_modules"):
        (tmp_path / "in" / name).write_text(name)
    with RLM(model=_always(block("FINAL_VAR(' '.join(context))")), exclude=["*.log"]) as rlm:
        assert rlm.completion(tmp_path / "in").response == "b.txt node_modules"
        with pytest.raises(ContextError, match="is a URL"):
            rlm.completion(Path("https://example.test/b.txt"))


def test_two_questions_of_one_object_have_a_folder_and_a_kernel_each() -> None:
    lm = script("mine = 1\nFINAL_VAR(context)", "FINAL_VAR('mine' in globals() or context)")
    with RLM(model=lm) as rlm:
        one, two = rlm.completion("a"), rlm.completion("b")
    assert (one.response, two.response) == ("a", "b")
    assert one.trajectory != two.trajectory


def test_completions_from_threads_do_not_meet() -> None:
    with RLM(model=_always()) as rlm, ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda text: rlm.completion(text).response, "abcd")
    assert list(answers) == ["A", "B", "C", "D"]


def test_a_persistent_kernel_keeps_its_variables() -> None:
    lm = script(
        "kept = context + '!'\nFINAL_VAR(kept)", "print(context)\nFINAL_VAR(kept + context)"
    )
    with RLM(model=lm, persistent=True) as rlm:
        assert rlm.completion("first").response == "first!"
        assert rlm.completion("second").response == "first!second"


def test_a_thread_of_an_earlier_question_is_not_booked_to_a_later_one() -> None:
    lm = script(
        "import threading\ngo, said = threading.Event(), []\n"
        "def late():\n    go.wait(30)\n    try:\n        said.append(llm_query('late'))\n"
        "    except ValueError as e:\n        said.append(str(e))\n"
        "t = threading.Thread(target=late); t.start()\nFINAL_VAR(context)",
        "print(context)\ngo.set(); t.join(30)\nFINAL_VAR(said[0])",
        sub=lambda prompt: "it was served",
    )
    with RLM(model=lm, persistent=True) as rlm:
        rlm.completion("first")
        assert "has ended" in str(rlm.completion("second").response)


def test_a_persistent_kernel_survives_its_own_death() -> None:
    lm = script(
        "import os, threading\n"
        "threading.Timer(0.3, os._exit, args=(1,)).start()\nFINAL_VAR(context)",
        "print(context)\nimport time; time.sleep(0.6)",
        "FINAL_VAR(context)",
        "FINAL_VAR(context)",
    )
    with RLM(model=lm, persistent=True) as rlm:
        rlm.completion("first")
        assert rlm.completion("second").response == "second"


def test_a_result_says_when_a_price_is_not_known() -> None:
    usage = rlm_kernel.events.Usage(requests=2, cost=0.5, unpriced=1)
    result = rlm_kernel.Result("x", "answered", True, None, usage, Path("t"))
    assert result.cost is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modle": "x"}, "did you mean 'model'"),
        ({"tools": {"llm_query": len}}, "taken by the REPL"),
        ({"tools": {"not a name": 1}}, "give a Python identifier"),
        ({"max_turns": 0}, "at least 1"),
        ({"sub_model": ScriptedLM()}, "give model as an object too"),
    ],
)
def test_wrong_use_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        RLM(**settings)


def test_a_kernelspec_that_is_not_there_is_refused_with_those_there_are() -> None:
    rlm = RLM(model=_always(), kernel="no-such-kernel")
    with rlm, pytest.raises(UsageError, match="python3"):
        rlm.completion("x")


def test_what_is_exported_is_what_is_documented() -> None:
    assert {"RLM", "Limits", "Result", "LMError"} <= set(rlm_kernel.__all__)
    assert all(hasattr(rlm_kernel, name) for name in rlm_kernel.__all__)


def test_its_modules_are_there_without_an_import_of_their_own() -> None:
    source = "import rlm_kernel as r; print(r.errors.LMError is r.LMError, r.limits.Limits())"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("True Limits(")


@pytest.mark.anyio
async def test_a_completion_works_inside_a_running_loop() -> None:
    with RLM(model=_always()) as rlm:
        assert rlm.completion("inside").response == "INSIDE"


@pytest.mark.anyio
async def test_acompletions_run_at_the_same_time() -> None:
    with RLM(model=_always()) as rlm:
        async with asyncio.timeout(60):
            results = await asyncio.gather(*(rlm.acompletion(text) for text in "abc"))
    assert [result.response for result in results] == ["A", "B", "C"]


@pytest.mark.anyio
async def test_a_cancelled_acompletion_ends_its_run_and_seals_its_record(tmp_path: Path) -> None:
    began = asyncio.Event()
    with RLM(model=_always(block("while True: pass")), out=tmp_path / "run") as rlm:
        task = asyncio.ensure_future(_until_a_cell_runs(rlm, began))
        async with asyncio.timeout(60):
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    events = journal.read(tmp_path / "run" / "journal.jsonl")
    assert events.sealed
    assert isinstance(events.events[-1], RunEnded)
    assert events.events[-1].status == "interrupted"


async def _until_a_cell_runs(rlm: RLM, began: asyncio.Event) -> None:
    async for event in rlm.astream("x"):
        if isinstance(event, CellStarted):
            began.set()


@pytest.mark.anyio
async def test_a_stream_gives_every_event_and_the_end_last() -> None:
    with RLM(model=_always()) as rlm:
        async with asyncio.timeout(60):
            seen: list[Event] = [event async for event in rlm.astream("x", "What?")]
    assert isinstance(seen[0], RunStarted)
    assert isinstance(seen[-1], RunEnded)
    assert any(isinstance(event, ReplyDelta) for event in seen)
    assert seen[0].question == "What?"


@pytest.mark.anyio
async def test_leaving_a_stream_ends_its_run(tmp_path: Path) -> None:
    with RLM(model=_always(block("while True: pass")), out=tmp_path / "run") as rlm:
        async with asyncio.timeout(60):
            stream = rlm.astream("x")
            async for event in stream:
                if isinstance(event, CellStarted):
                    break
            await stream.aclose()  # type: ignore[attr-defined]
    events = journal.read(tmp_path / "run" / "journal.jsonl").events
    assert isinstance(events[-1], RunEnded)


@pytest.mark.anyio
async def test_an_error_before_the_run_reaches_the_reader_of_a_stream() -> None:
    with RLM(model=_always()) as rlm:
        async with asyncio.timeout(60):
            with pytest.raises(ContextError):
                async for _ in rlm.astream(Path("not-there")):
                    pass


def test_limits_are_those_given() -> None:
    with RLM(model=_always(), limits=Limits(turns=3)) as rlm:
        assert rlm.limits.turns == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"limits": 5}, r"limits=5: give Limits\(\.\.\.\)"),
        ({"tools": [len]}, "give a dict of names to functions"),
        ({"env": "docker"}, "did you mean 'environment'"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RLM(model=_always(block("FINAL_VAR(1)")), **wrong)


def test_a_script_that_closes_nothing_prints_its_answer_and_no_more(tmp_path: Path) -> None:
    script = (
        "from rlm_kernel import RLM\n"
        "from rlm_kernel.testing import FakeEndpoint\n"
        f"with FakeEndpoint(lambda request: {FINISH!r}) as endpoint:\n"
        "    given = dict(base_url=endpoint.base_url, api_key='k', model='m')\n"
        "    first = RLM(**given).completion('one', 'What?').response\n"
        "    kept = RLM(**given)\n"
        "    print(first, kept.completion('two', 'What?').response)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", script],
        capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("ONE TWO\n", "", 0)
