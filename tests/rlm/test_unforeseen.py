"""Whatever a run raises, it is a failed run: its cause in one line, its record whole, and what goes
on beside it goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, check_whole, script
from batching import number, results_of, tasks, turn

from rlm_kernel import RLM, cli
from rlm_kernel.batch import Plan, run_batch
from rlm_kernel.cli import settle
from rlm_kernel.errors import RunFailed, one_line
from rlm_kernel.events import Event, Usage
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.tools import Tools, on_host
from rlm_kernel.kernel.request_handler import RequestHandler
from rlm_kernel.record import journal
from rlm_kernel.record.recording import Recording
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM


class Odd(BaseException):
    """It is no ``Exception``."""


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def recursion() -> Exception:
    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    try:
        deeper(0)
    except RecursionError as error:
        return error
    raise AssertionError


KINDS: dict[str, BaseException] = {
    "overflow": OverflowError("cannot convert Infinity to integer ratio"),
    "recursion": recursion(),
    "memory": MemoryError(),
    "copying": shutil.Error([("a", "b", "[Errno 28] No space left on device")]),
    "key": KeyError("completion_tokens"),
    "encoding": UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    "group": ExceptionGroup("several", [ValueError("the first"), TypeError("the second")]),
    "lines": ValueError("one\ntwo\n" + "x" * 10_000),
    "mute": Mute(),
    "odd": Odd("no Exception"),
    "exit": SystemExit(3),
    "assertion": AssertionError("that never happens"),
}


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RLM, dict[str, Any]]]:
    """An RLM with one kernel, whose LM raises what is put into the dict."""
    what: dict[str, Any] = {}

    def turn(messages: list[dict[str, Any]]) -> str:
        if "error" in what:
            raise what["error"]
        return block("FINAL_VAR(context)")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("raising"))
        with RLM(model=ScriptedLM(turn), persistent=True) as rlm:
            yield rlm, what


@pytest.mark.parametrize("name", KINDS)
def test_a_run_whose_lm_raises_anything_is_a_failed_run(
    raising: tuple[RLM, dict[str, Any]], name: str
) -> None:
    rlm, what = raising
    what["error"] = KINDS[name]
    result = rlm.completion("some text", "What is it?")
    assert (result.status, result.response) == ("failed", None)
    assert result.reason == one_line(KINDS[name])
    assert "\n" not in str(result.reason)
    assert len(str(result.reason)) < 600
    check_whole(result)
    assert "Traceback" in (result.trajectory.parent / "error.log").read_text()
    del what["error"]
    assert rlm.completion("some text", "What is it?").response == "some text"


def test_a_sub_call_and_a_tool_that_raise_anything_fail_alone(tmp_path: Path) -> None:
    async def waiting(name: str) -> str:
        raise asyncio.CancelledError if name == "cancelled" else KINDS[name]

    def blocking(name: str) -> str:
        raise KINDS[name]

    def sub(prompt: str) -> str:
        raise KINDS[prompt]

    source = f"""\
said = []
print(len(context))
for name in {list(KINDS)!r}:
    for asked in (llm_query, waiting, blocking):
        try:
            said.append(asked(name))
        except Exception as error:
            said.append(str(error))
try:
    waiting("cancelled")
except Exception as error:
    said.append(str(error))
FINAL_VAR("\\n".join(said))"""
    tools = {"waiting": on_host(waiting), "blocking": on_host(blocking)}
    result = ask(script(source, sub=sub), tmp_path / "run", tools=tools)
    said = str(result.response).splitlines()
    assert (result.status, len(said)) == ("answered", 3 * len(KINDS) + 1)
    for at, error in enumerate(KINDS.values()):
        assert all(one_line(error) in line for line in said[3 * at : 3 * at + 3])
    assert said[-1] == "waiting raised CancelledError"
    check_whole(result)


def test_a_reader_that_raises_ends_its_run_and_leaves_the_record_whole(tmp_path: Path) -> None:
    def reader(event: Event) -> None:
        raise LookupError("nobody reads")

    session = Session(in_force({"out": tmp_path / "run"}), Tools(), root=script("FINAL_VAR(1)"))
    asked = session.ask(contexts.from_value("text"), "What?", [reader])
    with pytest.raises(RunFailed, match=r"^LookupError: nobody reads$"):
        engine().run(asked)
    engine().run(session.close())
    assert Recording.open(tmp_path / "run").sealed


def test_a_full_temporary_folder_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symlink_to(*given: Any, **more: Any) -> None:
        raise KINDS["copying"]

    monkeypatch.setattr(Path, "symlink_to", symlink_to)
    result = ask(script("FINAL_VAR(1)"), tmp_path / "run")
    assert (result.status, result.reason) == ("failed", one_line(KINDS["copying"]))
    check_whole(result)


def test_a_usage_that_cannot_be_fails_the_run_before_it_spoils_the_record(tmp_path: Path) -> None:
    lm = script("FINAL_VAR(1)")
    reply = lm._reply

    async def priced(*given: Any) -> Any:
        given[2].book(Usage(cost=float("inf")))
        return await reply(*given)

    lm._reply = priced  # type: ignore[method-assign]
    result = ask(lm, tmp_path / "run")
    assert (result.status, result.unrecorded) == ("failed", result.reason)
    assert "its field `usage.cost` is inf: it should be a finite" in (result.reason or "")
    assert journal.read(tmp_path / "run" / "journal.jsonl").sealed


def test_one_runs_exception_ends_no_batch_and_no_restart_of_it(tmp_path: Path) -> None:
    """Each of the tasks 1 to 4 raises something else, the tasks 5 and 6 are answered."""
    kinds = [KINDS[name] for name in ("overflow", "odd", "exit", "recursion")]

    def lm(messages: list[dict[str, Any]]) -> str:
        if number(messages) <= len(kinds):
            raise kinds[number(messages) - 1]
        return turn(messages)

    asked = ScriptedLM(lm)
    for again in (False, True):
        plan = Plan(concurrency=3, notebook=False, retry_failed=again)
        summary = run_batch(tasks(6), tmp_path / "results", plan, model=asked)
        found = results_of(tmp_path / "results")
        assert summary.stopped is None
        assert [found[str(n)].reason for n in range(1, 5)] == [one_line(kind) for kind in kinds]
        assert [found[str(n)].status for n in range(1, 7)] == 4 * ["failed"] + 2 * ["answered"]


def test_records_that_are_damaged_fail_their_tasks_alone(tmp_path: Path) -> None:
    plan, out = Plan(concurrency=4, notebook=False), tmp_path / "results"
    runs = out / "runs"
    run_batch(tasks(4), out, plan, model=ScriptedLM(turn))
    (out / "results.jsonl").unlink()
    (runs / "1" / "journal.jsonl").write_bytes(b"[" * 100_000)
    (runs / "2" / "journal.jsonl").unlink()
    (runs / "2" / "journal.jsonl").mkdir()
    broken = (runs / "3" / "journal.jsonl").read_bytes().replace(b'"depth":0', b'"depth":"x"')
    (runs / "3" / "journal.jsonl").write_bytes(broken.rpartition(b'{"sealed"')[0])
    summary = run_batch(tasks(4), out, plan, model=ScriptedLM(turn))
    found = results_of(out)
    assert summary.stopped is None
    assert [found[str(n)].status for n in (2, 3, 4)] == ["failed", "failed", "answered"]
    assert "no file" in str(found["2"].reason)
    assert "its field `depth` is 'x'" in str(found["3"].reason)


def test_a_command_that_raises_anything_says_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def from_path(*given: Any, **more: Any) -> None:
        raise KINDS["lines"]

    monkeypatch.setattr(settle, "from_path", from_path)
    lm = ["--base-url", "http://127.0.0.1:9/v1", "--model", "nobody's"]
    assert cli.main(["run", "What?", "--context", str(tmp_path), *lm]) == 1
    said = capsys.readouterr().err
    assert said.startswith("rlm: ValueError: one two xxx")
    assert (said.count("\n"), len(said) < 700) == (1, True)


def test_a_cell_whose_question_raises_anything_is_an_error_of_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, Any]] = []

    class Front:
        def send(self, kind: str, content: dict[str, Any], parent: Any) -> None:
            sent.append((kind, content))

    async def execute(*given: Any) -> Any:
        raise KINDS["exit"]

    handler = RequestHandler(Front(), tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(handler, "_execute", execute)
    content, _ = engine().run(handler.execute({"content": {"code": "%%rlm\nWhat?"}}))
    assert content["status"] == "error"
    assert content["evalue"].startswith("SystemExit: 3; this is a fault of rlm_kernel")
    assert [kind for kind, _ in sent] == ["error"]
