"""``%rlm`` lines: what they set and what they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, block, running_kernel
from records import runs

from rlm_kernel.kernel.grammar import VERBS

DONE = block("print(context)\nFINAL_VAR('done' + context[:0])")


@pytest.fixture
def asked(lm: LM, front: Front) -> Iterator[Front]:
    """A front end of a kernel in which a question was answered; its settings are taken back."""
    lm.say(DONE)
    assert front.run("context = 'abc'").status == "ok"
    assert front.run("%%rlm\nWhat?").result == "done"
    yield front
    for name in ("model", "sub-model", "base-url", "prompt", "temperature", "out", "limits"):
        front.run(f"%rlm {name} default")
    front.run("%rlm mode python\n%rlm replay off\n%rlm trust off")


NOT_ALONE = ("verdict", "continue", "key", "tell")
"""Words that need a replay, a question, a human who types, or an LM at work."""


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in NOT_ALONE])
def test_every_word_alone_does_something_or_shows_something(asked: Front, verb: str) -> None:
    shown = asked.run(f"%rlm {verb}")
    assert shown.status == "ok", shown.error
    assert shown.shown


def test_a_line_without_a_word_shows_the_status(asked: Front) -> None:
    shown = asked.run("%rlm").shown
    assert "fake-model" in shown
    assert "RLM_MODEL" in shown
    assert "limit turns" in shown
    assert "sub-model fake-model default" in " ".join(shown.split()), "who answers is told"


def test_a_setting_holds_until_it_is_taken_back(asked: Front) -> None:
    assert asked.run("%rlm model other\n%rlm model").shown == "model: other (%rlm)"
    assert asked.run("%rlm model default\n%rlm model").shown == "model: fake-model (RLM_MODEL)"


def test_a_refused_setting_changes_nothing(asked: Front) -> None:
    before = asked.run("%rlm limits").shown
    for wrong in ("turns=0", "turns=many", "turms=3", "turns"):
        refused = asked.run(f"%rlm limits {wrong}")
        assert refused.error[0] == "UsageError"
        assert "Usage: %rlm limits" in refused.error[1]
    assert asked.run("%rlm limits").shown == before


def test_nothing_of_a_cell_is_done_if_one_line_of_it_is_wrong(asked: Front) -> None:
    assert asked.run("%rlm model other\n%rlm modle x\nran = 1").status == "error"
    assert asked.run("%rlm model").shown == "model: fake-model (RLM_MODEL)"
    assert asked.run("'ran' in dir()").result == "False"


def test_limits_are_raised_for_the_questions_to_come(lm: LM, asked: Front) -> None:
    turns = [block(f"n = {n}; print(context)") for n in range(3)]
    lm.say(*turns)
    assert asked.run("%rlm limits turns=2\n%%rlm\nGo on.").error[0] == "LimitReached"
    lm.say(*turns, DONE)
    assert asked.run("%rlm limits turns=4\n%%rlm\nGo on.").result == "done"


def test_runs_open_and_cost_show_the_questions(asked: Front) -> None:
    for verb in ("runs", "cost"):
        shown = asked.run(f"%rlm {verb}").shown
        assert "What?" in shown
        assert "rlm-runs/" in shown
    page = asked.run("%rlm open").shown
    assert page.startswith("rlm-runs/")
    assert page.endswith("trajectory.ipynb")
    refused = asked.run("%rlm open 999")
    assert "%rlm runs lists 1 to" in refused.error[1]


def test_a_host_that_takes_no_updates_ends_with_the_answer_under_the_header(
    lm: LM, asked: Front
) -> None:
    lm.say(block("print(context)"), DONE)
    kept: list[str] = []
    for message in asked.run("%rlm mode\n%%rlm\nAgain?").iopub:
        if message["msg_type"] == "clear_output":
            kept.clear()
        elif "data" in message["content"] and message["msg_type"] != "update_display_data":
            data = message["content"]["data"]
            kept.append(data.get("text/markdown", data["text/plain"]))
    mode, header, answer, turns = kept
    assert mode == "mode: python"  # shown before the question, and again after it
    assert "answered" in header
    assert answer == "done"
    assert "2 turns: code, outputs and sub-calls" in turns


def test_in_the_mode_ask_plain_text_is_a_question(lm: LM, asked: Front) -> None:
    lm.say(DONE)
    asked.run("%rlm mode ask")
    assert asked.run("What is it?").result == "done"
    assert asked.run("%rlm mode python\n1 + 1").result == "2"


def test_html_of_the_lm_passes_only_when_it_is_trusted(lm: LM, asked: Front) -> None:
    html = "from IPython.display import HTML, display\ndisplay(HTML('<b onclick=alert(1)>x</b>'))"
    for trust, passes in (("off", False), ("html", True)):
        lm.say(block(f"print(context)\n{html}\nFINAL_VAR('done' + context[:0])"))
        shown = asked.run(f"%rlm trust {trust}\n%%rlm\nShow it.")
        assert shown.result == "done"
        data = [m["content"]["data"].get("text/html", "") for m in shown.of("display_data")]
        assert any("onclick" in text for text in data) is passes


def test_another_inner_kernel_is_a_new_one(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        front = kernel.front()
        front.run("context = 'abc'; mine = 1")
        front.run("llm_query('x')")
        refused = front.run("%rlm kernel nosuch")
        assert "there is no kernelspec 'nosuch'" in refused.error[1]
        assert front.run("mine").result == "1"
        changed = front.run("%rlm kernel python3")
        assert "mine" in changed.shown
        assert front.run("'mine' in dir()").result == "False"
        assert front.run("context = 'abcd'\nllm_query('y')").status == "ok"
        lm.say(DONE)
        assert front.run("%%rlm\nWhat?").result == "done"
        assert len(runs(kernel)) == 3  # the cells by hand of each kernel, and the question


def test_a_kernel_that_does_not_start_is_told_in_its_cell_and_not_in_the_log(
    lm: LM, tmp_path: Path
) -> None:
    spec = tmp_path / "kernels" / "broken"
    spec.mkdir(parents=True)
    argv = ["/no/such/python", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "broken", "language": "python"})
    )
    with running_kernel(tmp_path, env={**lm.environment, "JUPYTER_PATH": str(tmp_path)}) as kernel:
        front = kernel.front()
        refused = front.run("%rlm kernel broken")
        assert "the inner kernel 'broken' did not start" in refused.error[1]
        assert front.run("1 + 1").result == "2"
        assert "Traceback" not in kernel.log


def test_misspelt_variables_are_mentioned(tmp_path: Path) -> None:
    with running_kernel(tmp_path, env={"RLM_MAX_TURN": "3"}) as kernel:
        shown = kernel.front().run("%rlm").shown
        assert "RLM_MAX_TURN is no setting; did you mean RLM_MAX_TURNS?" in shown


def test_a_wrong_variable_is_told_by_a_cell(tmp_path: Path) -> None:
    with running_kernel(tmp_path, env={"RLM_MAX_TURNS": "many"}) as kernel:
        wrong = kernel.front().run("1 + 1")
        assert wrong.error == ("UsageError", "RLM_MAX_TURNS='many': give a whole number")


@pytest.mark.parametrize("cell", ["is there a cedar radio?", "How many of them are positive"])
def test_a_question_without_its_word_is_told_how_to_ask(front: Front, cell: str) -> None:
    assert "begin the cell with %%rlm" in front.run(cell).stream("stderr")


def test_a_name_that_is_asked_about_is_explained_and_no_more(front: Front) -> None:
    assert front.run("n = 1\nn?").stream("stderr") == ""
