"""Runs that go on from a record: resumed after a kill, forked at a cell, rerun on another input."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from asking import ask, block, calls, cells, check_whole, events, of, script, told

from rlm_kernel import RLM, Limits, RecordError, Result, UsageError
from rlm_kernel.events import CallEnded, CellRan, KernelRestarted, Replied, RunEnded, RunStarted
from rlm_kernel.record import journal, trajectory
from rlm_kernel.replay import continuation
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import ScriptedLM

SNAPSHOT = """\
import hashlib, random
def seen():
    found = {k: repr(v) for k, v in globals().items() if k in made}
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()
made = ["n", "replies", "drawn", "child", "tries"]
n = len(context)
print(seen())"""
SOURCES = (
    SNAPSHOT,
    "replies = llm_query_batched([f'piece {i}' for i in range(3)])\nprint(seen())",
    "drawn = [random.random() for _ in range(3)]\nprint(seen())",
    "child = rlm_query('child?', context + '!')\nprint(seen())",
    "tries = [llm_query('again') for _ in range(3)]\nprint(seen())",
    "print(seen())\nFINAL_VAR('|'.join(replies + tries + [child]))",
)
TURNS = (SOURCES[:1], SOURCES[1:3], SOURCES[3:4], SOURCES[4:5], SOURCES[5:])


def _numbered() -> Callable[[str], str]:
    """Replies of which no two are the same, even to the same prompt."""
    count = iter(range(10**6))
    return lambda prompt: f"<{prompt}: {next(count)}>"


def _lm(**more: Any) -> ScriptedLM:
    def turn(messages: list[dict[str, Any]]) -> str:
        number = sum(message["role"] == "assistant" for message in messages)
        if ": child?" in messages[1]["content"]:
            return block("part = llm_query('deep ' + context)\nprint(part)", "FINAL_VAR(part)")
        return block(*TURNS[number])

    return ScriptedLM(turn, _numbered(), **more)


def _live(source: str = "print(len(context))\nFINAL_VAR(seen())") -> ScriptedLM:
    """What goes on: its cells and replies are unlike any that are recorded."""
    return ScriptedLM(lambda messages: block(source), lambda prompt: "live")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    result = ask(_lm(), tmp_path_factory.mktemp("runs") / "run", "some text")
    assert result.status == "answered", result.reason
    return result


@pytest.fixture
def copy(run: Result, tmp_path: Path) -> Path:
    """The run's folder somewhere else, free to be changed."""
    return Path(shutil.copytree(run.trajectory.parent, tmp_path / "moved"))


def _printed(cell: CellRan) -> str:
    return str(cell.outputs[0]["text"]).strip()


def _verdict(result: Result) -> tuple[str, list[str]]:
    recorded = trajectory.load(result.trajectory.parent)
    verdict = engine().run(replay(recorded, lambda text: None))
    return verdict.result, verdict.differences


def _cut(folder: Path, lines: int, more: bytes = b"") -> Path:
    """As the run's process would leave it, killed after so many lines of its record."""
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]) + more)
    return folder


# fork
@pytest.mark.parametrize("at", range(2, 8))
def test_a_fork_begins_with_the_values_that_were_there(
    run: Result, tmp_path: Path, at: int
) -> None:
    lm = _live()
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory, at)
    assert (fork.status, fork.response) == ("answered", _printed(cells(run)[at - 2]))
    assert (len(lm.asked), lm.prompts) == (1, [])
    assert fork.usage.requests == 1
    assert [c.source for c in cells(fork)][: at - 1] == list(SOURCES[: at - 1])
    check_whole(fork)
    assert _verdict(fork) == ("equal", [])


def test_a_fork_names_its_parent_and_the_cell(run: Result, tmp_path: Path) -> None:
    with RLM(model=_live(), out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory.parent, 3)
    [started] = of(RunStarted, events(fork))
    seal = journal.read(run.trajectory.parent / "journal.jsonl").seal
    assert started.settings["origin"] == {"kind": "fork", "run": "run", "seal": seal, "cell": 3}
    header = nbformat.read(fork.trajectory, as_version=4).cells[0].source
    assert re.search(r"Forked from run \W*run\W* before its cell 3\.", re.sub("<.*?>", "", header))


def test_the_lm_is_told_what_it_was_told_and_the_humans_word(run: Result, tmp_path: Path) -> None:
    lm, first = _live(), _lm()
    ask(first, tmp_path / "same", "some text")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        rlm.fork(run.trajectory, 5, note="mind the prices")
    before = [m["content"] for m in first.asked[-2] if ": child?" not in m["content"]]
    assert len(lm.asked[0]) == len(before)
    assert told(lm, 1).endswith("The human says: mind the prices")


def test_an_edited_cell_runs_in_place_of_the_lms(run: Result, tmp_path: Path) -> None:
    lm = _live("print(drawn)\nFINAL_VAR(replies)")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory, 3, edit="drawn = 'by hand'", note="look")
    assert [(c.author, c.source) for c in cells(fork)][2] == ("human", "drawn = 'by hand'")
    assert "ran this cell in place of yours" in told(lm, 1)
    assert "drawn = 'by hand'" in told(lm, 1)
    assert _printed(cells(fork)[3]) == "by hand"
    assert _verdict(fork) == ("equal", [])


def test_a_fork_at_the_end_overrules_the_answer(run: Result, tmp_path: Path) -> None:
    lm = _live("FINAL_VAR(tries)")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(run.trajectory, note="only the tries")
    assert "The human did not take" in told(lm, 1)
    assert fork.response is not None
    assert fork.response.count("again") == 3


def test_a_run_that_reached_its_limit_goes_on_with_as_many_turns_again(tmp_path: Path) -> None:
    stopped = ask(script("x = 1", "x += 1"), tmp_path / "run", max_turns=2)
    assert stopped.status == "limit"
    lm = script("x += 2", "print(context)\nFINAL_VAR(x)")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(stopped.trajectory)
    assert (fork.status, fork.response) == ("answered", "4")


@pytest.mark.parametrize("at", [0, 8, -1])
def test_a_fork_at_a_cell_that_is_not_there_says_which_there_are(run: Result, at: int) -> None:
    with RLM(model=_live()) as rlm, pytest.raises(UsageError, match="its cells are 1 to 6, and 7"):
        rlm.fork(run.trajectory, at)


def test_a_fork_of_a_notebook_alone_asks_for_the_folder(run: Result, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ipynb"
    shutil.copy(run.trajectory, alone)
    with RLM(model=_live()) as rlm, pytest.raises(UsageError, match="ask for the run's folder"):
        rlm.fork(alone, 2)


def test_a_record_that_was_changed_is_no_ground_to_go_on_from(copy: Path) -> None:
    path = copy / "journal.jsonl"
    path.write_text(path.read_text().replace("piece 1: 1", "piece 1: 7"))
    with RLM(model=_live()) as rlm, pytest.raises(RecordError, match="was changed after"):
        rlm.fork(copy, 3)


def test_contexts_of_children_go_along_with_a_fork(tmp_path: Path) -> None:
    def turn(messages: list[dict[str, Any]]) -> str:
        if ": child?" in messages[1]["content"]:
            return block("print(len(context))\nFINAL_VAR(context[-3:])")
        return block("print(rlm_query('child?', context * 20_000))")

    first = ask(ScriptedLM(turn), tmp_path / "first", "some text", max_turns=1)
    with RLM(model=_live("FINAL_VAR('all done')"), out=tmp_path / "fork") as rlm:
        fork = rlm.fork(first.trajectory)
    assert fork.response == "all done"
    shutil.rmtree(tmp_path / "first")
    check_whole(fork)
    assert _verdict(fork) == ("equal", [])


# resume
def _lines(run: Result) -> int:
    return len((run.trajectory.parent / "journal.jsonl").read_bytes().splitlines())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", [2, 3, 4, 5])
def test_a_run_cut_after_any_line_is_finished_and_nothing_recorded_is_asked_again(
    run: Result, tmp_path: Path, first: int
) -> None:
    for kept in range(first, _lines(run) - 1, 4):
        folder = shutil.copytree(run.trajectory.parent, tmp_path / str(kept))
        half = b'{"seal": "00' if kept % 2 else b""
        _cut(folder, kept, half)
        known = journal.read(folder / "journal.jsonl").events
        lm = _lm()
        with RLM(model=lm) as rlm:
            resumed = rlm.resume(folder)
        assert resumed.status == "answered", (kept, resumed.reason)
        answered = [e.prompt for e in of(CallEnded, known) if e.child is None]
        assert len(lm.prompts) == 7 - len(answered), kept
        assert len(lm.asked) == 6 - len(of(Replied, known)), kept
        check_whole(resumed)
        assert resumed.usage.requests == sum(
            e.usage.requests for e in events(resumed) if isinstance(e, CallEnded | Replied)
        )
        assert len(of(RunEnded, events(resumed))) == len(of(RunStarted, events(resumed))) == 1


def test_what_was_drawn_and_answered_before_the_kill_is_in_the_answer(
    run: Result, copy: Path
) -> None:
    at = next(
        n for n, e in enumerate(events(run), 1) if isinstance(e, CellRan) and "tries" in e.source
    )
    with RLM(model=_lm()) as rlm:
        resumed = rlm.resume(_cut(copy, at))
    assert resumed.response == run.response
    assert [_printed(c) for c in cells(resumed)] == [_printed(c) for c in cells(run)]
    [note] = of(KernelRestarted, events(resumed))
    assert "goes on from its record" in note.reason
    assert _verdict(resumed) == ("equal", [])


def test_files_of_the_killed_run_are_set_aside(run: Result, copy: Path) -> None:
    lm = script("print(context)\nopen('note', 'x').write('once')\nFINAL_VAR('all done')")
    result = ask(lm, copy / "writes")
    folder = _cut(result.trajectory.parent, 4)
    assert (folder / "files" / "0" / "note").exists()
    with RLM(model=lm) as rlm:
        resumed = rlm.resume(folder)
    assert resumed.status == "answered", resumed.reason
    assert (folder / "files-1" / "0" / "note").read_text() == "once"


def test_a_run_that_ended_is_not_resumed(copy: Path) -> None:
    with RLM(model=_live()) as rlm, pytest.raises(UsageError, match=r"ended \(answered\).*fork"):
        rlm.resume(copy)


def test_a_run_that_still_goes_on_is_not_resumed(copy: Path) -> None:
    _cut(copy, 5)
    written, _ = journal.Journal.reopen(copy / "journal.jsonl")
    with RLM(model=_live()) as rlm, pytest.raises(RecordError, match="the run still goes on"):
        rlm.resume(copy)
    written.close()


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [(0, RecordError, "empty"), (1, UsageError, "stopped before it began")],
)
def test_a_run_that_was_stopped_at_once_says_so(
    copy: Path, lines: int, error: type[Exception], words: str
) -> None:
    with RLM(model=_live()) as rlm, pytest.raises(error, match=words):
        rlm.resume(_cut(copy, lines))


def test_where_there_is_no_run_it_says_so(tmp_path: Path) -> None:
    with RLM(model=_live()) as rlm, pytest.raises(UsageError, match="there is no run here"):
        rlm.resume(tmp_path)


def test_a_damaged_record_is_not_resumed_and_stays_as_it_is(copy: Path) -> None:
    path = _cut(copy, 6) / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"some text", b"some_text"))
    before = path.read_bytes()
    with RLM(model=_live()) as rlm, pytest.raises(RecordError, match="line 2"):
        rlm.resume(copy)
    assert path.read_bytes() == before


def test_a_context_that_is_gone_is_named(tmp_path: Path) -> None:
    text = tmp_path / "big.txt"
    text.write_text("x" * (17 << 20))
    result = ask(script("print(len(context))", "FINAL_VAR('all done')"), tmp_path / "run", text)
    folder = _cut(result.trajectory.parent, 4)
    text.write_text("y" * (17 << 20))
    with RLM(model=_live()) as rlm, pytest.raises(RecordError, match="has other content"):
        rlm.resume(folder)


# rerun
def test_the_cells_run_on_another_input_and_only_sub_calls_are_asked(
    run: Result, tmp_path: Path
) -> None:
    lm = ScriptedLM(lambda messages: block("print(context)\nFINAL_VAR(context)"), _numbered())
    with RLM(model=lm, out=tmp_path / "again") as rlm:
        again = rlm.rerun(run.trajectory, "another, longer text")
    assert again.status == "answered", again.reason
    assert [c.source for c in cells(again)] == list(SOURCES)
    assert len(lm.asked) == 1  # the child's
    assert len(calls(again)) == 7
    assert (again.response or "").endswith("another, longer text!")
    [started] = of(RunStarted, events(again))
    assert started.settings["origin"]["kind"] == "rerun"
    check_whole(again)
    assert _verdict(again) == ("equal", [])


def test_a_cell_that_fails_on_another_input_ends_it_with_the_reason(tmp_path: Path) -> None:
    first = ask(script("x = 10 / len(context)\nprint(x)", "FINAL_VAR(x)"), tmp_path / "run")
    with RLM(model=_live(), out=tmp_path / "again") as rlm:
        again = rlm.rerun(first.trajectory, "")
    assert (again.status, again.response) == ("failed", None)
    assert "cell 1 ended as error on this context" in (again.reason or "")
    assert "ZeroDivisionError" in (again.reason or "")


def test_cells_that_give_no_answer_on_another_input_say_so(tmp_path: Path) -> None:
    lm = script("print(context)\nif 'some' in context:\n    FINAL_VAR(context)")
    first = ask(lm, tmp_path / "run")
    with RLM(model=_live(), out=tmp_path / "again") as rlm:
        again = rlm.rerun(first.trajectory, "nothing of the kind")
    assert (again.status, again.response) == ("failed", None)
    assert "end after turn 1 without an answer" in (again.reason or "")


def test_a_strangers_record_lifts_no_limit_and_decides_no_place(
    run: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = continuation.fork(run.trajectory, 3)
    past.started.settings["limits"] |= {"cost": None, "depth": 3}
    past.started.settings["sandbox"] = {"network": "bridge", "mounts": {"/": "/mnt/root"}}
    monkeypatch.setenv("RLM_ENVIRONMENT", "docker")
    force = in_force(layers=[past.spoken], config=[past.place])
    assert (force.limits.cost, force.limits.depth) == (Limits().cost, 3)
    assert (force.settings.environment, force.origins["environment"]) == (
        "docker",
        "RLM_ENVIRONMENT",
    )
    assert (force.settings.network, force.settings.mounts) == ("none", ())
    assert force.settings.model == "scripted"
