"""Questions in a notebook: what they are about, what they give, what they say when they fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, Outcome, RunningKernel, block, running_kernel
from records import check_equal, check_valid, runs

from rlm_kernel.testing import Status

LENGTH = block("print(type(context).__name__)\nFINAL_VAR(str(len(context)))")


@pytest.fixture
def notes(kernel: RunningKernel) -> Path:
    path = kernel.cwd / "notes.txt"
    path.write_text("a note\n" * 100)
    return path


def check_plain(outcome: Outcome) -> None:
    """An error in words: no traceback of ours."""
    [error] = outcome.of("error")
    content = error["content"]
    assert outcome.reply["content"]["ename"] == content["ename"]
    assert len(content["traceback"]) == 1
    assert "Traceback" not in content["traceback"][0]
    assert "rlm_kernel/" not in content["traceback"][0]


def test_a_question_before_any_context_says_how_to_give_one(front: Front, kernel: object) -> None:
    asked = front.run("%%rlm\nHow long?")
    check_plain(asked)
    assert asked.error[0] == "UsageError"
    assert "%rlm context PATH" in asked.error[1]


def test_the_answer_is_the_result_and_is_bound(lm: LM, front: Front, notes: Path) -> None:
    lm.say(LENGTH)
    asked = front.run(f"%rlm context {notes.name}\n%%rlm size\nHow long?")
    [result] = asked.of("execute_result")
    assert result["content"]["data"]["text/plain"] == "700"
    assert result["content"]["execution_count"] == asked.count
    assert front.run("size, len(context)").result == "('700', 700)"


def test_the_evidence_of_an_answer_is_shown_below_it(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("context = 'It burnt in 1912.'")
    giving = block("print(context)\nFINAL_VAR('1912', evidence=['burnt in 1912', 'in 1913'])")
    lm.say(giving, giving)
    asked = front.run("%%rlm year\nWhen?")
    assert asked.result == "1912"
    shown = [message["content"]["data"] for message in asked.of("display_data")]
    [told] = [data for data in shown if "quotes found" in data.get("text/plain", "")]
    assert "supported · line 1 · characters 3–16 · “burnt in 1912”" in told["text/plain"]
    assert "asserted" in told["text/markdown"]
    check_equal(runs(kernel)[-1])


def test_an_answer_that_is_doubted_is_bound_and_said_to_be_unconfirmed(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("context = 'abc'")
    giving = block("print(context)\nFINAL_VAR(context.count('z'))")
    lm.say(giving, giving)
    asked = front.run("%%rlm many\nHow many?")
    assert (asked.status, asked.result) == ("ok", "0")
    assert "The answer is unconfirmed: the answer is 0, which a search gives" in asked.stream(
        "stderr"
    )
    assert front.run("many").result == "0"
    check_equal(runs(kernel)[-1])


def test_an_answer_without_a_name_is_bound_to_answer_(lm: LM, front: Front, notes: Path) -> None:
    lm.say(LENGTH)
    assert front.run(f"%%rlm --context {notes.name}\nHow long?").result == "700"
    assert front.run("answer_").result == "'700'"


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("value = 'some text'", "9"),
        ("value = [1, 'two', None]", "3"),
        ("import pandas\nvalue = pandas.DataFrame({'a': [1, 2, 3, 4]})", "4"),
        ("import threading\nvalue = {'lock': threading.Lock()}", "1"),
    ],
    ids=["str", "list", "DataFrame", "no copy can be made"],
)
def test_a_variable_is_the_context_and_the_run_replays(
    lm: LM, front: Front, kernel: RunningKernel, source: str, answer: str
) -> None:
    front.run(source)
    lm.say(LENGTH)
    assert front.run("%%rlm --context value\nHow long?").result == answer
    check_equal(runs(kernel)[-1])
    assert front.run("value is context").result == "True"


def test_a_value_too_large_to_be_copied_is_a_context_too(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("large = 'y' * ((64 << 20) + 1)")
    lm.say(LENGTH)
    assert front.run("%%rlm --context large\nHow long?").result == str((64 << 20) + 1)
    check_equal(runs(kernel)[-1])
    front.run("del large; context = 'small again'")


def test_a_context_that_the_human_bound_is_asked_about(lm: LM, front: Front) -> None:
    lm.say(LENGTH)
    assert front.run("context = 'mine'\n").status == "ok"
    assert front.run("%%rlm\nHow long?").result == "4"


def test_later_questions_use_what_earlier_ones_and_the_human_made(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    front.run("context = 'abc'; mine = 10")
    lm.say(block("made = len(context) + mine\nFINAL_VAR(made)"))
    front.run("%%rlm first\nAdd.")
    lm.say(block("FINAL_VAR(f'{made} {first} {mine}')"))
    assert front.run("%%rlm\nAgain.").result == "13 13 10"
    check_equal(runs(kernel)[-1])


def test_each_question_may_name_its_models(lm: LM, front: Front) -> None:
    lm.endpoint.log.clear()
    front.run("context = 'abc'")
    for options in ("--model one --sub-model small", ""):
        lm.say(block("FINAL_VAR(llm_query('sub' + context[:0]))"))
        assert front.run(f"%%rlm {options}\nAsk.").result == "<sub>"
    models = [exchange.model for exchange in lm.endpoint.log]
    assert models == ["one", "small", "fake-model", "fake-model"]


def test_a_variable_and_a_file_that_are_not_there(lm: LM, front: Front, notes: Path) -> None:
    front.run("values = [1]")
    missing = front.run("%%rlm --context valeus\nWhat?")
    check_plain(missing)
    assert "values" in missing.error[1]
    missing = front.run("%%rlm --context note.txt\nWhat?")
    check_plain(missing)
    assert "near it: notes.txt" in missing.error[1]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%rlm --contxt x\nWhat?", "did you mean '--context'?"),
        ("%%rlm", "write the question below"),
        ("%%rlm What is it?", "write the question below"),
        ("%%rlm --max-turns zero\nWhat?", "--max-turns='zero': give a whole number"),
        ("%%rlm class\nWhat?", "cannot be the name of a variable"),
        ("%%rlm answer\nWhat?", "choose another name"),
        ("%%rlm --api-key abc\nWhat?", "RLM_API_KEY"),
        ("%rlm modle x\n%%rlm\nWhat?", "did you mean 'model'?"),
    ],
)
def test_a_wrong_cell_is_an_error_with_the_right_word(front: Front, cell: str, says: str) -> None:
    wrong = front.run(cell)
    check_plain(wrong)
    assert wrong.error[0] == "UsageError"
    assert says in wrong.error[1]


def test_a_question_that_reached_its_limit(lm: LM, front: Front, kernel: RunningKernel) -> None:
    front.run("context = 'abc'; left = None")
    lm.say(*[block(f"answer['content'] = 'draft'; n = {n}") for n in range(3)])
    limited = front.run("%%rlm left --max-turns 2\nGo on.")
    check_plain(limited)
    assert limited.error[0] == "LimitReached"
    goes_on = "turns: spent 2, allowed 2; `%rlm continue --max-turns 4` goes on, and %rlm limits"
    assert goes_on in limited.error[1]
    assert "The best answer so far, unconfirmed: draft" in limited.error[1]
    assert front.run("left, n").result == "(None, 1)"
    check_equal(runs(kernel)[-1])


def test_an_unknown_model_is_named_with_those_that_there_are(lm: LM, front: Front) -> None:
    front.run("context = 'abc'")
    lm.say(Status(404))
    unknown = front.run("%%rlm --model nosuch\nWhat?")
    check_plain(unknown)
    assert unknown.error[0] == "NoAnswer"
    assert "does not know the model 'nosuch'" in unknown.error[1]
    assert "It has: fake-model" in unknown.error[1]


def test_an_unreachable_endpoint_is_named(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path, env={**lm.environment, "RLM_RETRIES": "0"}) as kernel:
        front = kernel.front()
        front.run("context = 'abc'")
        gone = front.run("%%rlm --base-url http://127.0.0.1:9/v1\nWhat?")
        check_plain(gone)
        assert gone.error[0] == "NoAnswer"
        assert "no connection to http://127.0.0.1:9/v1" in gone.error[1]
        assert gone.error[1].endswith("to one that runs; `%rlm continue` goes on")
        check_valid(runs(kernel)[-1])
        assert front.run("1 + 1").result == "2"


def test_keys_of_the_machine_do_not_go_where_a_cell_says(lm: LM, front: Front) -> None:
    front.run("context = 'abc'")
    lm.endpoint.log.clear()
    lm.say(LENGTH, LENGTH, LENGTH)
    front.run(f"%%rlm --base-url {lm.endpoint.base_url}\nWhat?")
    named = front.run(f"%rlm base-url {lm.endpoint.base_url}")
    assert "the one of RLM_API_KEY does not go to an endpoint that a cell names" in named.shown
    front.run("%%rlm\nWhat?")
    assert len(lm.endpoint.log) == 2
    assert not any("canary" in str(exchange.headers) for exchange in lm.endpoint.log)
    front.run("%rlm base-url default\n%%rlm\nWhat?")
    assert "canary" in str(lm.endpoint.log[-1].headers)  # the control


def test_the_key_is_nowhere(lm: LM, front: Front, kernel: RunningKernel) -> None:
    look = "print(dict(os.environ), open('/proc/self/environ').read(), len(context))"
    lm.say(block(f"import os\n{look}\nFINAL_VAR(str(dict(os.environ)))"))
    asked = front.run("%rlm status\n%rlm cost\n%%rlm\nWhat is there?")
    assert asked.status == "ok"
    assert "PATH" in str(asked.result)
    by_hand = front.run("import os; print(dict(os.environ)); llm_query('x')")
    assert by_hand.status == "ok"
    assert "canary-key-123" not in str(asked.iopub) + str(by_hand.iopub) + kernel.log
    files = [path for path in kernel.cwd.rglob("*") if path.is_file()]
    assert any(path.name == "journal.jsonl" for path in files)
    assert [path for path in files if b"canary-key-123" in path.read_bytes()] == []


# a kernel of its own
@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Front]:
    """A front end of a kernel that has no LM, the embedded one neither."""
    with running_kernel(tmp_path) as kernel:
        yield kernel.front()


def test_without_an_lm_python_works_and_questions_say_how_to_get_one(lonely: Front) -> None:
    assert lonely.run("context = 'abc'; 1 + 1").result == "2"
    for cell in ("%%rlm\nWhat?", "llm_query('What?')"):
        said = lonely.run(cell).error[1]
        assert "OPENAI_API_KEY" in said
        assert "OPENAI_BASE_URL and RLM_MODEL" in said
        assert "rlm local fetch" in said


def test_a_call_that_had_no_lm_replays_in_a_later_question(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path) as kernel:
        front = kernel.front()
        front.run("context = 'abc'\ntry: llm_query('x')\nexcept RuntimeError: tried = True")
        lm.say(LENGTH)
        front.run(f"%rlm base-url {lm.endpoint.base_url}\n%rlm model fake-model")
        assert front.run("%%rlm\nHow long?").result == "3"
        check_equal(runs(kernel)[-1])


def test_openais_key_does_not_go_to_an_endpoint_that_a_cell_names(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path, env={"OPENAI_API_KEY": "canary-key-456"}) as kernel:
        front = kernel.front()
        lm.endpoint.log.clear()
        lm.say(LENGTH)
        front.run("context = 'abc'")
        options = f"--base-url {lm.endpoint.base_url} --model fake-model"
        assert front.run(f"%%rlm {options}\nHow long?").result == "3"
        assert "canary" not in str([exchange.headers for exchange in lm.endpoint.log])


def test_where_the_notebooks_folder_takes_no_runs_they_go_to_jupyters_data_folder(
    lm: LM, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        (kernel.cwd / "rlm-runs").write_text("no folder")  # root may write in any folder
        front = kernel.front()
        lm.say(LENGTH)
        asked = front.run("context = 'abc'")
        asked = front.run("%%rlm\nHow long?")
        elsewhere = tmp_path / "home" / "jupyter-data" / "rlm-runs"
        [run] = elsewhere.glob("*/trajectory.ipynb")
        assert str(run) in asked.shown
        assert str(run) in kernel.log


def test_what_a_question_hung_into_the_kernel_is_taken_back_and_told(
    lm: LM, front: Front, notes: Path
) -> None:
    hang = "get_ipython().input_transformers_cleanup.append(lambda lines: ['FINAL_VAR(1)\\n'])"
    lm.say(block(f"{hang}\nprint(len(context))\nFINAL_VAR(str(len(context)))"))
    asked = front.run(f"%%rlm --context {notes.name}\nHow far?")
    assert asked.result == "700"
    assert "was taken back: cleanup_transforms" in asked.stream("stderr")
    assert front.run("6 * 7").result == "42"


def test_a_kernel_that_a_question_spoilt_is_told_with_the_way_to_a_fresh_one(
    lm: LM, front: Front, notes: Path
) -> None:
    lm.say(block("import rlm_guest\nrlm_guest._before = None\nFINAL_VAR('so far')"))
    asked = front.run(f"%%rlm --context {notes.name}\nHow far?")
    assert "%rlm kernel python3" in asked.stream("stderr")
    front.run("%rlm kernel python3")
    assert front.run("'answer_' in globals(), 6 * 7").result == "(False, 42)"
