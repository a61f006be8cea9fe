"""A small author writes a query, or reads a passage; what it writes becomes the cell that is
run."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import ask, ask_here, block, cells, events, told

from rlm_kernel import Limits, Result
from rlm_kernel.events import Replied
from rlm_kernel.record import trajectory
from rlm_kernel.record.summary import summarise
from rlm_kernel.replay.replay import replay
from rlm_kernel.rlm.small_replies import sources
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import ScriptedLM

ORDERS = "id,city,amount\n1,Turin,10\n2,Oslo,7\n3,Turin,5\n"
TEXT = "The mill is old.\nThe gate opens with 84-KX-19.\n" + "Nothing else is said.\n" * 400


def query(text: str) -> str:
    return f"```sql\n{text}\n```"


SUM = query("SELECT SUM(amount) FROM t WHERE city = 'turin'")


def _replayed(result: Result) -> bool:
    verdict = engine().run(replay(trajectory.load(result.trajectory), lambda text: None))
    return verdict.result == "equal"


def test_a_query_becomes_the_cell_that_is_run_and_answers(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", SUM])
    result = ask(lm, tmp_path / "run", ORDERS, "How much went to Turin?", prompt="small")
    assert (result.value, result.confirmed) == (15, True)
    looked, asked = cells(result)
    assert looked.source == "print(look(context, 'How much went to Turin?'))"
    assert asked.source.startswith("found = sql(context, ")
    assert "Table t, 3 rows, has the columns\n- id: number" in told(lm, 2)
    assert _replayed(result)


def test_the_first_look_is_ours_and_costs_nothing(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", SUM])
    result = ask_here(lm, tmp_path / "run", ORDERS, "How much went to Turin?", prompt="small")
    ours = [e for e in events(result) if isinstance(e, Replied)][1]
    assert (ours.turn, ours.model, ours.usage.tokens) == (1, "", 0)
    assert [m["role"] for m in lm.asked[1]] == ["system", "user"]
    assert result.usage.requests == 2
    assert summarise(events(result)).turns == result.turns == 2


@pytest.mark.parametrize(
    "reply", ["Answer: 84-KX-19", "84-KX-19", "**Answer:** `84-KX-19`", "answer:84-KX-19\n"]
)
def test_a_passage_is_read_and_its_place_is_the_evidence(tmp_path: Path, reply: str) -> None:
    lm = ScriptedLM(["read", reply])
    result = ask_here(lm, tmp_path / "run", TEXT, "What opens the gate?", prompt="small")
    assert (result.response, result.confirmed) == ("84-KX-19", True)
    assert [(e.line, e.supported) for e in result.evidence] == [(2, True)]
    assert "[2] The gate opens with 84-KX-19." in told(lm, 2)


def test_an_answer_that_stands_nowhere_is_asked_for_once_more(tmp_path: Path) -> None:
    lm = ScriptedLM(["read", "Answer: a key", "Answer: 84-KX-19"])
    result = ask_here(lm, tmp_path / "run", TEXT, "What opens the gate?", prompt="small")
    assert (result.response, result.confirmed) == ("84-KX-19", True)
    assert "'a key' does not stand in `context`" in told(lm, 3)


def test_one_that_stays_is_taken_unconfirmed(tmp_path: Path) -> None:
    lm = ScriptedLM(["read", "Answer: a key", "Answer: a key"])
    result = ask_here(lm, tmp_path / "run", TEXT, "What opens the gate?", prompt="small")
    assert (result.status, result.response, result.confirmed) == ("answered", "a key", False)
    assert "stands nowhere in the context" in str(result.reason)


def test_of_a_table_words_are_no_answer_before_a_query_has_run(tmp_path: Path) -> None:
    lm = ScriptedLM(["read", "Answer: Turin", query("SELECT city FROM t WHERE id = 2")])
    result = ask_here(lm, tmp_path / "run", ORDERS, "Which city is order 2?", prompt="small")
    assert result.response == "Oslo"
    assert "Write one SQLite query" in told(lm, 3)


def test_a_query_that_finds_nothing_is_told_what_there_is(tmp_path: Path) -> None:
    torino = query("SELECT COUNT(*) FROM t WHERE city = 'Torin'")
    lm = ScriptedLM(["count", torino, query("SELECT COUNT(*) FROM t WHERE city = 'Turin'")])
    result = ask_here(lm, tmp_path / "run", ORDERS, "How many in Turin?", prompt="small")
    assert (result.value, result.confirmed) == (2, True)
    assert "No city is 'Torin'; there are, for example, Turin." in told(lm, 3)


def test_a_query_that_is_wrong_is_told_the_columns(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", query("SELECT SUM(price) FROM t"), SUM])
    result = ask_here(lm, tmp_path / "run", ORDERS, "How much went to Turin?", prompt="small")
    assert result.value == 15
    assert "no such column: price. There are the tables t(id, city 'Turin', amount)" in told(lm, 3)


EVERYWHERE = query("SELECT SUM(amount) FROM t")


def test_a_query_that_leaves_out_what_the_question_names_is_asked_about_once(
    tmp_path: Path,
) -> None:
    lm = ScriptedLM(["count", EVERYWHERE, SUM])
    result = ask_here(lm, tmp_path / "run", ORDERS, "How much went to Turin?", prompt="small")
    assert (result.value, result.confirmed) == (15, True)
    assert "'Turin' is a city, which the query leaves out" in told(lm, 3)


def test_the_same_query_again_is_taken_unconfirmed_with_its_doubt(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", EVERYWHERE, EVERYWHERE])
    result = ask(lm, tmp_path / "run", ORDERS, "How much went to Turin?", prompt="small")
    assert (result.status, result.value, result.confirmed) == ("answered", 22, False)
    assert "in doubt" in str(result.reason)
    assert "which the query leaves out" in str(result.reason)
    assert _replayed(result)


def test_any_author_may_say_that_an_answer_is_in_doubt(tmp_path: Path) -> None:
    doubted = block("print(context)\nFINAL_VAR(22, doubt='two rows disagree')")
    result = ask(ScriptedLM([doubted]), tmp_path / "run", ORDERS, "How much?")
    assert (result.value, result.confirmed) == (22, False)
    assert result.reason == "the answer is in doubt: two rows disagree"


def test_what_words_cannot_tell_a_reader_judges(tmp_path: Path) -> None:
    reviews = "Kettle: I love it\nKettle: it broke\nLamp: it broke\nKettle: never again\n"
    judged = (
        "SELECT COUNT(*) FROM t WHERE text LIKE '%Kettle%' AND judge(text, 'bad', 'good') = 'bad'"
    )

    def reader(prompt: str) -> str:
        assert "Is this bad or good?" in prompt
        return '{"value": "%s"}' % ("good" if "love" in prompt else "bad")

    lm = ScriptedLM(["judge", query(judged)], reader)
    result = ask(lm, tmp_path / "run", reviews, "How many Kettles are bad?", prompt="small")
    assert result.value == 2
    assert result.usage.requests == 2 + 3
    assert _replayed(result)


def test_python_runs_as_it_is(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", block("FINAL_VAR(len(context))")])
    result = ask_here(lm, tmp_path / "run", TEXT, "How long is it?", prompt="small")
    assert result.value == len(TEXT)


def test_the_first_look_takes_no_turn_of_the_lms(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", SUM])
    question, limits = "How much went to Turin?", Limits(turns=1)
    result = ask_here(lm, tmp_path / "run", ORDERS, question, prompt="small", limits=limits)
    assert (result.status, result.value) == ("answered", 15)


def test_without_a_context_nothing_is_looked_at(tmp_path: Path) -> None:
    lm = ScriptedLM(["count", block("FINAL_VAR(2 + 2)")])
    result = ask_here(lm, tmp_path / "run", "What is 2 + 2?", "What is 2 + 2?", prompt="small")
    assert [cell.source for cell in cells(result)] == ["FINAL_VAR(2 + 2)"]


@pytest.mark.parametrize(
    ("reply", "begins"),
    [
        ("SELECT 1 FROM t", "found = sql(context, "),
        ("Here:\n```\nSELECT a\nFROM t;\n```", "found = sql(context, "),
        ("```sqlite\nWITH x AS (SELECT 1 FROM t) SELECT * FROM x\n```", "found = sql(context, "),
        ("```sql\nSELECT 'it\\'s' FROM t\n```", 'found = sql(context, "'),
        ("```sql\nDROP TABLE t\n```", None),
        ("", None),
        ("A first line.\n\nA second one.", None),
        (
            "Answer: Anton and Bo",
            "FINAL_VAR('Anton and Bo', evidence=find(context, ['Anton', 'Bo'])",
        ),
    ],
)
def test_a_reply_is_read_as_what_it_is(reply: str, begins: str | None) -> None:
    made = sources(reply, "Who?")
    assert made == [] if begins is None else made[0].startswith(begins)


def test_half_a_query_is_not_asked() -> None:
    assert sources("```sql\nSELECT a FROM t WHERE", "Who?", cut_short=True) == []
    assert sources("Answer: the first ha", "Who?", cut_short=True) == []
