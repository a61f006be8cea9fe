"""The evidence of an answer is kept in the record, and shown wherever the answer is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from asking import ask, ask_here, cells, events, of, script, told

from rlm_kernel import RLM, Result, cli
from rlm_kernel.answers import Evidence
from rlm_kernel.events import NodeEnded, RunEnded
from rlm_kernel.record import trajectory
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine

CONTEXT = "The mill at Kemi burnt in 1912.\nThe ship sank in 1913.\n"
GIVING = "print(context)\nFINAL_VAR('in 1912', evidence=['burnt in 1912', 'sank in 1912'])"
STANDS = Evidence(quote="burnt in 1912", supported=True, start=17, end=30, line=1)
FALSE = Evidence(quote="sank in 1912", supported=False)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("evidence")
    return ask(script(GIVING, GIVING), folder / "run", CONTEXT, "When did it burn?")


def test_an_answer_has_its_evidence_each_quote_supported_or_not(result: Result) -> None:
    assert (result.status, result.confirmed, result.response) == ("answered", True, "in 1912")
    assert result.evidence == (STANDS, FALSE)
    assert [one.state for one in result.evidence] == ["supported", "asserted"]


def test_a_quote_that_does_not_stand_there_is_asked_about_once(tmp_path: Path) -> None:
    lm = script(GIVING, "FINAL_VAR('in 1912', evidence=['burnt in 1912'])")
    result = ask_here(lm, tmp_path / "run", CONTEXT)
    assert result.evidence == (STANDS,)
    assert "do not stand in `context`: 'sank in 1912'" in told(lm, 2)


def test_a_model_that_goes_on_with_false_quotes_is_not_asked_for_ever(tmp_path: Path) -> None:
    false = "print(context)\nFINAL_VAR('x', evidence=['no quote {n}'])"
    lm = script(*(false.format(n=n) for n in range(3)))
    result = ask_here(lm, tmp_path / "run", CONTEXT)
    assert [one.quote for one in result.evidence] == ["no quote 1"]


def test_the_record_and_each_notebook_alone_keep_it(result: Result) -> None:
    ended = [*of(NodeEnded, events(result)), *of(RunEnded, events(result))]
    assert [event.evidence for event in ended] == [[STANDS, FALSE]] * 2
    assert cells(result)[-1].evidence == [STANDS, FALSE]
    alone = Recording.open(result.trajectory)
    assert alone.root.given is not None
    assert alone.root.given.evidence == (STANDS, FALSE)


def test_it_is_replayed_and_a_false_quote_in_the_record_is_found(
    result: Result, tmp_path: Path
) -> None:
    recorded = trajectory.load(result.trajectory.parent)
    verdict = engine().run(replay(recorded, lambda text: None))
    assert (verdict.result, verdict.differences) == ("equal", [])
    notebook = json.loads(result.trajectory.read_text())
    for row in (notebook["metadata"]["rlm"], *notebook["metadata"]["rlm"]["cells"]):
        for one in row.get("evidence", []):
            one |= {"supported": True, "start": 1, "end": 2, "line": 1}
    (tmp_path / "forged.ipynb").write_text(json.dumps(notebook))
    verdict = engine().run(replay(trajectory.load(tmp_path / "forged.ipynb"), lambda text: None))
    assert verdict.result == "differs"


def test_a_fork_gives_it_anew(result: Result, tmp_path: Path) -> None:
    lm = script("FINAL_VAR('1913', evidence=['sank in 1913'])")
    with RLM(model=lm, out=tmp_path / "fork") as rlm:
        fork = rlm.fork(result.trajectory.parent, 2)
    assert [(one.quote, one.supported) for one in fork.evidence] == [("sank in 1913", True)]


def test_every_page_shows_it_beside_the_answer(
    result: Result, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(result.trajectory.parent)
    wanted = ["supported · line 1 · characters 17–30 · “burnt in 1912”",
              "asserted · not found · “sank in 1912”"]  # fmt: skip
    for command in ("show", "why"):
        assert cli.main([command, folder]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert all(line in shown for line in wanted), command
        assert cli.main([command, folder, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["evidence"]) == 2
    notebook = result.trajectory.read_text()
    assert "Evidence: 1 of 2 quotes found in the input" in notebook
    assert cli.main(["export", folder, "-o", str(tmp_path / "run.html")]) == 0
    html = (tmp_path / "run.html").read_text()
    assert all(line in html for line in wanted)


def test_of_an_answer_without_evidence_why_says_where_its_words_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = script("print(context)\nFINAL_VAR(['The ship', 'in 1914', 'at'])")
    ask_here(lm, tmp_path / "run", CONTEXT)
    assert cli.main(["why", str(tmp_path / "run")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "No evidence was given; words of the answer stand in the context" in shown
    assert "line 2 · characters 32–40 · “The ship”" in shown
    assert cli.main(["why", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["quote"] for one in told["standing"]] == ["The ship"]
    assert told["evidence"] == []


def test_evidence_of_words_that_name_a_variable_or_none(tmp_path: Path) -> None:
    lm = script("year = 1912\nprint(context)\nFINAL_VAR('year', evidence=[(17, 30)])")
    assert ask_here(lm, tmp_path / "a", CONTEXT).evidence == (STANDS,)
    lm = script("print(context)\nFINAL_VAR('Kemi', evidence=find(context, 'Kemi'))")
    [one] = ask(lm, tmp_path / "b", CONTEXT).evidence
    assert (one.quote, one.supported) == ("Kemi", True)


def test_a_guest_that_lies_in_its_report_is_not_believed_without_a_place() -> None:
    from rlm_kernel.repl.protocol import as_evidence

    good = {"quote": "x", "supported": True, "where": "", "start": 0, "end": 1, "line": 1}
    assert as_evidence([good])[0].supported
    for change in ({"start": None}, {"end": "1"}, {"line": -1}, {"supported": 1}):
        assert not as_evidence([{**good, **change}])[0].supported
    assert as_evidence([{**good, "quote": 3}, None, {}]) == as_evidence("x") == ()


FORGED = """
import rlm_guest
guest = rlm_guest._guest
told = {"quote": "sank in 1912", "supported": True, "where": "", "start": 31, "end": 43, "line": 2}
answer = {"text": "in 1912", "type": "str", "value": '"in 1912"', "evidence": [told]}
guest.broker.ask({"op": "ran", "cell": guest._cell, "answer": answer, "names": []})
"""


def test_a_cell_that_forges_the_kernel_s_check_supports_nothing(tmp_path: Path) -> None:
    lm = script(FORGED, FORGED, FORGED)
    result = ask(lm, tmp_path / "run", CONTEXT, "When did it sink?")
    assert (result.response, result.evidence) == ("in 1912", (FALSE,))
