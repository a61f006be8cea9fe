"""What a question leaves of the kernel, its limits there, and cells that are not the human's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import LM, Front, RunningKernel, block
from records import check_equal, check_valid, events, runs

from rlm_kernel.events import CellRan

DONE = "FINAL_VAR('it is ' + 'done')"
SLEEPS = "import time\nkept = 1\nprint(context)\ntime.sleep(60)"


@pytest.mark.parametrize("option", [True, False], ids=["option", "line"])
def test_the_limit_on_a_cells_seconds_holds_and_names_stay(
    lm: LM, front: Front, kernel: RunningKernel, option: bool
) -> None:
    front.run("context = 'abc'")
    if not option:
        front.run("%rlm limits cell-seconds=1")
    lm.say(block(SLEEPS), block(f"print(kept)\n{DONE}"))
    options = "--max-cell-seconds 1" if option else ""
    assert front.run(f"%%rlm {options}\nHow long?", 30).result == "it is done"
    cells = [e for e in events(runs(kernel)[-1]) if isinstance(e, CellRan) and e.turn]
    assert [cell.status for cell in cells] == ["timeout", "ok"]
    front.run("%rlm limits cell-seconds=default")


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        ("_probe = 1; print('probed')", {"store_history": False}),
        ("_probe = 1; print('probed')", {"silent": True}),
        ("", {"user_expressions": {"x": "1 + 1"}}),
        ("  \n", {}),
    ],
    ids=["no history", "silent", "expressions alone", "nothing"],
)
def test_what_a_front_end_runs_for_itself_is_not_the_humans(
    lm: LM,
    front: Front,
    kernel: RunningKernel,
    code: str,
    flags: dict[str, Any],
) -> None:
    front.run("context = 'abc'")
    lm.say(*[block(f"print(context)\n{DONE}")] * 2)
    assert front.run("%%rlm\nHow long?").result == "it is done"
    count = front.run("2").count
    probed = front.run(code, **flags)
    assert probed.status == "ok"
    if flags.get("store_history") is False:
        assert probed.stream() == "probed\n"
    assert front.run("3").count == count + 1
    lm.endpoint.log.clear()
    assert front.run("%rlm continue\nWell?").result == "it is done"
    told = json.dumps([exchange.request for exchange in lm.endpoint.log])
    recorded = [e.source for e in events(runs(kernel)[-1]) if isinstance(e, CellRan)]
    assert ("probed" in told, [source for source in recorded if not source.strip()]) == (False, [])
    assert not any("probed" in source for source in recorded)
    assert recorded.count("2") >= 1
    check_equal(runs(kernel)[-1])


DRAWS = "print(context)\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


def test_figures_are_drawn_question_after_question_and_nothing_is_taken_back(
    lm: LM, front: Front
) -> None:
    pytest.importorskip("matplotlib")
    front.run("context = 'abc'")
    for _ in range(2):
        lm.say(block(DRAWS), block(DONE))
        asked = front.run("%%rlm\nHow long?", 60)
        assert (asked.result, asked.stream("stderr")) == ("it is done", "")
    mine = front.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert any("image/png" in shown["content"]["data"] for shown in mine.of("display_data"))


GUARDS_ANSWER = """
shell = get_ipython()
own = shell.run_cell
def run_cell(source, *args, **kwargs):
    if "size" in str(source)[:10]:
        raise ValueError("not here")
    return own(source, *args, **kwargs)
"""
SPOILS = {
    "refuses the seed": "import rlm_guest\nrlm_guest.seed = None",
    "dies at the seed": "import os, rlm_guest\nrlm_guest.seed = lambda number: os._exit(3)",
    "refuses the answer": f"{GUARDS_ANSWER}\nshell.run_cell = run_cell",
}


@pytest.mark.parametrize("spoils", SPOILS.values(), ids=SPOILS)
def test_the_answer_is_shown_and_bound_whatever_the_kernel_does(
    lm: LM, front: Front, kernel: RunningKernel, spoils: str
) -> None:
    front.run("context = 'abc'\nmine = 1")
    lm.say(block(f"print(context)\n{spoils}\n{DONE}"))
    asked = front.run("%%rlm size\nHow long?")
    assert (asked.status, asked.result) == ("ok", "it is done")
    assert "kernel" in asked.stream("stderr")  # it was mended or replaced, which is told
    check_valid(runs(kernel)[-1])
    assert front.run("size").result == "'it is done'"
    lm.say(block(f"print(context)\n{DONE}"))
    assert front.run("%%rlm --context size\nHow long?").result == "it is done"


def test_the_death_of_a_kernel_is_told_to_the_human_and_not_to_a_probe(front: Front) -> None:
    pid = front.run("import os\nos.getpid()").result
    front.run("import threading\nthreading.Timer(0.3, os._exit, [3]).start()")

    def probe() -> str | None:
        return front.run("__import__('os').getpid()", store_history=False).result

    front.until(lambda: probe() not in (pid, None), "another kernel")
    assert "A new kernel was started" in front.run("1").stream("stderr")
    assert front.run("2").stream("stderr") == ""
