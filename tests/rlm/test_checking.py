"""``t.check()``: who is asked, what the record has of it, and where it is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from asking import ask_here, calls, check_whole, events, script

from rlm_kernel import Limits, Result, cli
from rlm_kernel.errors import CallRefused
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record import trajectory
from rlm_kernel.record.checks import checks_of
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay import continuation
from rlm_kernel.replay.replay import replay
from rlm_kernel.reports.export.calls import _rows
from rlm_kernel.rlm import human as asked_human
from rlm_kernel.rlm.human import AskHuman, Human
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.limits import Ledger
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import FakeRepl, ScriptedLM

TEXT = "\n".join(f"mail {n}: {'buy this' if n % 5 == 0 else 'see you'}" for n in range(60))
MAP = "print(context[:9])\nt = llm_map(context, 'Is this spam?', labels=['spam', 'ham'])\n"
CHECK = f"{MAP}c = t.check(30)\nprint(c)\nFINAL_VAR(str(c.shares['spam']))"


def judged(prompt: str) -> str:
    """A sub-LM that takes every fourth mail for spam besides."""
    text = prompt.rpartition("<item>\n")[2]
    number = int(text.split()[1].rstrip(":"))
    return json.dumps({"value": "spam" if "buy" in text or number % 4 == 0 else "ham"})


async def human(question: str) -> str:
    """A human who knows, and types only what is wrong."""
    right = "spam" if "buy" in question else "ham"
    return "" if f'says: "{right}"' in question else right


def _asked(lm: ScriptedLM, out: Path, who: AskHuman | None, *, kernel: bool = False) -> Result:
    async def asked() -> Result:
        runner = {} if kernel else {"open_runner": FakeRepl.opener()}
        session = Session(in_force({"out": out}), Tools(), root=lm, **runner)
        session.ask_human = who
        try:
            return await session.ask(from_value(TEXT), "How much is spam?")
        finally:
            await session.close()

    return engine().run(asked())


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One question whose answer rests on a map that a human has checked, in a kernel."""
    folder = tmp_path_factory.mktemp("checked")
    return _asked(script(CHECK, sub=judged), folder / "run", human, kernel=True)


def _folder(result: Result) -> Path:
    return result.trajectory.parent


def test_the_human_s_words_are_in_the_record_row_by_row(result: Result) -> None:
    [check] = result.checks
    assert (check.by, check.rows, check.checked, check.right) == ("human", 60, 30, 22)
    assert check.shares["spam"].low <= 0.2 <= check.shares["spam"].high
    tools = [call for call in calls(result) if call.op == "tool"]
    assert len(tools) == 31
    assert tools[0].prompt.startswith("Check row ")
    assert {call.reply for call in tools[:-1]} == {"", "ham"}
    assert tools[-1].prompt == "MapTable.checked"
    assert sum(call.usage.requests for call in tools) == 0
    check_whole(result)


def test_it_is_shown_beside_the_answer_wherever_that_is(
    result: Result, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = f"Checked: {result.checks[0].line}"
    assert line.endswith("checked on 30 of 60 rows by the human")
    run, page = str(_folder(result)), tmp_path / "page.html"
    for command in (["show", run], ["why", run], ["export", run, "-o", str(page)]):
        assert cli.main(command) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert shown.count(line) == 2
    assert line in page.read_text("utf-8")
    assert f"accuracy {result.checks[0].accuracy}"[:13] in result.trajectory.read_text("utf-8")
    for command in (["show", run, "--json"], ["why", run, "--json"]):
        assert cli.main(command) == 0
        [told] = json.loads(capsys.readouterr().out)["checks"]
        assert told["checked"] == 30


def test_the_question_of_a_map_stands_where_its_rows_are_shown(
    result: Result, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert cli.main(["export", str(_folder(result)), "-o", str(page)]) == 0
    assert "“Is this spam?”" in page.read_text("utf-8")
    rows = list(_rows(calls(result), 0.0))
    assert [row["question"] for row in rows] == ["Is this spam?"] * 60 + [""] * 31


def test_it_replays_with_no_human_and_a_notebook_alone_shows_it(
    result: Result, tmp_path: Path
) -> None:
    recorded = trajectory.load(_folder(result))
    verdict = engine().run(replay(recorded, lambda text: None))
    assert (verdict.differences, verdict.ambiguities, verdict.calls) == ([], [], 91)
    alone = tmp_path / "alone.ipynb"
    alone.write_bytes(result.trajectory.read_bytes())
    found = Recording.open(alone)
    assert checks_of(found.events, found.root.id) == list(result.checks)


def test_figures_that_were_changed_in_the_record_are_found_by_a_replay(
    result: Result, tmp_path: Path
) -> None:
    notebook = json.loads(result.trajectory.read_text())
    told = notebook["metadata"]["rlm"]["calls"][-1]["reply"]
    told |= {"right": 30}
    (tmp_path / "forged.ipynb").write_text(json.dumps(notebook))
    verdict = engine().run(replay(trajectory.load(tmp_path / "forged.ipynb"), lambda text: None))
    assert verdict.result == "differs"


def test_a_fork_has_the_human_s_words_and_asks_about_new_rows_only(
    result: Result, tmp_path: Path
) -> None:
    lm = script("more = t.check(40)\nprint(more)\nFINAL_VAR(more.checked)", sub=judged)
    heard: list[str] = []

    async def later(question: str) -> str:
        heard.append(question)
        return await human(question)

    async def forked() -> Result:
        session = Session(in_force({"out": tmp_path / "fork"}), Tools(), root=lm)
        session.ask_human = later
        try:
            cell = continuation.fork(_folder(result), 2)
            return await session.go_on(cell)
        finally:
            await session.close()

    assert engine().run(forked()).value == 40
    assert len(heard) == 10
    assert all(f", {n} of 40" in question for n, question in enumerate(heard, 31))


def test_a_run_that_was_killed_half_way_through_a_check_asks_about_the_rest(
    result: Result, tmp_path: Path
) -> None:
    folder = shutil.copytree(_folder(result), tmp_path / "killed")
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    last = [at for at, line in enumerate(lines) if b'"op":"tool"' in line.replace(b" ", b"")][19]
    (folder / "journal.jsonl").write_bytes(b"".join(lines[: last + 1]))
    heard: list[str] = []

    async def later(question: str) -> str:
        heard.append(question)
        return await human(question)

    async def resumed() -> Result:
        session = Session(in_force({}), Tools(), root=script(sub=judged))
        session.ask_human = later
        try:
            return await session.go_on(continuation.resume(folder))
        finally:
            await session.close()

    ended = engine().run(resumed())
    assert (ended.response, ended.checks) == (result.response, result.checks)
    assert len(heard) == 10


def test_a_model_that_is_named_judges_and_is_asked_the_same(tmp_path: Path) -> None:
    asked: list[str] = []

    def sub(prompt: str) -> str:
        asked.append(prompt)
        right = json.dumps("spam" if "buy" in prompt.rpartition("<item>")[2] else "ham")
        return right if len(asked) > 60 else judged(prompt)

    source = f"{MAP}c = t.check(30, by='large')\nprint(c)\nFINAL_VAR(c.right)"
    result = ask_here(script(source, sub=sub), tmp_path / "run", TEXT)
    [check] = result.checks
    assert (check.by, check.checked, result.value) == ("large", 30, check.right)
    rows = [call for call in calls(result) if call.asked == "large"]
    assert [call.op for call in rows] == ["llm_map"] * 30
    assert rows[0].options == calls(result)[0].options
    assert {call.about["row"] for call in rows} <= set(range(60))
    assert rows[0].about["span"][1] == TEXT.index(rows[0].prompt)
    assert asked[60] in asked[:60]
    assert "checked on 30 of 60 rows by large" in check.line


def test_a_model_that_fails_is_an_error_of_the_cell(tmp_path: Path) -> None:
    def sub(prompt: str) -> str | Exception:
        return judged(prompt)

    source = (
        f"{MAP}try:\n    t.check(30, by='large')\n"
        "except ValueError as e:\n    print(e)\n    FINAL_VAR(f'{e} ')"
    )
    limits = Limits(calls=70)
    result = ask_here(script(source, sub=sub), tmp_path / "run", TEXT, limits=limits)
    assert "30 rows: 30 sub-calls" in str(result.response)
    assert result.checks == ()


def test_where_no_human_is_the_error_says_to_name_a_model(tmp_path: Path) -> None:
    source = (
        f"{MAP}try:\n    t.check()\nexcept ValueError as e:\n    print(e)\n    FINAL_VAR(f'{{e}} ')"
    )
    result = _asked(script(source.replace("{{e}}", "{e}"), sub=judged), tmp_path / "run", None)
    assert str(result.response).startswith("check: no human is there to judge rows")
    assert "t.check(by='MODEL')" in str(result.response)


def test_the_corrections_are_examples_for_a_second_pass(tmp_path: Path) -> None:
    prompts: list[str] = []

    def sub(prompt: str) -> str:
        prompts.append(prompt)
        return judged(prompt)

    source = (
        f"{MAP}c = t.check(30)\nprint(c)\nu = llm_map(t, t.question, labels=['spam', 'ham'],"
        " examples=c.examples)\nFINAL_VAR(len(c.examples))"
    )
    result = _asked(script(source, sub=sub), tmp_path / "run", human)
    assert result.value == 8
    assert prompts[-1].count('{"value": "ham"}') == 8


@pytest.mark.anyio
async def test_a_run_shows_so_many_rows_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_human, "MOST_ROWS", 2)
    who = Human(human, Ledger(Limits()))
    assert [await who.judged('says: "ham"') for _ in range(2)] == ["", ""]
    with pytest.raises(CallRefused, match="was shown 2 rows"):
        await who.judged("a third")
    with pytest.raises(CallRefused, match="10,000 characters at most"):
        await who.judged("x" * 10_001)


def test_figures_that_no_check_can_have_are_not_recorded(tmp_path: Path) -> None:
    source = (
        f"{MAP}try:\n    t.checker._tell({{'kind': 'check'}})\n"
        "except ValueError as e:\n    print(e)\n    FINAL_VAR(str(e))"
    )
    result = ask_here(script(source, sub=judged), tmp_path / "run", TEXT)
    assert "no figures of a check" in str(result.response)
    assert result.checks == ()


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        (["c = t.check(9, seed=1)", "print(c)\nFINAL_VAR(t.counts())"], 1),
        (["t.check(9, seed=1)", "t.check(20)", "FINAL_VAR(t.counts())"], 1),
        (["print(t.counts())", "FINAL_VAR('about a fifth')"], 0),
    ],
)
def test_of_several_checks_of_a_map_the_last_one_is_shown(
    tmp_path: Path, cells: list[str], shown: int
) -> None:
    lm = script(MAP, *cells, "FINAL_VAR('about a fifth')", sub=judged)
    result = _asked(lm, tmp_path / "run", human)
    assert len(result.checks) == shown
    assert len(checks_of(events(result), "0")) == shown
