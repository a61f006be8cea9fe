"""A trajectory runs again in the notebook: ``%rlm replay`` to ``%rlm verdict``, with no LM."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import ask_within, script
from harness import LM, Front, Outcome, RunningKernel, block, running_kernel
from records import check_equal, runs
from replay_helpers import ANSWER, CELLS, PLOT, TEXT, of_first_version, small, sources

from rlm_kernel import Limits, Result


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    made = small(tmp_path_factory.mktemp("made") / "first")
    assert made.response == ANSWER
    return made


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    """A kernel that has no LM."""
    with running_kernel(tmp_path_factory.mktemp("rlm")) as kernel:
        yield kernel


@pytest.fixture
def folder(result: Result, kernel: RunningKernel) -> Path:
    """The run's folder, moved, as the kernel's working folder."""
    for left in kernel.cwd.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return Path(shutil.copytree(result.trajectory.parent, kernel.cwd, dirs_exist_ok=True))


@pytest.fixture
def alone(result: Result, kernel: RunningKernel, folder: Path) -> Path:
    """The notebook alone, under another name, among notebooks that are none of it."""
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    small(folder.parent / "other", "another text")
    for name, made in (("other", folder.parent / "other"), ("mailed", result.trajectory.parent)):
        shutil.copy(made / "trajectory.ipynb", folder / f"{name}.ipynb")
    shutil.rmtree(folder.parent / "other")
    return folder / "mailed.ipynb"


def run_all(front: Front, cells: list[str]) -> list[Outcome]:
    """As a front end runs all: to the first cell with an error that is not tagged."""
    outcomes = []
    for cell in cells:
        outcome = front.run(cell, stop_on_error=False)
        outcomes.append(outcome)
        if outcome.status == "error" and cell not in CELLS:
            break
    return outcomes


def _verdict(front: Front, cells: list[str]) -> str:
    """What the last cell says, or the error at which the notebook stopped."""
    last = run_all(front, cells)[-1]
    return last.error[1] or last.shown


def _change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_run_all_is_equal_again_and_again(folder: Path, front: Front) -> None:
    cells = sources(folder / "trajectory.ipynb")
    assert cells[1] == "%rlm replay --run=first --node=0"
    for _ in range(3):
        begun, *ran, verdict = run_all(front, cells)[1:]
        assert "the trajectory's code now runs on this machine" in begun.stream()
        assert "its context: str, 130 bytes: found in the record" in begun.stream()
        assert [outcome.stream() for outcome in ran[:2]] == [
            "20 reply 0\n",
            "['<is row 0 good?>', '<is row 1 good?>', '<is row 2 good?>'] reply 1\n",
        ]
        assert ran[2].error == ("ZeroDivisionError", "division by zero")
        assert ran[3].result == "<IPython.core.display.HTML object>"
        assert [outcome.count for outcome in ran] == [1, 2, 3, 4, 5]
        assert verdict.shown == (
            "equal: 5 cells run again, 6 calls answered from the record, no LM asked"
        )
    assert front.run("len(rows), said[0]").result == "(20, '<is row 0 good?>')"
    again = front.run("%rlm verdict")
    assert again.error[0] == "UsageError"
    assert "no replay is under way here: %rlm replay begins one" in again.error[1]


def test_a_notebook_alone_and_renamed_is_found_among_others(alone: Path, front: Front) -> None:
    assert _verdict(front, sources(alone)).startswith("equal: 5 cells")


def test_a_notebook_of_the_first_version_is_found(folder: Path, alone: Path, front: Front) -> None:
    of_first_version(alone)
    asked = front.run("%rlm replay")
    assert "there are several trajectories (mailed.ipynb, other.ipynb)" in asked.error[1]
    (folder / "other.ipynb").unlink()
    assert _verdict(front, sources(alone)).startswith("equal: 5 cells")


def test_without_a_trajectory_a_bare_replay_shows_the_mode(folder: Path, front: Front) -> None:
    (folder / "journal.jsonl").unlink()
    (folder / "trajectory.ipynb").unlink()
    off = "replay: off, but for questions whose cells are in the notebook"
    assert front.run("%rlm replay").shown == f"{off}; this notebook is no trajectory"
    named = front.run("%rlm replay --run=first --node=0")
    assert named.error[0] == "RecordError"
    assert "there is no trajectory of run first, node 0 in" in named.error[1]
    assert "%rlm replay PATH" in named.error[1]


def test_a_path_says_where_the_trajectory_lies(
    result: Result, folder: Path, alone: Path, front: Front
) -> None:
    cells = sources(alone)
    alone.unlink()
    elsewhere = result.trajectory.parent
    assert "there is no trajectory" in _verdict(front, cells)
    assert _verdict(front, [f"%rlm replay {elsewhere}", *cells[2:]]).startswith("equal")
    papermill = f'# Parameters\ntrajectory_path = "{elsewhere}"\n'
    assert _verdict(front, [papermill, *cells]).startswith("equal")
    front.run("trajectory_path = None")


CHANGES = [
    ("journal.jsonl", '"reply 1"', '"reply 7"', "(llm_query in cell 2) was changed"),
    ("journal.jsonl", "20 reply 0", "21 reply 0", "recorded: 21 reply 0\nnow: 20 reply 0"),
    ("journal.jsonl", "row 7", "row 8", "the text in the record was changed"),
    ("trajectory.ipynb", '"reply 1"', '"reply 7"', "the recorded reply to llm_query in cell 2"),
]


@pytest.mark.parametrize(
    ("name", "before", "after", "told"), CHANGES, ids=["reply", "digit", "context", "notebook"]
)
def test_a_change_of_the_files_is_named(
    folder: Path, front: Front, name: str, before: str, after: str, told: str
) -> None:
    _change(folder / name, before, after)
    last = run_all(front, sources(folder / "trajectory.ipynb"))[-1]
    assert last.error[0] in ("ReplayDiffers", "RecordError")
    assert told in last.error[1]


def test_a_cell_that_was_edited_is_named_and_has_the_same_replies(
    folder: Path, front: Front
) -> None:
    cells = sources(folder / "trajectory.ipynb")
    cells[3] = cells[3].replace("print(said", "print(len(said)")
    *_, verdict = ran = run_all(front, cells)
    assert ran[3].stream() == "3 reply 1\n"
    assert verdict.error[0] == "ReplayDiffers"
    assert "differs: 4 cells run again" in verdict.error[1]
    assert "a cell that is not in the record was run before cell 2: said" in verdict.error[1]
    assert "cell 2 was not run: said" in verdict.error[1]


def test_a_call_that_was_not_recorded_is_refused(folder: Path, front: Front) -> None:
    cells = sources(folder / "trajectory.ipynb")
    cells.insert(3, "llm_query('something else')")
    refused = run_all(front, cells)[3]
    assert refused.error[0] == "CallRefused"
    assert "the record has no reply for this llm_query of 'something else'" in refused.error[1]
    front.run("%rlm verdict")


def test_cells_that_are_left_out_or_come_late_are_named(folder: Path, front: Front) -> None:
    above, cells = sources(folder / "trajectory.ipynb")[:2], list(CELLS)
    late = _verdict(front, [*above, cells[0], cells[2], cells[1], *cells[3:], "%rlm verdict"])
    assert "node 0: cell 2 was run after cell 3, and was recorded before it" in late
    assert "was not run" not in late
    short = _verdict(front, [*above, *cells[:2], *cells[3:4], "%rlm verdict"])
    assert "node 0: cell 3 was not run: 1 / 0" in short
    assert "node 0: cell 5 was not run: FINAL_VAR" in short


def test_what_would_disturb_a_replay_waits_for_its_end(folder: Path, front: Front) -> None:
    run_all(front, sources(folder / "trajectory.ipynb")[:3])
    for cell in ("%%rlm\nWhat is it?", "%rlm context rows", "%rlm kernel python3"):
        asked = front.run(cell)
        assert asked.error[0] == "UsageError"
        assert "%rlm verdict ends it" in asked.error[1]
    assert "cell 2 was not run" in front.run("%rlm verdict").error[1]


def test_outputs_that_run_all_saved_are_no_difference(folder: Path, front: Front) -> None:
    notebook = folder / "trajectory.ipynb"

    def saved(text: str) -> None:
        made = json.loads(notebook.read_text())
        cell = next(cell for cell in made["cells"] if cell["metadata"].get("rlm"))
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
        notebook.write_text(json.dumps(made))

    cells = sources(notebook)
    saved("20 reply\r20 reply 0\n")
    assert _verdict(front, cells).startswith("equal")
    saved("20 reply 8\n")
    told = _verdict(front, cells)
    assert "cell 1: the outputs in its notebook are not those of the record, and a replay" in told
    _change(folder / "journal.jsonl", "20 reply 0", "20 reply 8")
    assert "cell 1: its outputs differ.\nrecorded: 20 reply 8" in _verdict(front, cells)


def test_html_that_the_recorder_trusted_is_not_trusted_here(
    lm: LM, kernel: RunningKernel, folder: Path, front: Front, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=lm.environment) as before:
        human = before.front()
        human.run("%rlm trust html\ncontext = 'abc'")
        html = "from IPython.display import HTML\nHTML('<b on' 'click=\"x()\">bold</b>')"
        lm.say(block(f"print(context)\n{html}"), block("FINAL_VAR('all done')"))
        assert human.run("%%rlm\nWhat?").result == "all done"
        [run] = runs(before)
    notebook = Path(shutil.copytree(run, kernel.cwd / "html")) / "trajectory.ipynb"
    assert "onclick" in json.dumps(json.loads(notebook.read_text())["cells"][-6:])
    cells = sources(notebook)
    cells[1] = "%rlm replay html"
    ran = run_all(front, cells)
    [shown] = [m["content"]["data"] for o in ran for m in o.of("execute_result")]
    assert shown["text/html"] == "<b>bold</b>"
    assert ran[-1].shown.startswith("equal")
    _change(notebook, '<b onclick=\\"x()\\">', "<b>")  # as Run All saves it
    assert _verdict(front, cells).startswith("equal")


def test_a_question_after_the_replay_has_the_replay_in_its_record(
    result: Result, lm: LM, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        shutil.copytree(result.trajectory.parent, kernel.cwd, dirs_exist_ok=True)
        front = kernel.front()
        assert _verdict(front, sources(kernel.cwd / "trajectory.ipynb")).startswith("equal")
        lm.say(block("print(context[:5])\nFINAL_VAR(said[0] + str(len(rows)))"))
        assert front.run("%%rlm\nAnd?").result == "<is row 0 good?>20"
        check_equal(runs(kernel)[-1])


def test_a_plot_and_what_is_updated_in_place_come_out_as_recorded(
    folder: Path, front: Front
) -> None:
    update = (
        "from IPython.display import clear_output\nshown = display('one', display_id=True)\n"
        "shown.update('two')\nprint('gone')\nclear_output()\nprint('x' * 300_000)"
    )
    cells = ["print(context[:5])", PLOT, update, "FINAL_VAR(1)"]
    made = small(folder / "shown", cells=cells)
    again = sources(made.trajectory)
    again[1] = "%rlm replay shown"
    ran = run_all(front, again)
    assert "image/png" in ran[3].of("display_data")[0]["content"]["data"]
    after = [message["msg_type"] for message in ran[4].iopub].index("clear_output")
    text = "".join(m["content"]["text"] for m in ran[4].iopub[after:] if m["msg_type"] == "stream")
    assert "characters not kept" in text
    assert "gone" not in text
    assert ran[-1].shown.startswith("equal: 4 cells")


def test_a_context_that_is_nowhere_can_be_given(folder: Path, front: Front) -> None:
    text = folder / "big.txt"
    text.write_text(TEXT * 500)
    made = small(folder / "big", text)
    shutil.copy(made.trajectory, folder / "alone.ipynb")
    shutil.rmtree(folder / "big")
    text.rename(folder / "moved.txt")
    cells = sources(folder / "alone.ipynb")
    told = _verdict(front, cells)
    assert "the context of node 0, big.txt, cannot be found again" in told
    assert "%rlm replay --context PATH" in told
    cells[1] += " --context moved.txt"
    assert _verdict(front, cells).startswith("equal: 5 cells")
    (folder / "moved.txt").write_text((TEXT * 500).replace("row 3", "row 4", 1))
    assert "moved.txt has other content than when it was recorded" in _verdict(front, cells)


def test_an_interrupted_cell_is_not_run_again(folder: Path, front: Front) -> None:
    cells = ["print(context[:5], llm_query('one'))", "print(llm_query('two'))\nwhile True: pass"]
    lm = script(*cells, "while True: pass")
    made = ask_within(lm, folder / "cut", Limits(seconds=5.0), TEXT)
    assert made.status == "limit"
    again = sources(made.trajectory)
    again[1] = "%rlm replay cut"
    ran = [front.run(cell, stop_on_error=False) for cell in again]
    assert ran[3].status == "error", "stopped, so that a last turn could follow"
    assert "Not run again: it was interrupted when it was recorded." in ran[4].stream("stderr")
    assert ran[-1].shown.startswith("equal: 2 cells")


def test_a_cell_that_ended_its_kernel_is_not_run_again(folder: Path, front: Front) -> None:
    cells = ["print(context[:5])", "import os; os._exit(3)", "FINAL_VAR(context[:5])"]
    made = small(folder / "died", cells=cells)
    again = sources(made.trajectory)
    again[1] = "%rlm replay died"
    ran = [front.run(cell) for cell in again]
    assert "it ended its kernel" in ran[3].stream("stderr")
    assert ran[4].status == "ok"
    assert ran[-1].shown.startswith("equal: 2 cells")


def test_cells_and_contexts_before_the_question_come_again(
    lm: LM, kernel: RunningKernel, folder: Path, front: Front, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=lm.environment) as before:
        (before.cwd / "notes.txt").write_text("a note\n" * 10)
        human = before.front()
        human.run("%rlm context notes.txt\nfactor = 2")
        asked = human.start("name = input('who? ')")
        human.asked_input()
        human.type("Ann")
        human.finish(asked)
        human.run("context = context.upper()")
        lm.say(block("print(context[:6])\nFINAL_VAR(f'{name} {len(context) * factor}')"))
        assert human.run("%%rlm size\nHow long?").result == "Ann 140"
        [run] = runs(before)
        human.run("%rlm context notes.txt")
    (before.cwd / "notes.txt").unlink()
    shutil.copytree(run, kernel.cwd / "lived")
    cells = sources(kernel.cwd / "lived" / "trajectory.ipynb")
    cells[1] = "%rlm replay lived"
    *ran, verdict = run_all(front, cells)
    assert ran[-1].stream() == "A NOTE\n"
    assert verdict.shown.startswith("equal: 4 cells"), verdict.error
    assert front.run("factor, name").result == "(2, 'Ann')"


def test_cells_by_hand_are_run_again_and_take_no_other_input(
    lm: LM, kernel: RunningKernel, folder: Path, front: Front, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=lm.environment) as before:
        human = before.front()
        human.run("context = 'abc'\nresult = llm_query('Summarize: ' + context)")
        human.run("FINAL_VAR(result)")
    [run] = runs(before)
    shutil.copytree(run, kernel.cwd / "hand")
    above, _, *cells = sources(kernel.cwd / "hand" / "trajectory.ipynb")
    assert _verdict(front, [above, "%rlm replay hand", *cells]).startswith("equal: 2 cells")
    front.run("context_path = 'other.txt'")
    assert "in this trajectory none is asked" in front.run("%rlm replay hand").error[1]
    front.run(above)


def test_a_replay_that_is_interrupted_says_so_and_begins_anew(folder: Path, front: Front) -> None:
    long = "import time\nprint(context[:3])\nfor _ in range(20):\n    time.sleep(0.1)"
    cells = sources(small(folder / "long", cells=[long, "FINAL_VAR(1)"]).trajectory)
    cells[1] = "%rlm replay long"
    run_all(front, cells[:2])
    started = front.start(cells[2])
    front.hear(started, "row")
    front.interrupt()
    assert front.finish(started).error[0] == "KeyboardInterrupt"
    assert "node 0: cell 1 was interrupted" in _verdict(front, cells[3:])
    assert _verdict(front, cells).startswith("equal: 2 cells")
