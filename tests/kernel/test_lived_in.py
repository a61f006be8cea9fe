"""A session of human cells and questions: each question has a record that replays alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, RunningKernel, block, running_kernel
from records import check_equal, check_valid, replayed, runs

LOOK = block("print(context)\nseen = len(context)\nFINAL_VAR(f'{seen} and {mine}')")


@pytest.fixture
def kernel(lm: LM, tmp_path: Path) -> Iterator[RunningKernel]:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        (kernel.cwd / "notes.txt").write_text("a note\n" * 10)
        yield kernel


def interrupted(front: Front, cell: str) -> None:
    running = front.start(cell)
    front.hear(running, "begun")
    front.interrupt()
    assert front.finish(running).error[0] == "KeyboardInterrupt"


def test_a_session_of_20_cells_with_all_that_can_happen_in_it(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    def ask(answer: str, *turns: str, options: str = "") -> None:
        lm.say(*turns)
        assert front.run(f"%%rlm {options}\nWhat is it?").result == answer

    front.run("import time\nmine = 1")
    front.run("# about\n%rlm context notes.txt\n\n%rlm limits turns=9\nlines = 10\nlines")
    ask("70 and 1", LOOK, options="first")
    front.run("mine += seen; first, mine")
    front.run("1 / 0")
    ask("70 and 71", LOOK)
    interrupted(front, "print('begun', flush=True)\ntime.sleep(60)")
    front.run("print(mine)\nfrom IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))")
    lm.say(block("print(context, 'begun', flush=True)\nimport time; time.sleep(60)"))
    interrupted(front, "%%rlm\nWait.")
    ask("<by the LM>", block("print(context)\nt = llm_query('by the LM')"), block("FINAL_VAR(t)"))
    front.run("by_hand = llm_query('by hand')")
    front.run("small = [3, 4]")
    ask("2 and 71", LOOK, options="--context small")
    assert front.run("import os; os._exit(3)").error[0] == "KernelDied"
    front.run("mine = 5")
    ask("70 and 5", LOOK, options="--context notes.txt")
    ask("70 and 6", block("import os\nprint(context)\nos._exit(4)"), block("mine = 6"), LOOK)
    front.run("llm_query('by hand again')")
    kernel.restart()
    front.wait_ready()
    front.run("mine = 7; context = 'abc'")
    ask("3 and 7", LOOK)
    front.run("%rlm kernel python3")
    front.run("%rlm context notes.txt\nmine = 8")
    ask("70 and 8", LOOK)
    kernel.forget_fronts()
    kernel.shut_down()
    found = runs(kernel)
    assert len(found) == 11  # eight answered, one interrupted, two records of calls by hand
    for run in found:
        check_valid(run)
    verdicts = {run.name: replayed(run) for run in found}
    differing = {name: v.differences for name, v in verdicts.items() if v.result != "equal"}
    assert differing == {}


def test_questions_about_different_contexts_each_replay_with_their_own(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("mine = 0\nother = {'a': [1, 2]}")
    for context, answer in (("notes.txt", "70"), ("other", "1"), ("notes.txt", "70")):
        lm.say(LOOK)
        asked = front.run(f"%%rlm --context {context}\nHow long?")
        assert asked.result == f"{answer} and 0"
    for run in runs(kernel):
        check_equal(run)


def test_widgets_and_scripts_of_a_human_do_not_spoil_the_record(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    shown = front.run(
        "from IPython.display import Javascript, display\n"
        "display(Javascript('1'))\nmine = 2\ncontext = 'abc'"
    )
    assert shown.of("display_data")[0]["content"]["data"]["application/javascript"] == "1"
    lm.say(LOOK)
    assert front.run("%%rlm\nHow long?").result == "3 and 2"
    check_equal(runs(kernel)[-1])


def test_magics_and_shell_commands_of_a_human_replay(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("!echo from the shell")
    front.run("%%capture said\nprint('captured')")
    front.run("context = said.stdout\nmine = 3")
    lm.say(LOOK)
    assert front.run("%%rlm\nHow long?").result == "9 and 3"
    check_equal(runs(kernel)[-1])


def test_an_error_after_a_question_replays_though_the_cells_count_otherwise(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("context = 'abc'; mine = 4")
    front.run("%rlm limits turns=1")
    lm.say("No code here.")
    assert front.run("%%rlm\nHow long?").status == "error"
    front.run("%rlm limits turns=3")
    assert front.run("mine.nothing").error[0] == "AttributeError"
    lm.say(LOOK)
    assert front.run("%%rlm\nHow long?").result == "3 and 4"
    check_equal(runs(kernel)[-1])


def test_lines_that_the_human_typed_are_typed_again_and_a_password_is_not_kept(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    running = front.start("mine = int(input('how many? '))\nprint(mine + 1)", allow_stdin=True)
    front.asked_input()
    front.type("41")
    front.finish(running)
    running = front.start("import getpass\nword = getpass.getpass()", allow_stdin=True)
    front.asked_input()
    front.type("hidden-word")
    front.finish(running)
    front.run("%rlm context notes.txt")
    lm.say(LOOK)
    assert front.run("%%rlm\nWhat is it?").result == "70 and 41"
    [run] = runs(kernel)
    check_valid(run)
    check_equal(run)
    kept = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"hidden-word" not in kept
