"""The human's own calls, in cells that no question caused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import HANG, LM, Front, RunningKernel, block, running_kernel
from records import check_equal, check_valid, events, replayed, runs

from rlm_kernel.events import CallEnded, RunEnded
from rlm_kernel.testing import Status

SPECIFIED = """\
def process(text):
    return text.upper()
context = "Your input here"
result = llm_query("Summarize the context", model="gpt-5-mini")
summary = process(result)
FINAL_VAR(summary)"""


@pytest.fixture
def kernel(lm: LM, tmp_path: Path) -> Iterator[RunningKernel]:
    lm.say()
    lm.endpoint.log.clear()
    with running_kernel(tmp_path, env=lm.environment) as kernel:
        yield kernel


def closed(kernel: RunningKernel) -> list[Path]:
    """The runs of the kernel, which is shut down."""
    kernel.forget_fronts()
    kernel.shut_down()
    return runs(kernel)


def rows(kernel: RunningKernel) -> list[CallEnded]:
    """The answers in the kernel's first record so far."""
    return [event for event in events(runs(kernel)[0]) if isinstance(event, CallEnded)]


def test_the_snippet_of_the_specification_is_a_cell(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    ran = front.run(SPECIFIED)
    assert ran.status == "ok", ran.error
    assert ran.shown == "<SUMMARIZE THE CONTEXT>"
    assert lm.endpoint.log[0].model == "gpt-5-mini"
    assert front.run("summary").result == "'<SUMMARIZE THE CONTEXT>'"
    [run] = closed(kernel)
    check_equal(run)
    ended = events(run)[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.answer) == ("answered", "<SUMMARIZE THE CONTEXT>")


PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02" + b"\0" * 20


def test_pictures_and_forms_by_hand_are_in_the_records_of_later_questions_too(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    lm.sub = lambda prompt: '{"value": [1, 2]}'
    ran = front.run(f"context = 'abc'\nllm_query('seen?', schema=list[int], images={PICTURE!r})")
    assert ran.result == "[1, 2]"
    lm.say(block("print(context)\nFINAL_VAR('d' + 'one')"))
    assert front.run("%%rlm\nWhat?").result == "done"
    found = closed(kernel)
    assert len(found) == 2
    for run in found:
        check_equal(run)
        [call] = [event for event in events(run) if isinstance(event, CallEnded)]
        assert (run / "blobs" / call.images[0]["sha256"]).read_bytes() == PICTURE


def test_cells_before_the_first_call_are_in_the_record(front: Front, kernel: RunningKernel) -> None:
    front.run("prompt = 'made before'")
    front.run("reply = llm_query(prompt)")
    front.run("1 / 0")
    assert front.run("reply").result == "'<made before>'"
    [run] = closed(kernel)
    check_equal(run)
    assert replayed(run).cells == 4


def test_a_prompt_that_fails_leaves_the_others_of_its_batch(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    lm.sub = lambda prompt: Status(400) if "bad" in prompt else f"<{prompt}>"
    ran = front.run("replies = llm_query_batched(['a', 'bad', 'c'])\nreplies[0], replies[2]")
    assert ran.result == "('<a>', '<c>')"
    assert front.run("replies[1].startswith('Error:'), type(replies[1].error).__name__").result == (
        "(True, 'LMError')"
    )
    assert front.run("llm_query('bad')").error[0] == "LMError"
    assert front.run("'still ' + llm_query('here')").result == "'still <here>'"
    check_equal(closed(kernel)[0])


def test_a_child_works_for_a_human(lm: LM, front: Front, kernel: RunningKernel) -> None:
    lm.say(block("FINAL_VAR(context.upper())"))
    assert front.run("rlm_query('Shout.', context='some text')").result == "'SOME TEXT'"
    [run] = closed(kernel)
    check_equal(run)
    assert (run / "calls").is_dir()


def test_calls_are_limited_until_the_limit_is_raised(front: Front, kernel: RunningKernel) -> None:
    front.run("%rlm limits calls=2")
    limited = front.run("replies = []\nfor n in range(4):\n    replies.append(llm_query(str(n)))")
    assert limited.error[0] == "LimitReached"
    assert "calls: spent 2, wanted 1 more, allowed 2" in limited.error[1]
    assert "%rlm limits" in limited.stream("stderr")
    assert front.run("replies").result == "['<0>', '<1>']"
    assert front.run("%rlm limits calls=10\nllm_query('more')").result == "'<more>'"
    check_equal(closed(kernel)[0])


def test_the_cost_of_calls_by_hand_is_shown_and_outlives_the_inner_kernel(
    front: Front, kernel: RunningKernel
) -> None:
    def cost() -> str:
        [line] = [n for n in front.run("%rlm cost").shown.split("\n") if "own cells" in n]
        return line.split("own cells")[1].split("tokens")[0].strip()

    assert cost() == "0"
    front.run("llm_query('a prompt of some words')")
    spent = cost()
    assert int(spent) > 0
    front.run("import os; os._exit(1)")
    assert cost() == spent
    assert front.run("llm_query('again')").result == "'<again>'"
    assert int(cost()) > int(spent)
    first, second = closed(kernel)
    check_valid(first)  # its last cell ended its kernel, and would again
    check_equal(second)


def test_a_map_by_hand_that_is_interrupted_keeps_the_rows_that_were_answered(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    lm.sub = lambda prompt: HANG if "hang" in prompt else '"yes"'
    asked = "llm_map({}, 'Is it?', labels=['yes', 'no'])"
    assert front.run(f"t = {asked.format(['a', 'b'])}\nt.counts()").result == "{'yes': 2}"
    waiting = front.start(asked.format(["c", "hang", "d"]))
    front.until(lambda: len(rows(kernel)) == 4, "the replies that come")
    front.interrupt()
    assert front.finish(waiting).status == "error"
    assert front.run("t[1].value").result == "'yes'"
    made = [event for event in rows(kernel) if event.call == 2]
    assert {event.prompt: event.reply for event in made} == {"c": "yes", "hang": None, "d": "yes"}
    check_equal(closed(kernel)[0])


def test_an_interrupt_stops_a_call_and_the_record_replays(
    lm: LM, front: Front, kernel: RunningKernel
) -> None:
    lm.sub = lambda prompt: HANG if prompt == "hang" else f"<{prompt}>"
    front.run("first = llm_query('quick')")
    waiting = front.start("print('asking', flush=True)\nllm_query('hang')")
    front.hear(waiting, "asking")
    front.interrupt()
    assert front.finish(waiting).status == "error"
    assert front.run("first + llm_query('then')").result == "'<quick><then>'"
    check_equal(closed(kernel)[0])
