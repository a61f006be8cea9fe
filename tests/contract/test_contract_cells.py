"""What a cell does and shows, in any environment."""

from __future__ import annotations

import pytest
from environments import Bench, shown

from rlm_kernel.answers import Answer

pytestmark = pytest.mark.anyio


async def test_a_name_bound_in_one_cell_is_there_in_the_next(kernel: Bench) -> None:
    await kernel.run("kept = 41")
    assert await kernel.said("kept + 1") == "42"


async def test_the_last_expression_is_shown(kernel: Bench) -> None:
    ran = await kernel.run("1\n[x * x for x in range(4)]")
    assert [o["output_type"] for o in ran.outputs] == ["execute_result"]
    assert shown(ran) == "[0, 1, 4, 9]"


async def test_a_cell_that_ends_in_a_semicolon_shows_nothing(kernel: Bench) -> None:
    assert await kernel.said("5;") == ""


async def test_prints_come_in_order_and_whole(kernel: Bench) -> None:
    said = await kernel.said("for i in range(300):\n    print(i)")
    assert said.split() == [str(i) for i in range(300)]


async def test_stderr_is_kept_apart_from_stdout(kernel: Bench) -> None:
    ran = await kernel.run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    texts = {o["name"]: o["text"] for o in ran.outputs}
    assert texts == {"stdout": "out\n", "stderr": "err\n"}


@pytest.mark.parametrize(
    ("made", "mime"),
    [
        ("HTML('<b>bold</b>')", "text/html"),
        ("Latex('$x^2$')", "text/latex"),
        ("Markdown('# head')", "text/markdown"),
        ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "text/html"),
        ("JSON({'a': [1, None]})", "application/json"),
        ("Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(30), format='png')", "image/png"),
    ],
)
async def test_rich_output_arrives(kernel: Bench, made: str, mime: str) -> None:
    ran = await kernel.run(f"from IPython.display import *\ndisplay({made})")
    assert ran.status == "ok", shown(ran)
    assert mime in ran.outputs[0]["data"]


async def test_javascript_is_not_kept(kernel: Bench) -> None:
    ran = await kernel.run(
        "from IPython.display import Javascript, display\ndisplay(Javascript('alert(1)'))"
    )
    assert "application/javascript" not in ran.outputs[0]["data"]
    assert "alert" not in str(ran.outputs)


async def test_display_data_of_a_wrong_type_is_made_text(kernel: Bench) -> None:
    ran = await kernel.run("display({'text/plain': 5, 'text/html': None}, raw=True)")
    assert ran.status == "ok"
    assert all(isinstance(v, str) for o in ran.outputs for v in o["data"].values())


async def test_a_display_can_be_updated(kernel: Bench) -> None:
    said = await kernel.said("h = display('old', display_id=True)\nh.update('new')")
    assert said == "'new'"


async def test_clear_output_takes_back_what_was_shown(kernel: Bench) -> None:
    said = await kernel.said(
        "from IPython.display import clear_output\nprint('a')\nclear_output()\nprint('b')"
    )
    assert said == "b"


async def test_an_error_is_shown_with_its_line(kernel: Bench) -> None:
    ran = await kernel.run("def halve(x):\n    return x / 0\n\nhalve(3)")
    assert ran.status == "error"
    assert ran.outputs[-1]["output_type"] == "error"
    assert "return x / 0" in shown(ran)
    assert shown(ran).endswith("ZeroDivisionError: division by zero")


async def test_a_syntax_error_is_an_error_of_the_cell(kernel: Bench) -> None:
    ran = await kernel.run("if True print(1)")
    assert (ran.status, "SyntaxError" in shown(ran)) == ("error", True)


async def test_system_exit_ends_the_cell_and_not_the_kernel(kernel: Bench) -> None:
    await kernel.run("still = 1")
    ran = await kernel.run("import sys\nsys.exit(3)")
    assert ran.restarted is None
    assert await kernel.said("still") == "1"


async def test_a_name_that_is_missing_is_answered_with_those_there_are(kernel: Bench) -> None:
    await kernel.run("reviews = []")
    ran = await kernel.run("review[0]")
    assert ran.status == "error"
    assert any("reviews" in n and "llm_query" in n for n in ran.notices)


async def test_a_module_that_is_missing_is_answered_with_those_there_are(kernel: Bench) -> None:
    ran = await kernel.run("import no_such_module_at_all")
    assert any("the standard library" in notice for notice in ran.notices)


async def test_top_level_await_works(kernel: Bench) -> None:
    assert await kernel.said("import asyncio\nawait asyncio.sleep(0, 'slept')") == "'slept'"


async def test_a_subprocess_works_and_shell_lines_show_their_output(kernel: Bench) -> None:
    said = await kernel.said(
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'print(6*7)'], capture_output=True, text=True)"
        ".stdout.strip()"
    )
    assert said == "'42'"
    assert await kernel.said("!echo from the shell") == "from the shell"


async def test_input_is_refused_at_once(kernel: Bench) -> None:
    ran = await kernel.run("input('name? ')")
    assert (ran.status, "StdinNotImplementedError" in shown(ran)) == ("error", True)


async def test_lone_surrogates_and_nul_can_be_printed(kernel: Bench) -> None:
    said = await kernel.said("print('a\\ud800b\\x00c\\U0001f600')")
    assert said == "a\ud800b\x00c\U0001f600"


async def test_the_names_made_so_far_come_with_each_cell(kernel: Bench) -> None:
    ran = await kernel.run("import json\nfirst_made = 1\n_hidden = 2\ndef second_made(): pass")
    assert {"first_made", "second_made"} <= set(ran.names)
    assert not {"json", "_hidden", "context", "llm_query", "answer"} & set(ran.names)


async def test_show_vars_gives_names_types_and_sizes(kernel: Bench) -> None:
    said = await kernel.said("many = list(range(12345))\nSHOW_VARS()")
    assert "many: list of length 12,345" in said.splitlines()
    assert "context" not in said


async def test_the_working_folder_is_the_one_that_was_given(kernel: Bench) -> None:
    await kernel.said("open('note.txt', 'w').write('kept')")
    assert await kernel.said("import os\nprint(sorted(os.listdir()))") == "['note.txt']"


async def test_every_output_of_a_cell_comes_and_in_order(kernel: Bench) -> None:
    ran = await kernel.run("for i in range(400):\n    display(i)")
    shown_values = [output["data"]["text/plain"] for output in ran.outputs]
    assert shown_values == [str(i) for i in range(400)]


TOGETHER = {
    "threads": """
import threading
gate = threading.Barrier(8)
def write(i):
    gate.wait()
    for n in range(50):
        print("line", i, n)
threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
""",
    "tasks": """
import asyncio
async def write(i):
    for n in range(50):
        print("line", i, end=" ")
        await asyncio.sleep(0)
        print(n)
await asyncio.gather(*(write(i) for i in range(8)))
del write
None
""",
}


@pytest.mark.parametrize("source", TOGETHER.values(), ids=list(TOGETHER))
async def test_lines_that_are_written_together_stay_whole(kernel: Bench, source: str) -> None:
    await kernel.run("pass")
    ran = await kernel.run(source)
    assert ran.status == "ok", shown(ran)
    assert ran.concurrent
    written = ran.outputs[0]["text"].splitlines()
    assert sorted(written) == sorted(f"line {i} {n}" for i in range(8) for n in range(50))


async def test_a_cell_that_writes_alone_is_not_concurrent(kernel: Bench) -> None:
    source = "async def write():\n    print('a', 'b')\nawait write()\nprint('c')"
    ran = await kernel.run(source)
    assert (ran.concurrent, shown(ran)) == (False, "a b\nc")


async def test_the_answer_of_a_cell_that_awaits_is_its_own(kernel: Bench) -> None:
    await kernel.run("before = 1")
    ran = await kernel.run("FINAL_VAR(await llm_query.aio('x'))")
    assert (ran.answer, ran.names[-1]) == (Answer.of_text("<x>"), "before")
