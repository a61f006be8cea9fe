"""The runs of a notebook's folder: of this kernel, of others that live, of those that are gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, Withheld, block, running_kernel
from records import check_valid, events, runs
from stories import story

from rlm_kernel.events import NodeEnded, RunEnded, RunStarted
from rlm_kernel.record import journal

LOOK = block("print('seen', len(context))")
DONE = block("FINAL_VAR('there are %d' % len(context))")
ASK = "%%rlm\nHow many characters?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def kernel(lm: LM, folder: Path) -> Iterator[RunningKernel]:
    with running_kernel(folder, env=lm.environment) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def other(kernel: RunningKernel, lm: LM, folder: Path) -> Iterator[Front]:
    """A front end of another kernel in the same folder."""
    with running_kernel(folder, env=lm.environment) as kernel:
        yield kernel.front()


def withheld(lm: LM, front: Front) -> tuple[str, Withheld]:
    """A question whose first turn is over, and whose second waits to be released."""
    last = Withheld(DONE)
    lm.say(LOOK, last)
    front.run("context = 'some text'")
    asked = front.start(ASK)
    last.wait_asked()
    return asked, last


def test_a_run_is_watched_beside_the_cell_that_asks_and_from_another_kernel(
    lm: LM, kernel: RunningKernel, front: Front, other: Front
) -> None:
    asked, last = withheld(lm, front)
    assert "running" in other.run("%rlm runs").shown
    watching, beside = other.start("%rlm watch"), kernel.front()
    again = beside.start("%rlm watch")
    for who, request in ((other, watching), (beside, again)):
        who.hear(request, "[turn 1] cell")
        assert not who.is_idle(request)
    assert not isinstance(events(runs(kernel)[-1])[-1], RunEnded)
    last.release()
    assert front.finish(asked).result == "there are 9"
    for who, request in ((other, watching), (beside, again)):
        shown = who.finish(request)
        assert shown.status == "ok"
        assert "RLM · answered · 2 turns" in shown.shown
        assert "there are 9" in shown.shown
        assert len(shown.of("clear_output")) == 1
    assert "answered  there are 9" in other.run("%rlm runs").shown


def test_a_run_that_is_over_is_shown_at_once_and_by_its_name(lm: LM, other: Front) -> None:
    shown = other.run("%rlm watch 1")
    kinds = [message["msg_type"] for message in shown.of("display_data", "update_display_data")]
    assert kinds == ["display_data"] * 3  # header, answer, turns
    name = shown.stream().partition(":")[0]
    assert "there are 9" in other.run(f"%rlm watch {name}").shown
    assert other.run("%rlm watch 99").error[0] == "UsageError"


def test_a_watch_that_is_interrupted_leaves_the_run_alone(
    lm: LM, front: Front, other: Front
) -> None:
    asked, last = withheld(lm, front)
    watching = other.start("%rlm watch")
    other.hear(watching, "[turn 1] cell")
    other.interrupt()
    stopped = other.finish(watching)
    assert stopped.error[0] == "KeyboardInterrupt"
    assert "not watched any more; the run goes on" in stopped.shown
    last.release()
    assert front.finish(asked).result == "there are 9"


def test_the_run_of_a_kernel_that_died_is_ended_for_it(
    lm: LM, kernel: RunningKernel, front: Front, other: Front
) -> None:
    _, last = withheld(lm, front)
    left = runs(kernel)[-1]
    watching = other.start("%rlm watch")
    other.hear(watching, "[turn 1] cell")
    os.kill(kernel.pid, signal.SIGKILL)
    last.release()
    other.until(lambda: not kernel.manager.is_alive(), "the end of the process")
    assert "RLM · killed" in other.finish(watching).shown
    assert "interrupted" in other.run("%rlm runs").shown
    check_valid(left)
    ended = [event for event in events(left) if isinstance(event, NodeEnded | RunEnded)]
    assert [event.status for event in ended] == ["interrupted"] * 2
    assert "**interrupted**" in (left / "trajectory.ipynb").read_text()
    assert "trajectory.ipynb" in other.run(f"%rlm open {left.name}").shown
    assert "How many characters?" in other.run("%rlm cost").shown


def test_a_record_of_a_process_that_is_no_kernel_is_left_to_be_resumed(
    folder: Path, other: Front
) -> None:
    killed = folder / "notebooks/rlm-runs/killed"
    record = journal.Journal.create(killed / "journal.jsonl")
    for event in story()[:6]:
        record.write(event)
    record.close()
    assert "killed" in other.run("%rlm runs").shown
    shown = other.run("%rlm watch killed")
    assert "rlm resume" in shown.stream()
    assert "RLM · killed" in shown.shown


def test_what_is_wrong_with_a_record_is_told_below_what_can_be_shown(
    folder: Path, other: Front
) -> None:
    changed = folder / "notebooks/rlm-runs/changed"
    changed.mkdir()
    record = (folder / "notebooks/rlm-runs/killed/journal.jsonl").read_bytes()
    (changed / "journal.jsonl").write_bytes(record.replace(b"I look at", b"I looked at") + b"{}\n")
    shown = other.run("%rlm watch changed")
    assert "was changed after it was written" in shown.stream("stderr")
    assert "RLM · killed" in shown.shown
    assert "damaged" in other.run("%rlm runs").shown


def test_the_mark_of_a_process_is_in_the_record_alone(kernel: RunningKernel) -> None:
    run = runs(kernel)[-1]
    (started,) = [event for event in events(run) if isinstance(event, RunStarted)]
    mark = str(started.settings["owner"])
    assert mark.count(".") == 4
    assert mark not in (run / "trajectory.ipynb").read_text()
