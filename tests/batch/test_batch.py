"""Many questions at once, with an LM that is asked in this process."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import check_whole
from batching import COST, Counted, number, results_of, tasks, turn

from rlm_kernel import KernelStartError, LMError, RecordError, Result, UsageError, batch
from rlm_kernel.batch import Batch, Counts, Plan, Summary, make_tasks, open_session, run_batch
from rlm_kernel.batch import plan as plans
from rlm_kernel.batch.folder import Folder
from rlm_kernel.events import Usage
from rlm_kernel.repl import guest_client
from rlm_kernel.reports import listing
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeEndpoint, Hang, ScriptedLM


def _lm(turns: Any = turn) -> ScriptedLM:
    return ScriptedLM(turns, lambda prompt: f"<{prompt}>")


def _answered(lm: ScriptedLM, out: Path, given: list[dict[str, Any]], **plan: Any) -> Summary:
    return run_batch(given, out, Plan(**plan, notebook=False), model=lm)


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScriptedLM, list[Counts]]:
    """Twelve tasks, four at a time."""
    out, lm, seen = tmp_path_factory.mktemp("batch") / "results", _lm(), []

    def watch(counts: Counts) -> None:
        seen.append(Counts(counts.total, live=counts.live, statuses=Counter(counts.statuses)))

    plan = Plan(concurrency=4, notebook=False)
    session = open_session(in_force(), plan, root=lm)
    summary = engine().run(batch.run(make_tasks(tasks(12, tag="x")), out, session, plan, watch))
    assert (summary.stopped, summary.answered) == (None, True)
    return out, lm, seen


Twelve = tuple[Path, ScriptedLM, list[Counts]]


def test_twelve_tasks_are_accounted_for_once_each(twelve: Twelve) -> None:
    out, lm, seen = twelve
    results = results_of(out)
    assert list(map(str, range(1, 13))) == sorted(results, key=int)
    assert Counter(lm.prompts) == {f"part {i} of task {n}": 1 for i in (0, 1) for n in range(1, 13)}
    assert len(lm.asked) == 24
    assert seen[-1].statuses == {"answered": 12}
    assert max(counts.live for counts in seen) == 4


def test_a_result_says_what_its_run_says(twelve: Twelve) -> None:
    out, _, _ = twelve
    for name, result in results_of(out).items():
        assert (result.answer, result.expected, result.correct) == (name, int(name), True)
        assert (result.question, result.status) == (f"What is task {name}?", "answered")
        assert (result.attempts, result.reason, result.task) == (1, None, {"tag": "x"})
        row = listing.read(out / "runs" / name)
        assert row.usage is not None
        assert (result.turns, result.calls, result.tokens) == (row.turns, row.calls, row.tokens)
        assert (result.cost, result.trajectory) == (0.0, f"runs/{name}/trajectory.ipynb")
        check_whole(Result("", "answered", True, None, Usage(), out / str(result.trajectory)))


def test_the_same_command_again_asks_nothing(twelve: Twelve) -> None:
    out, _, _ = twelve
    before, lm = (out / "results.jsonl").read_bytes(), _lm()
    assert _answered(lm, out, tasks(12, tag="x")).answered
    assert (lm.asked, (out / "results.jsonl").read_bytes()) == ([], before)


def test_a_folder_of_other_tasks_is_refused(twelve: Twelve, tmp_path: Path) -> None:
    out, _, _ = twelve
    other = tasks(12, tag="x")
    other[4]["expected"] = 0
    with pytest.raises(UsageError, match="task 5 is the first that differs"):
        _answered(_lm(), out, other)
    with pytest.raises(UsageError, match="it has 12, the file 13; task 13"):
        _answered(_lm(), out, tasks(13, tag="x"))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty \('mine.txt' is there\)"):
        _answered(_lm(), tmp_path, tasks(1))


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    made = make_tasks(tasks(1))
    with (
        Folder(tmp_path / "results", made),
        pytest.raises(RecordError, match="another `rlm batch` is writing to this folder"),
    ):
        _answered(_lm(), tmp_path / "results", tasks(1))


def test_a_line_that_was_cut_is_taken_off_and_a_strange_one_is_named(tmp_path: Path) -> None:
    out = tmp_path / "results"
    _answered(_lm(), out, tasks(2))
    path = out / "results.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:20])
    lm = _lm()
    assert _answered(lm, out, tasks(2)).answered
    assert (lm.asked, len(results_of(out))) == ([], 2)  # its run had ended: the record has it
    path.write_bytes(b'{"id": 7}\n' + first)
    with pytest.raises(RecordError, match="line 1 is not a result"):
        _answered(_lm(), out, tasks(2))


def test_a_failure_that_may_pass_is_gone_on_with_behind_the_others(tmp_path: Path) -> None:
    failing = {(2, True): LMError("down", cause="server"), (3, False): LMError("no", cause="auth")}

    def turns(messages: list[dict[str, Any]]) -> str | Exception:
        second = any(message["role"] == "assistant" for message in messages)
        key = number(messages), second
        return failing.pop(key) if key in failing else turn(messages)

    lm, out = _lm(turns), tmp_path / "results"
    assert not _answered(lm, out, tasks(4), concurrency=1).answered
    results = results_of(out)
    assert [(name, r.status, r.attempts) for name, r in results.items()] == [
        ("1", "answered", 1),
        ("3", "failed", 1),
        ("4", "answered", 1),
        ("2", "answered", 2),
    ]
    assert max(Counter(lm.prompts).values()) == 1
    assert (results["3"].correct, results["3"].reason) == (False, "no")
    again = _lm()
    assert _answered(again, out, tasks(4), retry_failed=True).answered
    assert {number(messages) for messages in again.asked} == {3}
    assert results_of(out)["3"].attempts == 2


def test_a_failure_that_does_not_pass_is_tried_as_often_as_was_said(tmp_path: Path) -> None:
    lm = _lm(lambda messages: LMError("down", cause="unreachable"))
    _answered(lm, tmp_path / "results", tasks(1), retries=2)
    [result] = results_of(tmp_path / "results").values()
    assert (result.status, result.attempts, len(lm.asked)) == ("failed", 3, 3)


def test_a_kernel_that_could_not_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, starts = guest_client.open_live, iter([True, False, False])

    @asynccontextmanager
    async def flaky(spot: Any) -> AsyncIterator[Any]:
        if next(starts):
            raise KernelStartError("no room here")
        async with real(spot) as place:
            yield place

    monkeypatch.setattr(guest_client, "open_live", flaky)
    assert _answered(_lm(), tmp_path / "results", tasks(2)).answered
    assert sorted(r.attempts for r in results_of(tmp_path / "results").values()) == [1, 2]


def test_a_setting_that_proves_to_be_wrong_ends_the_batch_and_fails_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_image(spot: Any) -> Any:
        raise UsageError("there is no such image")

    with monkeypatch.context() as patched:
        patched.setattr(guest_client, "open_live", without_image)
        with pytest.raises(UsageError, match="no such image"):
            _answered(_lm(), tmp_path / "results", tasks(3), concurrency=1)
    assert results_of(tmp_path / "results") == {}
    assert _answered(_lm(), tmp_path / "results", tasks(3)).answered


def test_a_limit_of_one_task_is_its_own(tmp_path: Path) -> None:
    given = tasks(3)
    given[1]["max_turns"] = 1
    assert not _answered(_lm(), tmp_path / "results", given).answered
    statuses = {name: r.status for name, r in results_of(tmp_path / "results").items()}
    assert statuses == {"1": "answered", "2": "limit", "3": "answered"}
    given[1]["max_turns"] = 2
    with pytest.raises(UsageError, match="task 2 is the first that differs"):
        _answered(_lm(), tmp_path / "results", given)


def test_the_total_cost_ends_the_batch_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    out, lm = tmp_path / "results", Counted()
    with FakeEndpoint(lm) as endpoint:

        def answered(total_cost: float) -> Summary:
            settings = {"base_url": endpoint.base_url, "api_key": "sk-canary"}
            plan = Plan(concurrency=1, total_cost=total_cost, notebook=False)
            return run_batch(tasks(4), out, plan, model="fake-model", **settings)

        # Five replies: the first task's four, and the second's first turn.
        assert answered(5 * COST).stopped == "total_cost"
        first = results_of(out)
        assert [r.status for r in first.values()] == ["answered", "limit", "skipped", "skipped"]
        assert "limit reached: total_cost" in str(first["2"].reason)
        assert (first["2"].correct, first["3"].correct) == (None, None)
        assert str(first["3"].reason).startswith("skipped: limit reached: total_cost")
        assert lm.given.total() == 5
        assert answered(5 * COST).stopped == "total_cost"
        assert lm.given.total() == 5
        assert answered(16 * COST).answered
    assert set(lm.given.values()) == {1}
    results = results_of(out)
    assert sum(r.cost or 0.0 for r in results.values()) == endpoint.totals().cost == 16 * COST


def test_no_time_at_all_starts_nothing(tmp_path: Path) -> None:
    lm = _lm()
    summary = _answered(lm, tmp_path / "results", tasks(3), total_seconds=0)
    assert (summary.stopped, lm.asked) == ("total_seconds", [])
    assert [r.status for r in summary.results.results] == ["skipped"] * 3
    assert _answered(lm, tmp_path / "results", tasks(3)).answered


def test_the_total_time_ends_live_runs_which_can_be_gone_on_with(tmp_path: Path) -> None:
    out, lm = tmp_path / "results", Counted(lambda name: Hang() if "turn 2" in name else None)
    with FakeEndpoint(lm) as endpoint:

        def answered(total_seconds: float | None) -> Summary:
            settings = {"base_url": endpoint.base_url, "api_key": "sk-canary"}
            plan = Plan(concurrency=2, total_seconds=total_seconds, notebook=False)
            return run_batch(tasks(2), out, plan, model="fake-model", **settings)

        assert answered(4.0).stopped == "total_seconds"
        for result in results_of(out).values():
            assert (result.status, result.unfinished) == ("limit", True)
            assert "limit reached: total_seconds" in str(result.reason)
        lm.instead = lambda name: None
        assert answered(None).answered
    assert set(lm.given.values()) == {1}


def test_a_stopped_batch_has_a_result_for_every_task_and_goes_on(tmp_path: Path) -> None:
    out, batches = tmp_path / "results", list[Batch]()

    def turns(messages: list[dict[str, Any]]) -> str:
        if number(messages) == 3:
            engine().soon(batches[0].stop)
        return turn(messages)

    first = ScriptedLM(turns, lambda prompt: f"<{prompt}>", latency_s=0.02)
    plan = Plan(concurrency=2, notebook=False)
    session = open_session(in_force(), plan, root=first)
    work = batch.run(make_tasks(tasks(8)), out, session, plan, begun=batches.append)
    assert engine().run(work).stopped == "interrupted"
    statuses = Counter(r.status for r in results_of(out).values())
    assert statuses.total() == 8
    assert statuses["interrupted"] >= 1
    assert statuses["skipped"] >= 2
    second = _lm()
    assert _answered(second, out, tasks(8)).answered
    done = {prompt for result in (first, second) for prompt in result.prompts}
    assert len(done) == 16
    check = results_of(out)
    assert all(r.correct for r in check.values())


def test_a_score_of_the_users_own_is_taken_and_waits_in_a_thread(tmp_path: Path) -> None:
    second = threading.Event()

    def score(task: batch.Task, answer: str | None) -> float | None:
        if task.id == "2":
            second.set()
            return None
        assert second.wait(60)  # or the loop would stand still
        return 0.5

    _answered(_lm(), tmp_path / "results", tasks(2), concurrency=2, score=score)
    results = results_of(tmp_path / "results")
    assert (results["1"].correct, results["2"].correct) == (0.5, None)


def test_a_slow_context_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second, real = threading.Event(), batch.Task.source

    def source(task: batch.Task) -> Any:
        assert task.id == "2" or second.wait(60)
        return real(task)

    def score(task: batch.Task, answer: str | None) -> bool:
        second.set()
        return True

    monkeypatch.setattr(batch.Task, "source", source)
    assert _answered(_lm(), tmp_path / "out", tasks(2), concurrency=2, score=score).answered
    assert list(results_of(tmp_path / "out")) == ["2", "1"]


def test_a_score_that_fails_fails_its_task_and_the_run_is_not_lost(tmp_path: Path) -> None:
    def score(task: batch.Task, answer: str | None) -> bool:
        if task.id == "1":
            raise KeyError("no score")
        return True

    _answered(_lm(), tmp_path / "results", tasks(2), score=score)
    found = results_of(tmp_path / "results")
    assert (found["1"].status, found["1"].answer) == ("failed", "1")
    assert found["1"].reason == "KeyError: 'no score'"
    assert found["2"].correct is True
    lm = _lm()
    assert _answered(lm, tmp_path / "results", tasks(2), retry_failed=True).answered
    assert lm.prompts == []


@pytest.mark.parametrize("given", [2, -0.5, float("nan"), "yes"])
def test_what_is_no_score_is_refused(given: Any) -> None:
    [task] = make_tasks(tasks(1)).tasks
    with pytest.raises(UsageError, match=r"the score gave .* for task '1'"):
        plans.scored(lambda task, answer: given, task, "1")


def test_a_context_that_is_gone_fails_its_task_only(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("text")
    given = [*tasks(1), {"question": "What is task 2?", "context_path": str(text)}]
    made = make_tasks(given)
    text.unlink()
    plan = Plan(concurrency=1, notebook=False)
    session = open_session(in_force(), plan, root=_lm())
    engine().run(batch.run(made, tmp_path / "results", session, plan))
    results = results_of(tmp_path / "results")
    assert (results["1"].status, results["2"].status) == ("answered", "failed")
    assert "there is no such file or folder" in str(results["2"].reason)
    assert results["2"].trajectory is None


def test_wrong_settings_start_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kernelspec 'no-such'"):
        run_batch(tasks(1), tmp_path / "results", model=_lm(), kernel="no-such")
    assert not (tmp_path / "results").exists()
    for wrong in (
        {"concurrency": 0},
        {"retries": -1},
        {"total_cost": -1.0},
        {"total_seconds": "1"},
    ):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))}="):
            Plan(**wrong)


def test_more_runs_than_files_may_be_open_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(plans.resource, "getrlimit", lambda what: (1024, 4096))
    monkeypatch.setattr(plans.resource, "setrlimit", lambda what, both: asked.append(both))
    plans.make_room(8, 3)
    assert asked == []
    plans.make_room(8, 4)
    assert asked == [(4096, 4096)]
    plans.make_room(158, 0)
    with pytest.raises(UsageError, match=r"may have 4,096 \(ulimit -Hn\): give at most 158"):
        plans.make_room(159, 0)


def test_what_is_written_down_is_plain_json(tmp_path: Path) -> None:
    given = [
        {"question": "What is task 1? \ud800", "context": {"a": [1, "\ud800"]}, "id": "\ud800/"}
    ]
    _answered(_lm(), tmp_path / "results", given)
    for name in ("results.jsonl", "tasks.jsonl", "batch.json"):
        for line in (tmp_path / "results" / name).read_text(encoding="ascii").splitlines():
            json.loads(line)
    [result] = results_of(tmp_path / "results").values()
    assert (result.id, result.status, result.correct) == ("\ud800/", "answered", None)


def test_it_may_be_called_inside_of_a_running_loop(tmp_path: Path) -> None:
    async def work() -> Summary:
        return _answered(_lm(), tmp_path / "results", tasks(1))

    assert asyncio.run(work()).answered
