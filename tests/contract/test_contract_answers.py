"""Both ways of ending."""

from __future__ import annotations

from dataclasses import replace

import pytest
from environments import Bench, shown

from rlm_kernel.answers import Answer
from rlm_kernel.repl.protocol import Attached, Call, Slot

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("summary = 'the sum'\nFINAL_VAR(summary)", "the sum"),
        ("summary = await llm_query.aio('the sum')\nFINAL_VAR(summary)", "<the sum>"),
        ("summary = 'the sum'\nFINAL_VAR('summary')", "the sum"),
        ("summary = 'the sum'\nFINAL_VAR(value=summary)", "the sum"),
        ("summary = 'the sum'\nFINAL_VAR(var_name='summary')", "the sum"),
        ("summary = 'the sum'\nFINAL_VAR(var_name=summary)", "the sum"),
        ("FINAL_VAR('two words')", "two words"),
        ("FINAL_VAR(6 * 7)", "42"),
        ("word = 'x'\nFINAL_VAR(f'{word}')", "x"),
        ("name = 'summary'\nFINAL_VAR(name)", "summary"),
        ("FINAL_VAR([1, 'two'])", "[1, 'two']"),
        ("FINAL_VAR('')", ""),
        ("FINAL_VAR(None)", "None"),
        ("FINAL_VAR('a\\r\\n\\ud800')", "a\r\n\ud800"),
        ("def f():\n    inner = 'local'\n    FINAL_VAR('inner')\nf()", "local"),
        ("def f():\n    FINAL_VAR('outer')\nouter = 'global'\nf()", "global"),
        ("x = 'ready'\nprint(FINAL_VAR('x'))", "ready"),
        ("FINAL_VAR('the first')\nFINAL_VAR('the last')", "the last"),
        ("answer['content'] = 'boxed'\nanswer['ready'] = True", "boxed"),
        ("answer = {'content': 42, 'ready': True}", "42"),
        ("answer['content'] = 'boxed'\nFINAL_VAR(answer)", "boxed"),
        ("answer['content'] = 'boxed'\nFINAL_VAR('answer')", "boxed"),
        ("FINAL_VAR('Paris')", "Paris"),
        ("FINAL_VAR('yes', evidence=['so it says'])", "yes"),
        ("sum_1 = 3\nFINAL_VAR('sum_1', evidence=[])", "3"),
        ("word = 'x'\nFINAL_VAR(value='word')", "word"),
        ("word = 'x'\nFINAL_VAR(evidence=None, value=word)", "x"),
        ("answer.update(content='boxed', ready=True)\nFINAL_VAR('the call')", "the call"),
    ],
)
async def test_an_answer_is_given(kernel: Bench, source: str, answer: str) -> None:
    ran = await kernel.run(source)
    assert ran.status == "ok", shown(ran)
    assert ran.answer is not None
    assert ran.answer.text == answer


async def test_an_answer_is_that_of_its_own_cell(kernel: Bench) -> None:
    await kernel.run("FINAL_VAR('first of all')")
    await kernel.run("answer.update(content='kept', ready=True)")
    ran = await kernel.run("1 + 1")
    assert (ran.answer, ran.draft) == (None, Answer.of_text("kept"))


async def test_an_unknown_name_is_an_error_with_the_candidates(kernel: Bench) -> None:
    await kernel.run("summary = 'x'")
    ran = await kernel.run("FINAL_VAR('sumary')")
    assert (ran.status, ran.answer) == ("error", None)
    assert "NameError: FINAL_VAR: there is no variable 'sumary'; there are:" in shown(ran)
    assert "summary" in shown(ran)
    assert "FINAL_VAR(name)" in shown(ran)
    assert 'FINAL_VAR(value="sumary")' in shown(ran)


@pytest.mark.parametrize(
    "word",
    [
        "the_sum", "q4", "result", "Output", "final", "ans",  # by their look
        "lenght", "lengths", "lngth", "lengte", "SHOW_VAR",  # a slip
        "failed", "item", "helper", "given", "mod", "unparsed",  # what cells would have made
    ],
)  # fmt: skip
async def test_a_word_that_looks_like_a_name_is_asked_about(kernel: Bench, word: str) -> None:
    await kernel.run("length = 3\nanswer['content'] = ''")
    await kernel.run("failed = 1 / 0")
    await kernel.run(
        "for item in []: pass\ndef f(given):\n    helper = given\nimport no.such as mod"
    )
    await kernel.run("unparsed = (")
    ran = await kernel.run(f"FINAL_VAR({word!r})")
    assert (ran.status, ran.answer) == ("error", None)
    assert f'FINAL_VAR(value="{word}")' in shown(ran)
    assert (ran.draft, ran.called) == (Answer.of_text(word), False)
    ran = await kernel.run(f"FINAL_VAR(value={word!r})")
    assert (ran.status, ran.answer) == ("ok", Answer.of_text(word))


async def test_a_word_of_an_earlier_questions_cells_is_a_word(kernel: Bench) -> None:
    await kernel.run("harbour = 1 / 0")
    await kernel.repl.seed(1)
    ran = await kernel.run("FINAL_VAR('harbour')")
    await kernel.repl.seed(None)
    assert ran.answer == Answer.of_text("harbour")


async def test_evidence_is_looked_for_in_the_input(kernel: Bench) -> None:
    await kernel.give("It burnt in 1912.\nIt was built again.")
    ran = await kernel.run(
        "context = context[:2] + ' never burnt'\n"
        "FINAL_VAR('yes', evidence=['burnt in  1912', 'never burnt', (18, 20)])"
    )
    assert ran.answer is not None
    said = [(one.quote, one.supported, one.line) for one in ran.answer.evidence]
    assert said == [("burnt in  1912", True, 1), ("never burnt", False, None), ("It", True, 2)]


async def test_rows_and_find_are_there_and_give_way(kernel: Bench) -> None:
    await kernel.give("name,age\nann,3\nbob,4\n")
    shown_rows = await kernel.run("rows(context)")
    assert "2 rows. Read as a table: name, age." in shown(shown_rows)
    assert await kernel.said("print(find(context, ['bob', 'cid']).missing)") == "['cid']"
    await kernel.run("rows = 3\ndef find(x): return x")
    assert await kernel.said("print(rows, find('mine'))") == "3 mine"
    await kernel.run("del rows, find")
    assert await kernel.said("print(rows(context)[1])") == "{'name': 'bob', 'age': 4}"


@pytest.mark.parametrize("evidence", ["'a quote'", "[1]", "{}", "('a',)"])
async def test_evidence_that_is_no_list_of_texts_is_refused(kernel: Bench, evidence: str) -> None:
    for value in ("'word'", "'two words'", "3"):
        ran = await kernel.run(f"FINAL_VAR({value}, evidence={evidence})")
        assert "evidence is a list of str" in shown(ran)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("FINAL_VAR(print('it'))", "None"),
        ("FINAL_VAR(...)", "Ellipsis"),
        ("FINAL_VAR('  ')", "empty text"),
        ("answer['ready'] = True", "empty text"),
        ("answer.update(content=None, ready=True)", "None"),
        ("FINAL_VAR(n for n in [1])", "an iterator (generator)"),
        ("FINAL_VAR(map(str, [1]))", "an iterator (map)"),
        ("FINAL_VAR(len)", "a function"),
        ("FINAL_VAR(lambda: 1)", "a function"),
        ("class C:\n    def m(self): pass\nFINAL_VAR(C().m)", "a method"),
        ("FINAL_VAR(dict)", "a class"),
        ("import re\nFINAL_VAR('re')", "the variable `re`, which is a module"),
        ("async def f(): pass\nrun = f()\nFINAL_VAR(run)\nrun.close()", "a coroutine"),
        ("try:\n    1 / 0\nexcept Exception as e:\n    FINAL_VAR(e)", "an error (Zero"),
        ("FINAL_VAR('llm_query')", "the variable `llm_query`, which is a function"),
        ("FINAL_VAR(object())", "does not show its content (`<object object at 0x"),
        ("import threading\nFINAL_VAR({'lock': threading.Lock()})", "(`<unlocked _thread.lock"),
        ("FINAL_VAR([1, (n for n in [1])])", "(`<generator object <genexpr> at 0x"),
        ("FINAL_VAR(str(object()))", "(`<object object at 0x"),
    ],
)
async def test_what_is_no_answer_is_given_with_a_doubt(
    kernel: Bench, source: str, kind: str
) -> None:
    ran = await kernel.run(source)
    assert ran.status == "ok", shown(ran)
    assert ran.answer is not None
    assert kind in (ran.doubt or "")
    for whole in ("[]", "'it is an <object object at 0x7f0123456789>'", "'<b> at 0x12>'"):
        assert (await kernel.run(f"FINAL_VAR(len)\nFINAL_VAR({whole})")).doubt is None


async def test_failed_replies_are_given_with_a_doubt(kernel: Bench) -> None:
    async def failing(call: Call) -> list[Slot]:
        return [{"error": {"type": "LMError", "message": "no"}}] * 2

    kernel.calls.serving = failing
    await kernel.run("failed = llm_query_batched(['a', 'b'])")
    for value in ("failed[0]", "failed", "dict(enumerate(failed))", "tuple(failed)"):
        assert "sub-call" in ((await kernel.run(f"FINAL_VAR({value})")).doubt or "")
    assert (await kernel.run("FINAL_VAR([*failed, 'good'])")).doubt is None


async def test_a_cell_that_fails_gives_no_answer_but_a_draft(kernel: Bench) -> None:
    ran = await kernel.run("FINAL_VAR('almost there')\n1 / 0")
    assert (ran.status, ran.answer, ran.draft) == ("error", None, Answer.of_text("almost there"))


async def test_content_that_is_not_ready_is_a_draft(kernel: Bench) -> None:
    ran = await kernel.run("answer = {'content': 'so far', 'ready': False}")
    assert (ran.answer, ran.draft) == (None, Answer.of_text("so far"))


async def test_a_dataframe_is_answered_with_all_of_its_rows(kernel: Bench) -> None:
    ran = await kernel.run("import pandas\nFINAL_VAR(pandas.DataFrame({'n': range(300)}))")
    assert ran.answer is not None
    assert len(ran.answer.text.splitlines()) == 301


async def test_a_long_answer_is_not_cut(kernel: Bench) -> None:
    ran = await kernel.run("FINAL_VAR('x y' * 1_000_000)")
    assert ran.answer == Answer.of_text("x y" * 1_000_000)


WANTED = {"schema": {"type": "array", "items": {"type": "string"}}, "said": "list[str]"}


async def test_an_answer_of_another_form_than_the_wanted_one_is_an_error_of_its_cell(
    kernel: Bench,
) -> None:
    kernel.repl.held = replace(kernel.repl.held, wanted=WANTED)
    ran = await kernel.run("FINAL_VAR(['a', 3])")
    assert (ran.status, ran.answer, ran.refused) == ("error", None, "at [1]: text wanted, found 3")
    assert "AnswerRefused: the answer, a list, is not of the form that is wanted" in shown(ran)
    ran = await kernel.run("FINAL_VAR(('a', 'b'))")
    assert ran.answer == Answer("['a', 'b']", "list", '["a", "b"]')
    kernel.repl.held = replace(kernel.repl.held, wanted=None)


async def test_a_picture_comes_with_its_answer(kernel: Bench) -> None:
    picture = "class Dot:\n    def _repr_png_(self):\n        return b'\\x89PNG' + bytes(300_000)"
    ran = await kernel.run(f"{picture}\nFINAL_VAR(Dot())")
    assert ran.answer is not None
    assert ran.answer.type == "Dot"
    assert ran.attached == Attached("png", b"\x89PNG" + bytes(300_000))


async def test_an_answer_too_large_for_a_report_is_not_lost_in_silence(kernel: Bench) -> None:
    wire = "import rlm_guest.wire as wire\nmost, wire.MAX_HEADER = wire.MAX_HEADER, 10_000"
    ran = await kernel.run(f"{wire}\nFINAL_VAR('x y' * 10_000)")
    assert (ran.status, ran.answer) == ("ok", None)
    assert "too large to be taken" in str(ran.notices)
    await kernel.run("wire.MAX_HEADER = most")
