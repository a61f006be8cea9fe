"""What is sent of the user's functions, and why some cannot be."""

from __future__ import annotations

import importlib
import math
import operator
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tool_samples
from asking import ask, calls, script
from tool_samples import words as handed_words

from rlm_kernel import RecordError, UsageError, on_host
from rlm_kernel.environments.places import KernelConfig
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record.notebooks.tools import called, modules, tools
from rlm_kernel.remote.guest.tools import define
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.protocol import Nobody
from rlm_kernel.repl.repl import open_repl

MADE = {"rlm_tools", "ring_one", "ring_two", "2much"}


@pytest.fixture(autouse=True)
def _no_modules_left() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in MADE]:
        del sys.modules[name]


def sent(**given: object) -> dict[str, Any]:
    """The tools as a kernel would have them."""
    asked = {"llm_query": lambda prompt: f"<{prompt}>", "LMError": RuntimeError}
    values = {name: value for name, value in given.items() if not callable(value)}
    return define(Tools(given).modules, {**asked, **values})


def source(**given: object) -> str:
    return "\n".join(module["source"] for module in Tools(given).modules)


def test_a_function_comes_with_helpers_constants_and_imports() -> None:
    made = sent(count=tool_samples.count)["count"]
    assert made is not tool_samples.count
    assert made("The tea of the tea, the shop") == {"tea": 2, "of": 1}
    assert made.__globals__["STOP"] == tool_samples.STOP
    assert "LOG" not in made.__globals__


def test_what_a_local_module_has_comes_in_a_module_of_its_own() -> None:
    both = sent(split=tool_samples.split, count=tool_samples.count)
    assert both["split"]("a; b") == (["a", "ba", "b"], tool_samples.WEIGHTS, math.inf)
    assert both["count"]("the a tea") == {"tea": 1}


def test_tools_of_one_module_share_its_variables() -> None:
    both = sent(remember=tool_samples.remember, again=tool_samples.remember)
    assert (both["remember"](1), both["again"](2), tool_samples.seen) == (1, 2, [])


def test_a_class_is_the_same_for_all_tools() -> None:
    both = sent(Point=tool_samples.Point, moved=tool_samples.moved)
    point = both["moved"](both["Point"](1))
    assert (point.x, point.more) == (2, [both["Point"](1)])
    assert not isinstance(point, tool_samples.Point)


def test_a_decorated_function_is_decorated_there() -> None:
    made = sent(factorial=tool_samples.factorial)["factorial"]
    assert (made(5), made.cache_info().misses) == (120, 5)


def test_a_submodule_is_imported_whole() -> None:
    assert "import xml.etree.ElementTree\n" in source(tag=tool_samples.tag)
    assert sent(tag=tool_samples.tag)["tag"]("<a/>") == "a"


def test_a_lambda_is_found_among_others_of_its_line() -> None:
    made = sent(one=tool_samples.LAMBDAS[0], two=tool_samples.LAMBDAS[1])
    assert (made["one"](1), made["two"](1)) == (2, 5)


def test_a_function_in_a_function_comes_if_it_needs_nothing_of_it() -> None:
    def down(n: int) -> str:
        text = """
two lines"""
        return text if n == 0 else down(n - 1)

    assert sent(down=down)["down"](2) == "\ntwo lines"


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        (math.sqrt, "from math import sqrt"),
        (len, "from builtins import len"),
        (operator.add, "from operator import add"),
        (random.random, "from random import random"),
        (Path, "from pathlib import Path"),
    ],
)
def test_what_can_be_imported_is_imported(tool: Any, line: str) -> None:
    assert line in source(tool=tool)
    assert sent(tool=tool)["tool"] is tool


def test_what_is_called_back_is_called_back_by_other_tools_too() -> None:
    given = {"stocks": tool_samples.stocks, "stock": on_host(tool_samples.stock)}
    assert "def stock(" not in source(**given)
    made = define(Tools(given).modules, {"stock": lambda item: f"asked for {item}"})
    assert made["stocks"](["tea"]) == ["asked for tea"]


def test_a_value_that_is_handed_in_is_the_one_that_a_tool_names() -> None:
    made = sent(rows=tool_samples.rows, big=tool_samples.TABLE)["rows"]
    assert made() == 3_000
    assert made.__globals__["TABLE"] is tool_samples.TABLE


def test_errors_of_calls_are_those_of_the_kernel() -> None:
    made = sent(mood=tool_samples.mood)["mood"]
    assert made("x") == "<mood of x?>"
    made.__globals__["llm_query"] = lambda prompt: int("no number")
    with pytest.raises(ValueError, match="no number"):
        made("x")
    assert made.__globals__["LMError"] is RuntimeError


def test_the_lm_is_told_of_tools_in_the_order_given() -> None:
    told = Tools(
        {"later": tool_samples.later, "stock": on_host(tool_samples.stock), "n": 1, "len": len}
    )
    assert [(t["name"], t["signature"]) for t in told.functions] == [
        ("later", "(text: str) -> str"),
        ("stock", "(item: str) -> int"),
        ("len", "(obj, /)"),
    ]
    assert told.functions[0]["doc"] == "To be awaited. Takes a while."
    assert told.called == [told.functions[1]]


def test_a_function_that_is_marked_is_still_a_function() -> None:
    assert (tool_samples.marked(), on_host(tool_samples.marked)) == (1, tool_samples.marked)
    with pytest.raises(UsageError, match="on_host takes a function, not a int"):
        on_host(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (tool_samples.logs, "it uses 'LOG', which is of the type Logger"),
        (tool_samples.logs_too, "it uses 'logs', which uses 'LOG', which is of the type Logger"),
        (tool_samples.looks_at_context, "it uses 'context', which only cells have"),
        (tool_samples.names_nothing, "it uses 'nothing', which is not defined in its module"),
        (tool_samples.reads_beside_itself, "it uses '__file__', which is a path of this machine"),
        (
            tool_samples.uses_a_module,
            "it uses 'tool_samples_2', which is the module 'tool_samples_2' of your own",
        ),
        (tool_samples.imports_a_module, "it imports the module 'tool_samples_2' of your own"),
        (tool_samples.around(1), "it uses 'k' of the function around it"),
        (tool_samples.marked_only, "it uses 'marked', which is marked with on_host and is no tool"),
        (tool_samples.Store().get, "it is a method of a Store"),
        (tool_samples.Store.put, "it is defined inside of a class"),
        (tool_samples.wrapped, "it is wrapped by another function"),
        (tool_samples.partial, "it is of the type partial"),
        ("text".upper, "it is of the type builtin_function_or_method"),
        (operator.itemgetter(1), "it is of the type itemgetter"),
        (tool_samples.typed["typed_in"], "it has no source that can be read"),
        (tool_samples.rows, "it uses 'TABLE', which is a constant of 312,000 characters"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_way_out(tool: Any, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        Tools({"mine": tool})
    assert f"the tool 'mine' cannot be sent to where the cells run: {why}" in str(refused.value)
    assert "tools={'mine': on_host(" in str(refused.value)
    assert Tools({"mine": on_host(tool)}).modules == []


def test_two_things_of_one_name_are_refused() -> None:
    def handed_words() -> list[str]:
        return []

    Tools({"one": handed_words})
    with pytest.raises(UsageError, match="two things that are both called 'handed_words'"):
        Tools({"one": handed_words, "two": _uses_words})


def _uses_words() -> object:
    return handed_words


def test_modules_that_need_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ring_one.py").write_text(
        "import ring_two\nfrom ring_two import pong\n"
        "def ping(n):\n    return pong(n - 1) if n else 'end'\nring_two.ping = ping"
    )
    (tmp_path / "ring_two.py").write_text("def pong(n):\n    return ping(n - 1) if n else 'end'")
    monkeypatch.syspath_prepend(tmp_path)
    ping = importlib.import_module("ring_one").ping
    assert ping(3) == "end"
    with pytest.raises(UsageError, match=r"ring_one.*need each other"):
        Tools({"ping": ping})


def test_too_much_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"T{n} = {'x' * 90_000!r}\ndef f{n}():\n    return T{n}\n" for n in range(3)]
    (tmp_path / "2much.py").write_text("".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    much = importlib.import_module("2much")
    assert Tools({"one": much.f0}).modules[0]["name"] == "tools_2much"
    Tools({"one": much.f0, "two": much.f1})
    with pytest.raises(UsageError, match=r"270,\d+ characters; at most 200,000 are sent"):
        Tools({"one": much.f0, "two": much.f1, "three": much.f2})


def test_the_record_of_the_first_versions_has_names_only() -> None:
    first = {"tools": ["add", "shout"]}
    assert (modules(first), called(first)) == ([], ["add", "shout"])
    now = {
        "tools": ["count", "stock"],
        "tool_modules": Tools({"count": tool_samples.count}).modules,
    }
    assert called(now) == ["stock"]


@pytest.mark.parametrize("wrong", ["x", [1], [{"name": "os.path"}], [{"name": "a", "source": 1}]])
def test_a_record_whose_tools_are_damaged_is_refused(wrong: Any) -> None:
    with pytest.raises(RecordError, match="tool_modules"):
        modules({"tool_modules": wrong})
    with pytest.raises(RecordError, match="damaged: `tools`"):
        called({"tools": [wrong, 1]})


def test_a_notebook_shows_the_source_folded_and_who_calls_back() -> None:
    given = {"count": tool_samples.count, "stock": on_host(tool_samples.stock)}
    shown = tools({"tools": list(given), "tool_modules": Tools(given).modules})
    assert "<details><summary>count · source, run in the kernel</summary>" in shown
    assert "```python\nfrom collections import Counter as Tally" in shown
    assert "Called back in the user's process: <code>stock</code>" in shown
    assert tools({"tools": []}) == ""


@pytest.mark.anyio
async def test_functions_and_classes_of_a_notebook_are_sent(tmp_path: Path) -> None:
    cells = [
        "def both(pair):\n    return joined(pair.left, pair.right) if pair else None",
        "import functools\ndef twice(f):\n"
        "    @functools.wraps(f)\n    def g(*a):\n        return f(*a) * LEVEL\n    return g",
        "LEVEL = 2\n@twice\ndef joined(a, b):\n    return a + b\n"
        "class Pair:\n    def __init__(self, *sides):\n        self.left, self.right = sides",
        "joined = twice(len) if False else joined\n@twice\ndef both(pair):\n"
        "    return joined(pair.left, pair.right)",
        "from rlm_kernel.inputs.tools import Tools\n"
        "from rlm_kernel.remote.guest.tools import define\n"
        "made = define(Tools({'both': both, 'Pair': Pair}).modules, {})\n"
        "made['both'](made['Pair']('a', 'b'))",
    ]
    async with open_repl(Nobody(), KernelSetup(KernelConfig(tmp_path))) as repl:
        for number, cell in enumerate(cells):
            ran = await repl.run(cell, cell=number)
            assert ran.status == "ok", ran.outputs
    assert ran.outputs[0]["data"]["text/plain"] == "'abababab'"


def test_a_run_records_what_tools_ask_and_not_what_they_do(tmp_path: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(mood(context) + str(count(context)))")
    given = {"mood": tool_samples.mood, "count": tool_samples.count}
    result = ask(lm, tmp_path / "run", "tea", tools=given)
    assert result.response == "<mood of tea?>Counter({'tea': 1})"
    assert [(call.op, call.prompt) for call in calls(result)] == [("llm_query", "mood of tea?")]
    told = lm.asked[0][0]["content"]
    assert "- `mood(text: str) -> str`: Asks the sub-LM." in told
