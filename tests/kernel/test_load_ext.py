"""``%load_ext rlm_kernel`` in a plain ipykernel: the same words, and an inner kernel of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pytest
from harness import LM, PLAIN, Front, RunningKernel, Withheld, block, gone, running_kernel
from headless import SECONDS, Headless

LOAD = "%load_ext rlm_kernel"
ANSWERED = "FINAL_VAR(len(context.split()))"


@pytest.fixture(scope="module")
def kernel(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    """A plain ipykernel in which the extension is loaded."""
    folder = tmp_path_factory.mktemp("plain")
    with running_kernel(folder, argv=PLAIN, env=lm.environment) as kernel:
        loaded = kernel.front().run(LOAD)
        assert (loaded.status, loaded.stream("stderr")) == ("ok", "")
        yield kernel


@pytest.fixture
def front(kernel: RunningKernel) -> Iterator[Front]:
    front = kernel.front()
    front.run("context = 'one two three'\n%rlm replay off")
    yield front
    kernel.forget_fronts()


def test_it_answers_about_a_variable_and_gives_the_value_back(lm: LM, front: Front) -> None:
    lm.say(block("print(len(context))"), block("FINAL_VAR({'words': len(context.split())})"))
    asked = front.run("%%rlm counted\nHow many words are there in $context and {context}?")
    assert asked.error == ("", "")
    assert "{'words': 3}" in asked.shown
    assert front.run("counted").result == "{'words': 3}"
    assert "in $context and {context}?" in str(lm.endpoint.log[-1].request)


def test_what_is_changed_in_between_is_asked_about_as_it_is_now(lm: LM, front: Front) -> None:
    front.run("data = ['a', 'b']")
    for count in (2, 3):
        lm.say(block("FINAL_VAR(len(context))"))
        front.run("%%rlm n --context data\nHow many?")
        assert front.run("n").result == str(count)
        front.run("data.append('c')")


def test_a_path_that_is_given_counts_until_context_is_bound_again(
    lm: LM, kernel: RunningKernel, front: Front
) -> None:
    (kernel.cwd / "in.txt").write_text("of the file")
    assert "context: in.txt" in front.run("%rlm context in.txt").shown
    for bound, said in (("", "of the file"), ("context = 'of mine'", "of mine")):
        front.run(bound or "None")
        lm.say(block("FINAL_VAR(context)"))
        front.run("%%rlm said\nWhat does it say?")
        assert front.run("said").result == repr(said)


def test_an_answer_is_an_object_of_a_class_of_ones_own(lm: LM, front: Front) -> None:
    front.run(
        "import dataclasses\n@dataclasses.dataclass\nclass City:\n    name: str\n    people: int\n"
        "def add(city): return city.people + 1"
    )
    lm.say(block("FINAL_VAR([{'name': 'Varna', 'people': 'many'}])"), block(
        "FINAL_VAR([{'name': 'Varna', 'people': 336505}])"))  # fmt: skip
    assert front.run("%%rlm cities: list[City]\nWhich cities?").error == ("", "")
    assert front.run("add(cities[0]), type(cities[0])").result == "(336506, __main__.City)"
    error = front.run("%%rlm x: list[Town]\nWhich?").error
    assert error == ("UsageError", "answer=list[Town]: NameError: name 'Town' is not defined")


def test_a_table_comes_back_as_a_table(lm: LM, front: Front) -> None:
    lm.say(block("import pandas\nFINAL_VAR(pandas.DataFrame({'a': [1, 2], 'b': ['x', 'y']}))"))
    front.run("%%rlm table\nMake a table.")
    assert front.run("type(table).__name__, int(table.a.sum())").result == "('DataFrame', 3)"


def test_the_cells_of_the_lm_run_where_no_key_is(lm: LM, front: Front) -> None:
    lm.say(block("import os\nFINAL_VAR([os.getpid(), 'RLM_API_KEY' in os.environ])"))
    front.run("%%rlm seen\nWhere are you?")
    assert front.run("import os; seen[0] != os.getpid(), seen[1]").result == "(True, False)"


def test_lines_stand_above_a_question_and_above_python(lm: LM, front: Front) -> None:
    lm.say(block("x = 1"))
    limited = front.run("%rlm limits turns=1\n# once\n%rlm model fake-model\n%%rlm\nTry it.")
    assert limited.error[0] == "LimitReached"
    lm.say(block("FINAL_VAR('it went on')"))
    front.run("%rlm continue --max-turns 3\nTry once more, please.")
    assert "Try once more, please." in str(lm.endpoint.log[-1].request)
    assert front.run("%rlm limits default\nanswer_").result == "'it went on'"
    assert front.run("%rlm limit cost=1").error[0] == "UsageError"
    assert "%rlm continue" in front.run("%rlm help").shown


def test_text_is_a_question_in_the_mode_for_it(lm: LM, front: Front) -> None:
    lm.say(block(ANSWERED))
    front.run("%rlm mode ask")
    front.run("How many words are there?")
    front.run("%rlm mode python")
    assert front.run("answer_").result == "3"


def test_an_interrupt_ends_the_question_and_nothing_else(
    lm: LM, kernel: RunningKernel, front: Front
) -> None:
    waits = Withheld(block(ANSWERED))
    lm.say(waits)
    asked = front.start("%%rlm\nHow many?")
    waits.wait_asked()
    kernel.manager.interrupt_kernel()
    outcome = front.finish(asked)
    waits.release()
    assert outcome.error == (
        "KeyboardInterrupt",
        "the cell was interrupted; `%rlm continue` lets the LM go on",
    )
    lm.say(block("FINAL_VAR(context.upper())"))
    front.run("%rlm continue")
    assert front.run("answer_, context").result == "('ONE TWO THREE', 'one two three')"


def test_a_cell_waits_for_the_human_who_types(lm: LM, front: Front) -> None:
    lm.say(block("x = 1"), block(ANSWERED))
    asked = front.start("%%rlm --confirm always\nHow many?")
    assert "the LM wants to run\nx = 1" in front.asked_input()["content"]["prompt"]
    front.type("n please do not")
    front.asked_input()
    front.type("y")
    assert front.finish(asked).error == ("", "")
    assert "please do not" in str(lm.endpoint.log[-1].request)
    refused = front.run("%%rlm --confirm always\nHow many?", allow_stdin=False)
    assert "nobody is here who can" in refused.error[1]


def test_a_key_is_typed_unseen(lm: LM, front: Front) -> None:
    asked = front.start("%rlm key")
    assert front.asked_input()["content"]["password"] is True
    front.type("typed-key-1234")
    assert "is kept in this kernel's memory" in front.finish(asked).shown
    lm.say(block(ANSWERED))
    assert front.run("%%rlm\nHow many?").error == ("", "")
    assert lm.endpoint.log[-1].headers["authorization"] == "Bearer typed-key-1234"
    front.run("%rlm key forget")


def test_words_variables_and_help_are_at_hand(front: Front) -> None:
    def matches(code: str) -> list[str]:
        asked = {"code": code, "cursor_pos": len(code)}
        found: list[str] = front.ask("complete_request", asked)["content"]["matches"]
        return found

    front.run("mine = 1\n%config Completer.use_jedi = False")  # which takes seconds to load
    assert matches("%rlm con") == ["confirm", "context", "continue"]
    assert matches("%rlm context mi") == ["mine"]
    assert matches("%%rlm --max-co") == ["--max-cost"]
    assert "mine" in matches("mi")
    found = front.ask("inspect_request", {"code": "%%rlm", "cursor_pos": 3, "detail_level": 0})
    assert "%rlm continue" in found["content"]["data"]["text/plain"]


def test_a_subshell_answers_and_tells_while_a_question_is_asked(lm: LM, front: Front) -> None:
    waits = Withheld(block("x = 1"))
    lm.say(waits, block(ANSWERED))
    asked = front.start("%%rlm\nHow many?")
    waits.wait_asked()
    subshell = front.subshell()
    told = front.finish(front.start("%rlm tell count twice", subshell=subshell))
    assert "The LM reads it before its next turn." in told.stream()
    assert front.finish(front.start("context", subshell=subshell)).result == "'one two three'"
    refused = front.finish(front.start("%%rlm\nAnd this?", subshell=subshell))
    assert refused.error[1].startswith("another cell asks at this moment")
    waits.release()
    assert front.finish(asked).error == ("", "")
    assert "count twice" in str(lm.endpoint.log[-1].request)


def test_a_subshell_ends_the_run(lm: LM, front: Front) -> None:
    waits = Withheld(block("x = 1"))
    lm.say(waits)
    asked = front.start("%%rlm\nHow many?")
    waits.wait_asked()
    front.finish(front.start("%rlm stop", subshell=front.subshell()))
    assert front.finish(asked).error[0] == "KeyboardInterrupt"
    waits.release()


def test_a_trajectory_is_for_the_other_kernel(front: Front) -> None:
    assert "in the kernel RLM" in front.run("%rlm replay").error[1]
    assert front.run("%rlm replay auto").error == ("", "")


def test_it_is_unloaded_and_loaded_again(lm: LM, kernel: RunningKernel, front: Front) -> None:
    assert "already loaded" in front.run(LOAD).stream()
    front.run("%unload_ext rlm_kernel")
    assert list(kernel.tmp.glob("rlm-*")) == []
    assert "`%rlm` not found" in front.run("%rlm status").stream("stderr")
    front.run(LOAD)
    lm.say(block(ANSWERED))
    front.run("%%rlm anew\nHow many words are there now?")
    assert front.run("anew").result == "3"


def test_a_run_that_goes_on_at_a_restart_or_an_end_is_recorded_as_interrupted(
    lm: LM, tmp_path: Path
) -> None:
    with running_kernel(tmp_path, argv=PLAIN, env=lm.environment) as kernel:
        for end in (kernel.restart, kernel.shut_down):
            front = kernel.front()
            front.run(f"{LOAD}\ncontext = 'one two'")
            waits = Withheld(block(ANSWERED))
            lm.say(waits)
            front.start("%%rlm\nHow many?")
            waits.wait_asked()
            end()
            waits.release()
            kernel.forget_fronts()
        runs = sorted((kernel.cwd / "rlm-runs").glob("2*"))
        pages = [json.loads((run / "trajectory.ipynb").read_text()) for run in runs]
        assert [page["metadata"]["rlm"]["status"] for page in pages] == ["interrupted"] * 2
        gone(kernel)


def test_in_the_kernel_rlm_it_says_that_nothing_is_to_be_loaded(lm: LM, tmp_path: Path) -> None:
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        loaded = kernel.front().run(LOAD)
        assert "This is the kernel RLM" in loaded.stream()
        lm.say(block("FINAL_VAR(6 * 7)"))
        assert kernel.front().run("context = ''\n%rlm status").error == ("", "")
        assert kernel.front().run("%%rlm\nHow much?").result == "42"


def test_a_plain_notebook_is_run_headless_and_again_with_no_model(
    lm: LM, prefix: Path, tmp_path: Path
) -> None:
    head = Headless(tmp_path, prefix, lm.environment)
    made = [
        LOAD,
        "context = 'one two three'",
        "%%rlm n --replay auto\nHow many words?",
        "print('n is', n)",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in made]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

    def run(env: dict[str, str]) -> str:
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=spec)
        resources = {"metadata": {"path": str(head.folder)}}
        nbclient.NotebookClient(notebook, timeout=SECONDS, resources=resources).execute(env=env)
        return str(notebook.cells[-1].outputs[0]["text"])

    lm.say(block(ANSWERED))
    assert run(head.env) == "n is 3\n"
    asked = len(lm.endpoint.log)
    alone = {name: value for name, value in head.env.items() if not name.startswith("RLM_")}
    assert run(alone) == "n is 3\n"
    assert len(lm.endpoint.log) == asked
    cells[2].source = "%%rlm n --replay auto\nA question that no record answers?"
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="no LM is set"):
        run({**alone, "PATH": os.environ["PATH"]})
