"""Keys in a notebook: typed at a prompt, and refused where they would be kept elsewhere."""

from __future__ import annotations

import pytest
from harness import LM, Front, RunningKernel, block
from records import runs

from rlm_kernel.errors import UsageError
from rlm_kernel.kernel.keys import refuse_pasted
from rlm_kernel.testing import Status

KEY = "sk-typed-canary-42"


def _sent(lm: LM) -> str:
    return str(lm.endpoint.log[-1].headers.get("authorization", ""))


def test_a_typed_key_is_sent_and_stands_nowhere(
    front: Front, lm: LM, kernel: RunningKernel
) -> None:
    front.run("%rlm replay off\ncontext = 'abc'")
    asking = front.start("%rlm key")
    asked = front.asked_input()["content"]
    assert asked["password"] is True
    assert lm.endpoint.base_url in asked["prompt"]
    front.type(f" {KEY} ")
    done = front.finish(asking)
    assert "memory" in done.shown
    lm.say(block("print(context)"), block("FINAL_VAR('y')"))
    assert front.run("%%rlm\nWhat?").result == "y"
    assert _sent(lm) == f"Bearer {KEY}"
    assert "%rlm key" in front.run("%rlm").shown
    assert KEY not in str(front.heard)
    files = [path for path in kernel.cwd.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert runs(kernel)
    pasted = front.run(f"x = '{KEY}'")
    assert pasted.error[0] == "UsageError"
    assert KEY not in str(pasted.error)
    assert front.run("x").error[0] == "NameError"
    front.run("%rlm key forget")
    lm.say(block("print(context)"), block("FINAL_VAR('y')"))
    front.run("%%rlm\nWhat?")
    assert _sent(lm) == "Bearer canary-key-123"


def test_a_key_is_for_the_endpoint_it_was_typed_for(front: Front, lm: LM) -> None:
    asking = front.start("%rlm key")
    front.asked_input()
    front.type(KEY)
    front.finish(asking)
    front.run("%rlm base-url http://127.0.0.1:9/v1")
    shown = front.run("%rlm").shown
    front.run("%rlm base-url default\n%rlm key forget")
    assert "does not go to an endpoint that a cell names" in shown


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%rlm key sk-pasted-1234", "%rlm key alone asks for it"),
        ("%rlm api-key sk-pasted-1234", "%rlm key asks for it"),
        ("%rlm key sub", "no endpoint of its own"),
    ],
)
def test_a_key_that_is_written_is_refused_and_not_repeated(
    front: Front, cell: str, said: str
) -> None:
    name, text = front.run(cell).error
    assert name == "UsageError"
    assert said in text
    assert "sk-pasted" not in text


def test_nothing_typed_and_a_key_that_cannot_be_sent_change_nothing(front: Front) -> None:
    for line, said in (("", "no key was typed"), ("a b", "a character that cannot be sent")):
        asking = front.start("%rlm key")
        front.asked_input()
        front.type(line)
        assert said in front.finish(asking).error[1]


def test_where_nobody_types_the_other_ways_are_named(front: Front) -> None:
    assert "RLM_API_KEY_FILE" in front.run("%rlm key", allow_stdin=False).error[1]


@pytest.mark.parametrize(
    "cell",
    [
        "%env RLM_API_KEY=sk-pasted-1234",
        "import os\nos.environ['RLM_API_KEY'] = 'sk-pasted-1234'",
        'os.environ.update(RLM_SUB_API_KEY="sk-pasted-1234")',
        "!export RLM_API_KEY=sk-pasted-1234",
        "a = {'RLM_HEADERS': 'api-key: sk-pasted'}",
        "print('the-known-key')",
    ],
)
def test_a_pasted_key_is_refused(cell: str) -> None:
    with pytest.raises(UsageError, match="holds a key") as refused:
        refuse_pasted(cell, ["the-known-key"])
    assert "pasted-1234" not in str(refused.value)


@pytest.mark.parametrize(
    "cell",
    [
        "os.environ['RLM_API_KEY'] = getpass()",
        "print(os.environ['RLM_API_KEY'])\n'a text of some length'",
        "%env RLM_API_KEY=$KEY",
        "%env RLM_MODEL=gpt-5-mini",
        "x = 'short'",
    ],
)
def test_a_cell_without_a_key_runs(cell: str) -> None:
    refuse_pasted(cell, ["x", "short"])


def test_a_key_that_is_refused_is_told_unrepeated_and_another_one_works(
    front: Front, lm: LM
) -> None:
    front.run("%rlm replay off\ncontext = 'abc'")
    asking = front.start("%rlm key")
    front.asked_input()
    front.type("sk-wrong-canary-1")
    front.finish(asking)
    lm.say(Status(401))
    refused = front.run("%%rlm\nWhat?")
    assert "%rlm key" in refused.error[1]
    assert "sk-wrong-canary-1" not in str(front.heard)
    front.run("%rlm key forget")
    lm.say(block("print(context)"), block("FINAL_VAR('y')"))
    assert front.run("%%rlm\nWhat?").result == "y"
