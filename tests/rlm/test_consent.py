"""Cells that a human accepts, edits or rejects before they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import block, cells, check_whole, events, of, script, told

from rlm_kernel import RLM, Result
from rlm_kernel.errors import UsageError
from rlm_kernel.events import CellDecided, NodeEnded, Prompted, RunEnded
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record import trajectory
from rlm_kernel.replay import continuation
from rlm_kernel.replay.replay import replay
from rlm_kernel.rlm import consent
from rlm_kernel.rlm.consent import Decide, Decision, Proposal
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeRepl, ScriptedLM


class Human:
    """One who decides by what is said, in order; then accepts. ``asked`` are the proposals."""

    def __init__(self, *said: tuple[str, str | None, str]) -> None:
        self.asked: list[Proposal] = []
        self._said: Iterator[tuple[str, str | None, str]] = iter(said)

    async def __call__(self, proposal: Proposal) -> Decision:
        self.asked.append(proposal)
        choice, source, word = next(self._said, ("accepted", None, ""))
        return Decision(choice, source or proposal.source, word)  # type: ignore[arg-type]


def _ask(
    lm: ScriptedLM | None, out: Path, decide: Decide | None, mode: str = "always", **more: object
) -> Result:
    async def asked() -> Result:
        force = in_force({"out": out, "confirm": mode, **more})
        session = Session(force, Tools(), root=lm, open_runner=FakeRepl.opener(None))
        session.decide = decide
        try:
            return await session.ask(from_value("some text"), "What is it?")
        finally:
            await session.close()

    return engine().run(asked())


def _decisions(result: Result) -> list[tuple[str, int, int, str]]:
    found = of(CellDecided, events(result))
    return [(each.choice, each.turn, each.cell, each.word) for each in found]


def test_every_cell_waits_for_the_human_and_each_decision_is_recorded(tmp_path: Path) -> None:
    human = Human(("accepted", None, "well done"))
    lm = script("print(context)", "FINAL_VAR('yes')")
    result = _ask(lm, tmp_path / "run", human)
    assert result.response == "yes"
    assert [proposal.source for proposal in human.asked] == ["print(context)", "FINAL_VAR('yes')"]
    assert _decisions(result) == [("accepted", 1, 1, "well done"), ("accepted", 2, 2, "")]
    assert "The human says: well done" in told(lm, 2)
    check_whole(result)


def test_a_cell_that_is_edited_is_the_human_s_and_the_lm_is_told(tmp_path: Path) -> None:
    human = Human(("edited", "print(len(context))", ""))
    lm = script("print(context * 1_000)", "FINAL_VAR('yes')")
    result = _ask(lm, tmp_path / "run", human)
    assert [(c.author, c.source) for c in cells(result)] == [
        ("human", "print(len(context))"),
        ("lm", "FINAL_VAR('yes')"),
    ]
    [edited, _] = of(CellDecided, events(result))
    assert edited.source == "print(context * 1_000)"
    assert "the human changed it" in told(lm, 2)
    assert "print(len(context))" in told(lm, 2)
    page = result.trajectory.read_text()
    assert "print(context * 1_000)" in page
    assert "The human changed the cell" in page


def test_a_rejected_cell_does_not_run_nor_do_those_behind_it(tmp_path: Path) -> None:
    human = Human(("accepted", None, ""), ("rejected", None, "leave the files alone"))
    lm = script(block("x = 1\nprint(context)", "x = 2", "x = 3"), "FINAL_VAR(str(x))")
    result = _ask(lm, tmp_path / "run", human)
    assert result.response == "1"
    assert _decisions(result)[1:] == [
        ("rejected", 1, 0, "leave the files alone"),
        ("accepted", 2, 2, ""),
    ]
    assert "did not let your cell 2 run" in told(lm, 2)
    assert "leave the files alone" in told(lm, 2)
    assert "· **rejected**" in result.trajectory.read_text()


def test_first_asks_until_one_cell_of_a_node_was_accepted(tmp_path: Path) -> None:
    human = Human(("rejected", None, ""))
    lm = script("print(1)", "print(context)", "print(2)", "FINAL_VAR('yes')")
    result = _ask(lm, tmp_path / "run", human, "first")
    assert [choice for choice, *_ in _decisions(result)] == ["rejected", "accepted"]
    assert len(cells(result)) == 3


def test_off_asks_for_nothing(tmp_path: Path) -> None:
    human = Human()
    assert _ask(script("print(context)\nFINAL_VAR('y')"), tmp_path / "run", human, "off").response
    assert human.asked == []


def test_a_child_s_first_cell_waits_too(tmp_path: Path) -> None:
    human = Human()
    lm = script(
        "print(context)\nx = rlm_query('Which?', context)",
        "print(context)",
        "FINAL_VAR('of a child')",
        "FINAL_VAR(x)",
    )
    result = _ask(lm, tmp_path / "run", human, "first")
    assert result.response == "of a child"
    assert [proposal.node for proposal in human.asked] == ["0", "0.1"]


def test_where_nobody_can_decide_nothing_is_asked_of_the_lm(tmp_path: Path) -> None:
    lm = script("FINAL_VAR('y')")
    with pytest.raises(UsageError, match=r"confirm is always .*nobody is here who can"):
        _ask(lm, tmp_path / "run", None)
    with RLM(model=lm, confirm="first") as rlm, pytest.raises(UsageError, match="nobody is here"):
        rlm.completion("text", "What?")
    assert lm.asked == []
    assert not (tmp_path / "run").exists()


def test_the_run_s_clock_stands_still_while_the_human_decides(tmp_path: Path) -> None:
    async def late(proposal: Proposal) -> Decision:
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[Decision] = loop.create_future()
        loop.call_later(0.1, decided.set_result, Decision("accepted", proposal.source))
        return await decided

    began = time.monotonic()
    result = _ask(script("print(context)", "FINAL_VAR('yes')"), tmp_path / "run", late)
    waited = sum(decided.seconds for decided in of(CellDecided, events(result)))
    [ended] = of(RunEnded, events(result))
    assert waited > 0.19
    assert ended.seconds + waited < time.monotonic() - began


def _undecided(out: Path, monkeypatch: pytest.MonkeyPatch, *turns: str) -> Result:
    """A run whose second cell nobody decides on."""
    human = Human()

    async def once(proposal: Proposal) -> Decision:
        if human.asked:
            await asyncio.get_running_loop().create_future()
        return await human(proposal)

    with monkeypatch.context() as patch:
        patch.setattr(consent, "PATIENCE_S", 0.05)
        return _ask(script(*turns), out, once)


def test_a_run_whose_cell_nobody_decides_on_is_interrupted_and_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    stopped = _undecided(out, monkeypatch, "x = 7\nprint(context)", "FINAL_VAR(str(x))")
    assert (stopped.status, stopped.response) == ("interrupted", None)
    assert "nobody decided" in str(stopped.reason)
    check_whole(stopped)
    human = Human()

    async def on() -> Result:
        run = continuation.fork(out, None)
        force = in_force({"out": tmp_path / "on"}, layers=[run.spoken], config=[run.place])
        assert force.settings.confirm == "always"  # as the record has it
        session = Session(
            force, Tools(), root=script("FINAL_VAR(str(x))"), open_runner=FakeRepl.opener(None)
        )
        session.decide = human
        try:
            return await session.go_on(run, force=force)
        finally:
            await session.close()

    resumed = engine().run(on())
    assert resumed.response == "7"
    assert [proposal.source for proposal in human.asked] == ["FINAL_VAR(str(x))"]
    assert [choice for choice, *_ in _decisions(resumed)] == ["accepted"]


def test_children_that_wait_end_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = "print(context)\nrlm_query('Which?', context)"
    stopped = _undecided(tmp_path / "run", monkeypatch, child, "FINAL_VAR('of a child')")
    assert stopped.status == "interrupted"
    ended = of(NodeEnded, events(stopped))
    assert [(e.node, e.status) for e in ended] == [("0.1", "interrupted"), ("0", "interrupted")]


def test_a_replay_asks_nobody_and_is_equal(tmp_path: Path) -> None:
    human = Human(("edited", "x = 5\nprint(context)", ""), ("rejected", None, "no"))
    lm = script("print(context)", "import os", "FINAL_VAR(str(x))")
    out = tmp_path / "run"

    async def asked() -> Result:
        session = Session(in_force({"out": out, "confirm": "always"}), Tools(), root=lm)
        session.decide = human
        try:
            return await session.ask(from_value("some text"), "What is it?")
        finally:
            await session.close()

    assert engine().run(asked()).response == "5"
    verdict = engine().run(replay(trajectory.load(out), lambda text: None))
    assert verdict.sentence.startswith("equal: 2 cells run again")


def test_a_fork_asks_for_what_is_not_in_the_record_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    _ask(script("x = 3\nprint(context)", "FINAL_VAR(str(x))"), out, Human())
    human = Human()

    async def on() -> Result:
        run = continuation.fork(out, 2)
        force = in_force({"out": tmp_path / "fork"}, layers=[run.spoken], config=[run.place])
        session = Session(
            force, Tools(), root=script("FINAL_VAR(str(x + 1))"), open_runner=FakeRepl.opener(None)
        )
        session.decide = human
        try:
            return await session.go_on(run, force=force)
        finally:
            await session.close()

    assert engine().run(on()).response == "4"
    assert [proposal.source for proposal in human.asked] == ["FINAL_VAR(str(x + 1))"]


def test_the_decision_is_in_what_the_lm_was_told_and_shown(tmp_path: Path) -> None:
    result = _ask(script("print(context)\nFINAL_VAR('y')"), tmp_path / "run", Human())
    assert of(Prompted, events(result))
    assert "The human accepted the cell" in result.trajectory.read_text()


@pytest.mark.parametrize(
    ("typed", "choice", "source", "word"),
    [
        (["y"], "accepted", "a = 1", ""),
        (["", "what?", "YES thanks"], "accepted", "a = 1", "thanks"),
        (["n use sql"], "rejected", "a = 1", "use sql"),
        (["e", "for i in x:", "    f(i)", "."], "edited", "for i in x:\n    f(i)", ""),
        (["e", ".", "y"], "accepted", "a = 1", ""),
    ],
)
def test_a_decision_is_typed(typed: list[str], choice: str, source: str, word: str) -> None:
    lines = iter(typed)
    shown: list[str] = []

    async def show(text: str) -> str:
        shown.append(text)
        return next(lines)

    decided = engine().run(consent.typed(Proposal("0", 1, "a = 1"), show))
    assert decided == Decision(choice, source, word)  # type: ignore[arg-type]
    assert "a = 1" in shown[0]
    assert list(lines) == []


def test_what_is_shown_of_a_cell_obeys_no_terminal_and_says_so() -> None:
    async def show(text: str) -> str:
        assert "\x1b" not in text
        assert consent.UNSEEN in text
        return "n"

    hidden = Proposal("0.1", 1, "print('\x1b[2K')")
    assert engine().run(consent.typed(hidden, show)).choice == "rejected"
