"""``rows`` and ``find`` are names that many give to variables of their own: those stand."""

from __future__ import annotations

from pathlib import Path

from asking import ask, cells, script


def test_a_cells_own_names_stand_and_the_others_come_back(tmp_path: Path) -> None:
    lm = script(
        "rows = [1, 2]\ndef find(x):\n    return 'mine'\nllm_query = None",
        "print(rows, find(3), callable(llm_query))\nSHOW_VARS()",
        "del rows, find",
        "print(rows(context)[0], find(context, 'b').missing)\nFINAL_VAR(len(rows(context)))",
    )
    result = ask(lm, tmp_path / "run", context="a,b\n1,2\n3,4\n")
    assert result.response == "2"
    ran = cells(result)
    assert [cell.status for cell in ran] == ["ok"] * 4
    assert "[1, 2] mine True" in str(ran[1].outputs)
    assert "rows: list of length 2" in str(ran[1].outputs)
    assert "{'a': 1, 'b': 2} []" in str(ran[3].outputs)
    assert ran[3].notices == ["rows: Read as a table: a, b."]


def shouted(text: str) -> str:
    return text.upper()


def test_a_tool_may_have_such_a_name(tmp_path: Path) -> None:
    lm = script("rows = 3", "FINAL_VAR(rows(context))")
    result = ask(lm, tmp_path / "run", tools={"rows": shouted})
    assert result.response == "SOME TEXT"


def test_a_word_that_is_such_a_name_or_like_one_is_a_word(tmp_path: Path) -> None:
    for number, word in enumerate(("kind", "rows", "row")):
        lm = script(f"print(context)\nFINAL_VAR('{word}')")
        assert ask(lm, tmp_path / f"{number}").response == word
    lm = script("print(context)\nrows = 'mine'\nFINAL_VAR('rows')")
    assert ask(lm, tmp_path / "own").response == "mine"
    lm = script("print(contxt)", "FINAL_VAR(context)")
    notices = cells(ask(lm, tmp_path / "hint"))[0].notices
    assert "llm_query" in notices[0]
    assert "rows" not in notices[0]
