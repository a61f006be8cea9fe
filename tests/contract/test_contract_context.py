"""``context`` equals what was given, and has exactly its type."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas
import pytest
from environments import Bench, shown

from rlm_kernel.answers import Answer

pytestmark = pytest.mark.anyio

TEXTS = {
    "crlf": "a\r\nb\rc\n\r\n",
    "nul": "a\0b\0",
    "quotes": "'''\"\"\"\\ {x} %s `" * 3,
    "lone surrogates": "x\ud800y\udfffz\udc80",
    "a pair of lone surrogates": "\ud83d\ude00",
    "astral": "😀𝔘\U0010ffff",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x1c",
    "bom": "\ufeffa",
    "spaces": "  \n\t ",
    "empty": "",
}
OTHERS = {
    "list": ["a", 1, None, 2.5, True, ["b\r\n\ud800"]],
    "dict": {"k": [1, {"n": None}], "ü": "x", "": 0.1},
    "nested tuple": [(1, 2), {3: "three"}],
    "big integer": [10**400],
    "bytes": bytes(range(256)) * 3,
    "empty bytes": b"",
    "empty list": [],
    "empty dict": {},
    "none": None,
    "number": 3.25,
    "set": {1, 2},
}


async def _same(kernel: Bench, value: object) -> None:
    """Ask the kernel for type and content in a form that loses nothing."""
    assert (
        await kernel.said(
            f"print(type(context) is {type(value).__name__.replace('NoneType', 'type(None)')})"
        )
        == "True"
    )
    assert await kernel.said("print(ascii(context))") == ascii(value)


@pytest.mark.parametrize("name", TEXTS)
async def test_every_character_of_a_text_survives(kernel: Bench, name: str) -> None:
    info = await kernel.give(TEXTS[name])
    assert (info.type, info.length) == ("str", len(TEXTS[name]))
    await _same(kernel, TEXTS[name])


@pytest.mark.parametrize("name", OTHERS)
async def test_values_arrive_equal_and_of_their_type(kernel: Bench, name: str) -> None:
    info = await kernel.give(OTHERS[name])
    assert info.type == type(OTHERS[name]).__name__
    await _same(kernel, OTHERS[name])


async def test_a_text_works_with_regular_expressions(kernel: Bench) -> None:
    await kernel.give("one 1 two 22")
    assert await kernel.said("import re\nre.findall(r'\\d+', context)") == "['1', '22']"


async def test_a_dataframe_arrives_as_one(kernel: Bench) -> None:
    frame = pandas.DataFrame({"n": [1, 2, 3], "t": ["a", None, "c"]}, index=[5, 6, 7])
    info = await kernel.give(frame)
    assert (info.type, info.length) == ("DataFrame", 3)
    said = await kernel.said("print(type(context).__name__, context.to_json(orient='split'))")
    assert said == f"DataFrame {frame.to_json(orient='split')}"


async def test_a_folder_is_a_mapping_of_paths_to_texts(kernel: Bench, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("bee\r\n", newline="")
    (tmp_path / "a.py").write_text("print('ä')\n", encoding="utf-8")
    (tmp_path / "raw.bin").write_bytes(bytes(100))
    info = await kernel.give(tmp_path)
    assert (info.type, info.length) == ("Folder", 2)
    said = await kernel.said("import json\nprint(json.dumps(dict(context)))")
    assert json.loads(said) == {"a.py": "print('ä')\n", "sub/b.txt": "bee\r\n"}
    ran = await kernel.run("context['sub/c.txt']")
    assert "sub/b.txt" in shown(ran)


async def test_a_json_file_and_a_text_file_become_what_they_hold(
    kernel: Bench, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": [1, 2]}')
    await kernel.give(path)
    await _same(kernel, {"a": [1, 2]})
    path = tmp_path / "latin.txt"
    path.write_bytes("Käse und Brötchen, sehr schön\r\n".encode("cp1252") * 40)
    await kernel.give(path)
    await _same(kernel, "Käse und Brötchen, sehr schön\r\n" * 40)


@pytest.mark.timeout(60)
async def test_a_hundred_megabytes_arrive(kernel: Bench) -> None:
    text = "0123456789abcdef\r\nä😀" * 5_000_000
    assert len(text) == 100_000_000
    info = await kernel.give(text)
    assert (info.type, info.length) == ("str", len(text))
    said = await kernel.said(
        "import hashlib\nprint(type(context) is str, hashlib.sha256(context.encode()).hexdigest())"
    )
    assert said == f"True {hashlib.sha256(text.encode()).hexdigest()}"
    await kernel.give("")


async def test_the_look_at_a_long_context_is_short(kernel: Bench) -> None:
    info = await kernel.give("begin " + "x" * 100_000 + "\n end")
    assert info.head.startswith("begin ")
    assert info.tail.endswith(" end")
    assert len(info.head) + len(info.tail) < 1000
    assert info.lines == 2


async def test_an_assignment_in_an_lm_cell_is_ignored_with_a_notice(kernel: Bench) -> None:
    await kernel.give("the real one")
    ran = await kernel.run("context = 'placeholder'\nother = context = 'x'\nprint(context, other)")
    assert shown(ran) == "the real one x"
    assert len(ran.notices) == 2
    assert "Line 1" in ran.notices[0]


async def test_an_annotated_assignment_is_ignored_too(kernel: Bench) -> None:
    await kernel.give("the real one")
    ran = await kernel.run("context: str = 'placeholder'\nprint(context)")
    assert (shown(ran), len(ran.notices)) == ("the real one", 1)


async def test_an_assignment_that_uses_context_holds_for_its_cell(kernel: Bench) -> None:
    await kernel.give("A,B")
    ran = await kernel.run("context = context.lower()\nprint(context)")
    assert (shown(ran), ran.notices) == ("a,b", [])
    assert await kernel.said("print(context)") == "A,B"


async def test_a_local_context_of_a_function_is_left_alone(kernel: Bench) -> None:
    await kernel.give("outer")
    ran = await kernel.run(
        "def f():\n    context = 'inner'\n    return context\nprint(f(), context)"
    )
    assert (shown(ran), ran.notices) == ("inner outer", [])


async def test_a_deleted_context_is_back_in_the_next_cell(kernel: Bench) -> None:
    await kernel.give("here")
    await kernel.run("del context")
    assert await kernel.said("context") == "'here'"


async def test_a_humans_own_context_stands(kernel: Bench) -> None:
    await kernel.give("old")
    await kernel.run("context = 'mine'", author="human")
    assert await kernel.said("context") == "'mine'"
    await kernel.run("context = 'placeholder'")
    assert await kernel.said("context") == "'mine'"


async def test_our_names_are_back_after_they_were_rebound(kernel: Bench) -> None:
    await kernel.give("here")
    await kernel.run("llm_query = rlm_query = FINAL_VAR = None\ndel SHOW_VARS, llm_query_batched")
    said = await kernel.said("print(llm_query('a'), rlm_query('b'), llm_query_batched(['c']))")
    assert said == "<a> <b> ['<c>']"
    assert (await kernel.run("FINAL_VAR('x y')")).answer == Answer.of_text("x y")


async def test_our_names_are_back_after_a_reset(kernel: Bench) -> None:
    await kernel.give("here")
    await kernel.run("gone = 1")
    await kernel.run("%reset -f")
    assert await kernel.said("print(context, llm_query('a'), answer)") == (
        "here <a> {'content': '', 'ready': False}"
    )
    assert (await kernel.run("gone")).status == "error"


async def test_two_contexts_one_after_another(kernel: Bench) -> None:
    await kernel.give("first")
    await kernel.run("kept = context")
    await kernel.give([2])
    assert await kernel.said("print(kept, context)") == "first [2]"
