"""Calls that nobody is asked for: the host refuses them by its own numbers, and they take neither
the disk nor the clock."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from asking import ask, ask_here, calls, cells, check_whole, script

from rlm_kernel.record import trajectory
from rlm_kernel.repl.protocol import MOST_REFUSED, REFUSED_CHARS
from rlm_kernel.repl.running_cell import Clock
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine

RAW = """\
import gc
client = next(o for o in gc.get_objects() if type(o).__name__ == "BrokerClient")
cell = get_ipython().kernel.get_parent("shell")["metadata"]["rlm"]["cell"]
def raw(op, prompts, **more):
    return client.ask(dict({"op": op, "cell": cell, "prompts": prompts, "model": None,
                            "main": True, "given": [], "contexts": []}, **more))["error"]["message"]
print(len(context))
"""


def test_the_host_holds_calls_to_the_numbers_that_its_guest_was_given(tmp_path: Path) -> None:
    source = f"""{RAW}
said = [
    raw("llm_query", ["x" * 3_000_000]),
    raw("llm_query_batched", ["x", "y" * 3_000_000]),
    raw("llm_query_batched", ["x"] * 20_000),
    raw("rlm_query_batched", ["x"] * 20_000, given=[True] * 20_000),
    raw("llm_query", ["x"], model="m" * 1000),
    raw("tool", [], name="t" * 1000, args=[], kwargs={{}}),
]
FINAL_VAR("\\n".join(said))"""
    lm = script(source)
    result = ask(lm, tmp_path / "run")
    long, longer, many, more, model, tool = str(result.response).splitlines()
    assert "3,000,000 characters; the sub-LM takes" in long
    assert "3,000,000 characters; the sub-LM takes" in longer
    assert "20,000 prompts; 10,000 is the most" in many
    assert "a malformed call" in more or "20,000 prompts" in more
    assert "a malformed call" in model
    assert "a malformed call" in tool
    assert (lm.prompts, calls(result)) == ([], [])


def test_what_a_limit_refused_is_cut_in_the_record_and_found_by_a_replay(tmp_path: Path) -> None:
    source = f"""\
said = []
print(len(context))
for n in range({MOST_REFUSED} + 200):
    try:
        llm_query(f"{{n}}" + "x" * 20_000)
    except Exception as error:
        said.append(type(error).__name__)
print(len(said), set(said))"""
    result = ask(script(source), tmp_path / "run", max_calls=0, max_turns=1)
    assert result.status == "limit"
    refused = calls(result)
    assert len(refused) == MOST_REFUSED
    assert all(len(call.prompt) <= REFUSED_CHARS for call in refused)
    assert "20,003 characters in all" in refused[200].prompt
    assert sum(path.stat().st_size for path in (tmp_path / "run").rglob("*")) < 10_000_000
    check_whole(result)
    verdict = engine().run(replay(trajectory.load(tmp_path / "run"), lambda text: None))
    assert verdict.differences == []


def test_refused_calls_stop_no_cells_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, waiting = [], Clock.waiting

    def counted(clock: Clock) -> AbstractContextManager[None]:
        stopped.append(clock)
        return waiting(clock)

    monkeypatch.setattr(Clock, "waiting", counted)
    source = f"""{RAW}
import threading
def hammer():
    while True:
        raw("llm_query", ["x"])
for _ in range(8):
    threading.Thread(target=hammer, daemon=True).start()
hammer()"""
    began = time.monotonic()
    result = ask(script(source), tmp_path / "run", max_calls=0, max_cell_seconds=3.0)
    assert [cell.status for cell in cells(result)] in (["timeout"], ["died"])
    assert time.monotonic() - began < 30
    assert stopped == []


@pytest.mark.parametrize("size", [10, REFUSED_CHARS])
def test_a_short_prompt_is_recorded_whole(tmp_path: Path, size: int) -> None:
    source = f"print(len(context))\nllm_query('x' * {size})"
    result = ask_here(script(source), tmp_path / "run", max_calls=0, max_turns=1)
    assert [call.prompt for call in calls(result)] == ["x" * size]
