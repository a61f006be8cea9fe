"""A loop that asks about each item, in a real kernel: its record and its replay."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from asking import ask, block, events, of

from rlm_kernel import Limits, LMError, Result
from rlm_kernel.events import CallEnded, CellRan
from rlm_kernel.lm.model import Reply
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM

WORDS = "a b a c a d a e a f a g"
LOOP = (
    "said = []\n"
    "for number, word in enumerate(context.split()):\n"
    "    said.append(llm_query(f'What of {word}?'))\n"
    "    print(number, said[-1])\n"
    "FINAL_VAR(said)"
)


_PLAIN = re.compile("\x1b\\[[0-9;]*m")


class _Numbering(ScriptedLM):
    """Replies with the number of the prompt among all, so that equal prompts are answered
    differently; ``most`` is how many were asked at a time."""

    def __init__(self, failing: int) -> None:
        count = itertools.count()

        def sub(prompt: str) -> str | Exception:
            number = next(count)
            return LMError("no reply", cause="refused") if number == failing else f"reply {number}"

        super().__init__(lambda messages: block(LOOP), sub, latency_s=0.01)
        self._now = self.most = 0

    async def complete(self, *given: Any, **more: Any) -> Reply:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            return await super().complete(*given, **more)
        finally:
            self._now -= 1


def _asked(out: Path, failing: int = -1, **more: Any) -> tuple[Result, _Numbering]:
    lm = _Numbering(failing)
    return ask(lm, out, WORDS, **more), lm


def _equal(result: Result) -> bool:
    verdict = engine().run(replay(trajectory.load(result.trajectory.parent), lambda text: None))
    return verdict.result == "equal"


@pytest.mark.parametrize(("loops", "most"), [("batched", 8), ("serial", 1)])
def test_the_record_is_that_of_the_loop_however_it_was_asked(
    tmp_path: Path, loops: str, most: int
) -> None:
    result, lm = _asked(tmp_path / "run", loops=loops)
    assert result.value == [f"reply {number}" for number in range(12)]
    calls = sorted(of(CallEnded, events(result)), key=lambda call: call.call)
    assert [call.op for call in calls] == ["llm_query"] * 12
    assert [call.prompt for call in calls] == [f"What of {word}?" for word in WORDS.split()]
    assert [call.occurrence for call in calls[::2]] == list(range(6))
    assert lm.most == most
    assert _equal(result)


def test_a_limit_is_met_at_the_item_at_which_the_loop_would_have_met_it(tmp_path: Path) -> None:
    result, _ = _asked(tmp_path / "run", limits=Limits(calls=5))
    told, error = of(CellRan, events(result))[0].outputs
    assert told["text"].splitlines()[-1] == "4 reply 4"
    assert error["ename"] == "CallRefused"
    assert _equal(result)


def test_a_prompt_without_a_reply_ends_the_loop_in_its_turn(tmp_path: Path) -> None:
    result, _ = _asked(tmp_path / "run", failing=3, limits=Limits(turns=1))
    [cell] = of(CellRan, events(result))
    told, error = cell.outputs
    assert told["text"].splitlines() == ["0 reply 0", "1 reply 1", "2 reply 2"]
    assert error["ename"] == "LMError"
    assert "----> 3" in _PLAIN.sub("", "".join(error["traceback"]))
    assert "_rlm" not in str(error)
    assert _equal(result)
