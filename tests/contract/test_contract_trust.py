"""What one question's cells hang into the kernel is gone before the next; a human's stays."""

from __future__ import annotations

import itertools

import pytest
from environments import Bench, Opener, shown

from rlm_kernel.answers import Answer

pytestmark = pytest.mark.anyio
SEEDS = itertools.count(1)
SETUP = """
import rlm_guest, sys, builtins, threading, signal, json
ip = get_ipython()
g = rlm_guest._guest
"""
FORGE = "g.broker.ask({'op': 'ran', 'cell': g._cell, 'answer': 'FORGED', 'names': []})"
HOSTILE = {
    "the guest's method": "g.finish = lambda value: setattr(g, '_answer', 'FORGED')",
    "a method of its class": "type(g).finish = lambda self, v: setattr(self, '_answer', 'FORGED')",
    "the code of a global": "def forge(value): _guest._answer = 'FORGED'\n"
    "FINAL_VAR.__code__ = forge.__code__",
    "a global": "g.names['FINAL_VAR'] = lambda value: setattr(g, '_answer', 'FORGED')",
    "its client": "ask = g.broker.ask\n"
    "g.broker.ask = lambda h, p=b'': ask(dict(h, answer='FORGED') if 'answer' in h else h, p)",
    "its wire": "import rlm_guest.broker_client as w\npack = w.pack\n"
    "w.pack = lambda h, p=b'': pack(dict(h, answer='FORGED') if 'answer' in h else h, p)",
    "a hook after cells": f"ip.events.register('post_run_cell', lambda result: {FORGE})",
    "a hook before cells": f"ip.events.register('pre_run_cell', lambda info: {FORGE})",
    "a hook of execution": f"ip.events.register('pre_execute', lambda: {FORGE})",
    "no hook of ours": "ip.events.callbacks['post_run_cell'].clear()",
    "an input transformer": "ip.input_transformers_cleanup.append(\n"
    "    lambda lines: ['FINAL_VAR(\"FORGED\")\\n'])",
    "a line transformer": "ip.input_transformer_manager.line_transforms.insert(\n"
    "    0, lambda lines: ['FINAL_VAR(\"FORGED\")\\n'])",
    "a late transformer": "ip.input_transformers_post.append(\n"
    "    lambda lines: ['FINAL_VAR(\"FORGED\")\\n'])",
    "a method of the shell": "run = ip.transform_cell\n"
    "ip.transform_cell = lambda cell: 'FINAL_VAR(\"FORGED\")\\n'",
    "a syntax tree": "import ast\nclass T(ast.NodeTransformer):\n"
    "    def visit_Constant(self, node): return ast.Constant('FORGED')\n"
    "ip.ast_transformers.append(T())",
    "a built-in": "builtins.callable = lambda value: True",
    "json": "dumps = json.dumps\njson.dumps = lambda v, **k: dumps(\n"
    "    {**v, 'answer': 'FORGED'} if isinstance(v, dict) and v.get('answer') else v, **k)",
    "a trace": "def trace(f, e, a):\n    if f.f_code.co_name == '_answers': g._answer = 'FORGED'\n"
    "sys.settrace(trace)",
}
SHOWN = {
    "an exception handler": "ip.set_custom_exc((Exception,), lambda *a, **k: print('FORGED'))",
    "a formatter": "ip.display_formatter.formatters['text/plain'].for_type(\n"
    "    int, lambda v, p, c: p.text('FORGED'))",
    "a display hook": "ip.displayhook.write_format_data = lambda *a: print('FORGED')",
    "a magic": "ip.register_magic_function(lambda line: print('FORGED'), 'line', 'time')",
    "an import hook": "class F:\n    def find_spec(self, name, path=None, target=None):\n"
    "        print('FORGED')\nsys.meta_path.insert(0, F())",
    "a signal": "signal.signal(signal.SIGALRM, lambda *a: print('FORGED'))\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.3, 0.01)",
}
NEXT = """
import this_is_nowhere_to_be_found
"""


async def _question(kernel: Bench, *cells: str) -> list[str | None]:
    """The answers of a question's cells."""
    await kernel.repl.seed(next(SEEDS))
    answers = [(await kernel.run(source)).answer for source in cells]
    await kernel.repl.seed(None)
    return [answer.text if answer else None for answer in answers]


@pytest.mark.parametrize("what", HOSTILE)
async def test_what_forges_answers_is_gone_before_the_next_question(
    kernel: Bench, what: str
) -> None:
    await _question(kernel, SETUP + HOSTILE[what])
    assert "taken back" in kernel.repl.changed
    assert await _question(kernel, "FINAL_VAR(2 + 2)") == ["4"]
    assert kernel.repl.changed == ""
    assert await kernel.said("print(6 * 7)", author="human") == "42"


@pytest.mark.parametrize("what", SHOWN)
async def test_what_changes_outputs_is_gone_before_the_next_cell(kernel: Bench, what: str) -> None:
    await _question(kernel, SETUP + SHOWN[what])
    assert "taken back" in kernel.repl.changed
    said = [
        shown(await kernel.run(source, author="human"))
        for source in ("41 + 1", "1 / 0", "%time 0", NEXT, "import time; time.sleep(0.4)")
    ]
    assert "FORGED" not in str(said)
    assert said[0] == "42"


async def test_a_report_that_comes_after_the_first_does_not_count(kernel: Bench) -> None:
    await kernel.repl.seed(next(SEEDS))
    ran = await kernel.run(SETUP + HOSTILE["a hook after cells"] + "\nFINAL_VAR('an honest one')")
    assert ran.answer == Answer.of_text("an honest one")
    await kernel.repl.seed(None)


async def test_what_a_human_hung_into_the_kernel_stays(kernel: Bench) -> None:
    await kernel.said(
        SETUP + "def ours(lines):\n    return [l.replace('forty_two', '42') for l in lines]\n"
        "ip.input_transformers_cleanup.append(ours)\n"
        "heard = []\ndef hook(info): heard.append(1)\n"
        "ip.events.register('pre_run_cell', hook)\n"
        "ip.display_formatter.formatters['text/plain'].for_type(\n"
        "    complex, lambda v, p, c: p.text('complex!'))",
        author="human",
    )
    await _question(kernel, SETUP + HOSTILE["an input transformer"])
    await _question(kernel, SETUP + "ip.events.unregister('pre_run_cell', hook)")
    assert await kernel.said("print(forty_two)\n1j", author="human") == "42\ncomplex!"
    assert int(await kernel.said("print(len(heard))", author="human")) > 3
    await kernel.said(
        "ip.input_transformers_cleanup.remove(ours)\n"
        "ip.events.unregister('pre_run_cell', hook)\n"
        "ip.display_formatter.formatters['text/plain'].pop(complex)",
        author="human",
    )


async def test_what_an_installed_package_hangs_into_the_kernel_stays(kernel: Bench) -> None:
    await _question(kernel, "%load_ext autoreload\n%autoreload 1")
    assert kernel.repl.changed == ""
    assert await kernel.said("%autoreload 0\nprint('there')", author="human") == "there"


async def test_an_ordinary_question_changes_nothing(kernel: Bench) -> None:
    await _question(
        kernel,
        "import asyncio, threading, json, decimal\nx = [1]\ndisplay(x)\nawait asyncio.sleep(0)",
        "def f(): return llm_query('a')\nthreading.Thread(target=f).start()\nf()\n1 / 0",
        "FINAL_VAR('done')",
    )
    assert kernel.repl.changed == ""


async def test_a_kernel_that_cannot_be_put_back_is_said_to_be_spoilt(opened: Opener) -> None:
    async with opened() as kernel:
        await _question(kernel, SETUP + "rlm_guest._before = None")
        assert "start a fresh one" in kernel.repl.changed
        await kernel.repl.seed(next(SEEDS))
        await kernel.run(SETUP + "ip.user_expressions = lambda expressions: {}")
        await kernel.repl.seed(None)
        assert "start a fresh one" in kernel.repl.changed
