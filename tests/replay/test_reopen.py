"""Ended runs whose records are gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask_here, block, calls, cells, check_whole, events, of, script

from rlm_kernel import RLM, LMError, RecordError, Result
from rlm_kernel.events import Event, RunEnded, RunStarted, Usage
from rlm_kernel.record import journal, trajectory
from rlm_kernel.replay.reopen import ended_before, kept, left_out, reopen
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM


def _resumed(folder: Path, lm: ScriptedLM) -> Result:
    assert reopen(folder)
    with RLM(model=lm) as rlm:
        return rlm.resume(folder)


def _verdict(result: Result) -> str:
    recorded = trajectory.load(result.trajectory.parent)
    return engine().run(replay(recorded, lambda text: None)).result


def test_a_run_that_failed_goes_on_after_its_last_reply(tmp_path: Path) -> None:
    down = LMError("down", cause="server", attempts=6)
    failed = ask_here(script("x = llm_query('once')\nprint(context, x)", down), tmp_path / "run")
    assert (failed.status, failed.may_pass) == ("failed", True)
    lm = script("FINAL_VAR(x + '!')")
    resumed = _resumed(tmp_path / "run", lm)
    assert (resumed.status, resumed.response) == ("answered", "<once>!")
    assert (lm.prompts, len(lm.asked)) == ([], 1)
    assert len(of(RunStarted, events(resumed))) == len(of(RunEnded, events(resumed))) == 1
    assert resumed.usage.requests == 4
    check_whole(resumed)
    assert _verdict(resumed) == "equal"


@pytest.mark.parametrize(("cause", "passes"), [("server", True), ("auth", False), ("empty", False)])
def test_only_some_failures_may_pass(tmp_path: Path, cause: str, passes: bool) -> None:
    failed = ask_here(script(LMError("no", cause=cause)), tmp_path / "run")
    assert (failed.status, failed.may_pass) == ("failed", passes)


def test_calls_that_a_limit_refused_are_asked_then_and_no_others(tmp_path: Path) -> None:
    source = "a = llm_query('first')\nb = llm_query('second')\nprint(a, b)"
    limited = ask_here(script("print(context)", source), tmp_path / "run", max_calls=1, max_turns=2)
    assert limited.status == "limit"
    assert reopen(tmp_path / "run")
    lm = script("FINAL_VAR(a + b)")
    with RLM(model=lm, max_calls=5, max_turns=5) as rlm:
        resumed = rlm.resume(tmp_path / "run")
    assert (resumed.response, lm.prompts) == ("<first><second>", ["second"])
    assert [call.error for call in calls(resumed)] == [None, None]
    assert [cell.status for cell in cells(resumed)] == ["ok", "ok", "ok"]
    assert _verdict(resumed) == "equal"


def test_the_record_as_it_ended_is_kept_and_what_it_left_out_is_counted(tmp_path: Path) -> None:
    ask_here(script(LMError("no", cause="server")), tmp_path / "run")
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    assert reopen(tmp_path / "run")
    assert [path.read_bytes() for path in ended_before(tmp_path / "run")] == [before]
    assert left_out(tmp_path / "run") == Usage()  # what the failed reply cost is still in it
    assert not any(isinstance(e, RunEnded) for e in _events(tmp_path / "run"))
    assert reopen(tmp_path / "run")
    assert len(ended_before(tmp_path / "run")) == 1


def _events(folder: Path) -> list[Event]:
    return journal.read(folder / "journal.jsonl").events


def test_a_childs_record_stays_where_its_answer_was_taken(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, str]]) -> str | Exception:
        if ": child?" in messages[1]["content"]:
            return block("print(context)\nFINAL_VAR(llm_query('deep'))")
        if len(messages) > 2:
            return LMError("down", cause="unreachable")
        return block("below = rlm_query('child?', 'some more')\nprint(context, below)")

    failed = ask_here(ScriptedLM(turn, lambda prompt: f"<{prompt}>"), tmp_path / "run")
    assert failed.status == "failed", failed.reason
    ends = [event for event in kept(events(failed)) if event.kind == "node_ended"]
    assert [event.node for event in ends] == ["0.1"]  # type: ignore[union-attr]
    lm = script("FINAL_VAR(below)")
    resumed = _resumed(tmp_path / "run", lm)
    assert (resumed.response, lm.prompts, len(lm.asked)) == ("<deep>", [], 1)
    assert _verdict(resumed) == "equal"


def test_a_run_that_never_began_has_to_be_asked_anew(tmp_path: Path) -> None:
    result = ask_here(script("FINAL_VAR(context)"), tmp_path / "run")
    path = result.trajectory.parent / "journal.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert reopen(tmp_path / "run") is False
    assert reopen(tmp_path / "run") is False
    assert reopen(tmp_path / "nothing") is False
    assert ask_here(script("FINAL_VAR(context)"), tmp_path / "run").status == "answered"


def test_a_damaged_record_is_left_as_it_is(tmp_path: Path) -> None:
    result = ask_here(script("FINAL_VAR(context)"), tmp_path / "run")
    path = result.trajectory.parent / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"some text", b"some_text"))
    before = path.read_bytes()
    with pytest.raises(RecordError, match="line 2"):
        reopen(tmp_path / "run")
    assert path.read_bytes() == before
