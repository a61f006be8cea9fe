"""What the user hands in: functions that are sent, functions that are called back, values."""

from __future__ import annotations

import os

import pytest
import tool_samples
from environments import Opener, shown

from rlm_kernel import UsageError, on_host

pytestmark = pytest.mark.anyio


def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


async def shout(text: str) -> list[str]:
    return [text.upper()]


def broken() -> None:
    raise ValueError("no such review")


def odd() -> object:
    return {1, 2}


async def test_a_function_runs_where_the_cells_run_with_any_object(opened: Opener) -> None:
    given = {name: getattr(tool_samples, name) for name in ("place", "remember", "moved", "Point")}
    async with opened(tools=given) as kernel:
        assert await kernel.said("import os\nplace() == (os.getpid(), True)") == "True"
        assert await kernel.said("thing = {1, 2}\nremember(thing), remember(place)") == "(1, 2)"
        await kernel.said("assert remember.__globals__['seen'] == [thing, place]")
        assert await kernel.said("moved(Point(1)).x") == "2"
        assert kernel.calls.seen == []
    assert (tool_samples.place()[0], tool_samples.seen) == (os.getpid(), [])


async def test_a_function_has_its_helpers_and_leaves_no_names_in_the_cells(opened: Opener) -> None:
    given = {
        "count": tool_samples.count,
        "split": tool_samples.split,
        "factorial": tool_samples.factorial,
    }
    async with opened(tools={**given, "double": lambda x: x * 2}) as kernel:
        assert await kernel.said("print(count('The tea of the tea'))") == (
            "Counter({'tea': 2, 'of': 1})"
        )
        assert await kernel.said("split('a; b')[0], factorial(5), double([1])") == (
            "(['a', 'ba', 'b'], 120, [1, 1])"
        )
        assert await kernel.said("SHOW_VARS()") == "no variables yet"
        names = ("words", "parts", "STOP", "WORD", "Tally", "re", "WEIGHTS", "rlm_tools")
        assert await kernel.said(f"[n for n in {names} if n in globals()]") == "[]"


async def test_an_async_function_is_awaited_in_the_cell(opened: Opener) -> None:
    async with opened(tools={"later": tool_samples.later}) as kernel:
        assert await kernel.said("await later('tea')") == "'TEA'"


async def test_a_function_may_ask_lms_as_a_cell_does(opened: Opener) -> None:
    async with opened(tools={"mood": tool_samples.mood}) as kernel:
        assert await kernel.said("print(mood('tea'))") == "<mood of tea?>"
        [call] = kernel.calls.seen
        assert (call.op, call.cell, call.prompts) == ("llm_query", 1, ["mood of tea?"])


async def test_a_function_may_have_another_one_called_back(opened: Opener) -> None:
    given = {"stocks": tool_samples.stocks, "stock": on_host(tool_samples.stock)}
    async with opened(tools=given) as kernel:
        assert await kernel.said("stocks(['tea', 'sugar'])") == "[3, 5]"
        assert [(call.op, call.tool) for call in kernel.calls.seen] == [("tool", "stock")] * 2


async def test_a_traceback_shows_the_lines_of_a_function(opened: Opener) -> None:
    async with opened(tools={"count": tool_samples.count}) as kernel:
        ran = await kernel.run("count('')")
        assert "ValueError: there is no text" in shown(ran)
        assert 'raise ValueError("there is no text")' in shown(ran)
        assert "<tools of tool_samples>" in "".join(ran.outputs[0]["traceback"])
        said = await kernel.said("import inspect\nprint(inspect.getsource(count))")
        assert said.startswith("def count(text: str, most: int = len(STOP)) -> Tally:")


async def test_functions_reach_other_processes_and_pickles(opened: Opener) -> None:
    async with opened(tools={"count": tool_samples.count, "Point": tool_samples.Point}) as kernel:
        said = await kernel.said(
            "import multiprocessing, pickle\n"
            "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "    counted = pool.map(count, ['tea', 'a shop'])\n"
            "print(counted, pickle.loads(pickle.dumps(Point(3))))"
        )
        assert said == "[Counter({'tea': 1}), Counter({'shop': 1})] Point(x=3, more=[])"


async def test_functions_are_there_again_after_a_reset_and_a_restart(opened: Opener) -> None:
    async with opened(tools={"count": tool_samples.count, "table": {"k": [1, (2,)]}}) as kernel:
        await kernel.run("count = table = None\n%reset -f")
        assert await kernel.said("count('tea'), table['k']") == "(Counter({'tea': 1}), [1, (2,)])"
        ran = await kernel.run("def count(text):\n    return 'mine'\ncount('tea')")
        assert "the definition of `count` was ignored" in ran.notices[0]
        ran = await kernel.run("import os; os._exit(3)")
        assert ran.status == "died"
        assert await kernel.said("count('tea'), table['k']") == "(Counter({'tea': 1}), [1, (2,)])"


async def test_a_package_that_is_missing_is_told_at_the_start(opened: Opener) -> None:
    missing = r"tool 'needy' needs the package no_such_package, .* the setting `packages`"
    with pytest.raises(UsageError, match=missing):
        async with opened(tools={"needy": tool_samples.needy}):
            pass
    async with opened(tools={"spared": tool_samples.content_to_do_without}) as kernel:
        assert await kernel.said("spared()") == "'without'"


async def test_a_function_that_cannot_be_defined_is_told_at_the_start(opened: Opener) -> None:
    why = r"the tools fragile cannot be defined .* ValueError: not here \(at `raise ValueError"
    with pytest.raises(UsageError, match=why):
        async with opened(tools={"fragile": tool_samples.fragile}):
            pass


async def test_what_is_called_back_takes_json_and_data_goes_inside(opened: Opener) -> None:
    marked = {tool.__name__: on_host(tool) for tool in (add, shout, broken, odd)}
    async with opened(tools={**marked, "table": {"k": [1, (2,)]}}) as kernel:
        said = await kernel.said("print(add(2), add(2, b=3), shout('hi'), table)")
        assert said == "3 5 ['HI'] {'k': [1, (2,)]}"
        assert "add(a: 'int', b: 'int' = 1)" in await kernel.said("add.__doc__")
        ran = await kernel.run("broken()")
        assert "ToolError: broken raised ValueError: no such review" in shown(ran)
        ran = await kernel.run("odd()")
        assert "odd returned a set: tools that are called back return JSON values" in shown(ran)
        ran = await kernel.run("add({1})")
        assert "add takes JSON values only" in shown(ran)
        ran = await kernel.run("add()")
        assert "missing 1 required positional argument" in shown(ran)
        await kernel.run("add = table = None\n%reset -f")
        assert await kernel.said("print(add(1), table['k'])") == "2 [1, (2,)]"
