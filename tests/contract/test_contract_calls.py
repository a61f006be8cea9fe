"""``llm_query`` and its kin, seen from the cells."""

from __future__ import annotations

import asyncio

import pytest
from environments import Bench, Opener, shown

from rlm_kernel.errors import CallRefused, LimitReached
from rlm_kernel.repl.protocol import Call, Slot, refusal

pytestmark = pytest.mark.anyio


async def _third_fails(call: Call) -> list[Slot]:
    failed = refusal("the endpoint said 500", "LMError", cause="server", attempts=6)
    return [failed if p == "2" else {"value": f"<{p}>"} for p in call.prompts]


async def _never(call: Call) -> list[Slot]:
    await asyncio.Event().wait()
    return []


async def test_a_prompt_gets_its_reply(kernel: Bench) -> None:
    assert await kernel.said("llm_query('hello\\r\\n\\x00\\ud800😀')") == repr(
        "<hello\r\n\0\ud800😀>"
    )
    [call] = kernel.calls.seen
    assert (call.op, call.prompts, call.model) == ("llm_query", ["hello\r\n\0\ud800😀"], None)


async def test_a_model_can_be_named_and_unset_stays_unset(kernel: Bench) -> None:
    await kernel.said("llm_query('a', model='big'); llm_query('b', 'small'); llm_query('c')")
    assert [call.model for call in kernel.calls.seen] == ["big", "small", None]


async def test_a_batch_comes_back_in_the_order_it_was_asked(kernel: Bench) -> None:
    said = await kernel.said("print(llm_query_batched([str(i) for i in range(200)]))")
    assert said == str([f"<{i}>" for i in range(200)])
    assert len(kernel.calls.seen) == 1


async def test_an_empty_batch_asks_nobody(kernel: Bench) -> None:
    assert await kernel.said("print(llm_query_batched([]), rlm_query_batched([]))") == "[] []"
    assert kernel.calls.seen == []


async def test_any_iterable_is_a_batch(kernel: Bench) -> None:
    assert await kernel.said("llm_query_batched(f'{i}' for i in 'ab')") == "['<a>', '<b>']"


async def test_a_failed_prompt_of_a_batch_does_not_lose_the_others(kernel: Bench) -> None:
    kernel.calls.serving = _third_fails
    said = await kernel.said(
        "r = llm_query_batched(['1', '2', '3'])\n"
        "print(r[0], r[2], isinstance(r[1], str), type(r[1]).__name__, r[1])\n"
        "print(type(r[1].error).__name__, r[1].error.cause, r[1].error.attempts)"
    )
    first, second = said.splitlines()
    assert first == "<1> <3> True FailedReply Error: the endpoint said 500"
    assert second == "LMError server 6"


async def test_a_failed_single_call_raises_with_cause_and_attempts(kernel: Bench) -> None:
    kernel.calls.serving = _third_fails
    said = await kernel.said(
        "try:\n    llm_query('2')\nexcept RuntimeError as e:\n"
        "    print(type(e).__name__, e.cause, e.attempts, e)"
    )
    assert said == "LMError server 6 the endpoint said 500"


async def test_a_map_has_a_row_an_item_with_its_place_in_the_input(kernel: Bench) -> None:
    kernel.calls.serving = _third_fails
    await kernel.give("1\n\n2\n3 a\n")
    said = await kernel.said(
        "t = llm_map(context, 'Which?', by='line')\n"
        "print([(r.value, r.state, context[slice(*r.span)]) for r in t])\n"
        "print(len(t), t.counts(), t.failed[0].why, t.csv.count('\\n'))"
    )
    assert said.splitlines() == [
        "[('<1>', 'ok', '1'), (None, 'failed', '2'), ('<3 a>', 'ok', '3 a')]",
        "3 {'<1>': 1, '<3 a>': 1} the endpoint said 500 4",
    ]
    [call] = kernel.calls.seen
    assert (call.op, call.prompts) == ("llm_map", ["1", "2", "3 a"])
    assert call.options is not None
    assert call.options.spans == [["", 0, 1], ["", 3, 4], ["", 5, 8]]


@pytest.mark.parametrize("name", ["llm_query", "rlm_query"])
async def test_a_plain_string_as_a_batch_is_a_type_error_that_says_so(
    kernel: Bench, name: str
) -> None:
    ran = await kernel.run(f"{name}_batched('one prompt')")
    assert "TypeError" in shown(ran)
    assert f"use {name}(prompt)" in shown(ran)


@pytest.mark.parametrize(
    "call",
    ["llm_query(5)", "llm_query_batched(['a', None])", "rlm_query(b'x')", "llm_query(['a'])"],
)
async def test_a_prompt_that_is_no_string_is_a_type_error(kernel: Bench, call: str) -> None:
    ran = await kernel.run(call)
    assert "TypeError" in shown(ran)
    assert "must be a str, not" in shown(ran)
    assert kernel.calls.seen == []


async def test_what_is_too_long_or_too_many_is_refused_with_the_limit(opened: Opener) -> None:
    async with opened(prompt_chars=1000, batch=5) as kernel:
        ran = await kernel.run("llm_query('x' * 1001)")
        assert "CallRefused: prompt has 1,001 characters, the sub-LM takes 1,000" in shown(ran)
        ran = await kernel.run("llm_query_batched(['a', 'x' * 1001])")
        assert "prompt 1 has 1,001 characters" in shown(ran)
        ran = await kernel.run("llm_query_batched(['a'] * 6)")
        assert "a batch of 6 prompts; 5 is the most" in shown(ran)
        assert kernel.calls.seen == []
        assert await kernel.said("len(llm_query('x' * 1000))") == "1002"


async def test_a_limit_or_a_refusal_is_raised_in_the_cell(kernel: Bench) -> None:
    async def refuse(call: Call) -> list[Slot]:
        if call.prompts == ["limit"]:
            raise LimitReached("calls", spent=31, allowed=30)
        raise CallRefused("not like this")

    kernel.calls.serving = refuse
    assert "LimitReached: limit reached: calls: spent 31, allowed 30" in shown(
        await kernel.run("llm_query('limit')")
    )
    assert "CallRefused: not like this" in shown(await kernel.run("llm_query_batched(['a'])"))


async def test_await_works_in_asyncio_code(kernel: Bench) -> None:
    said = await kernel.said(
        "import asyncio\n"
        "print(await llm_query.aio('a', model='m'), await llm_query_batched.aio(['b', 'c']))\n"
        "print(await asyncio.gather(*(llm_query.aio(str(i)) for i in range(50))) == "
        "[f'<{i}>' for i in range(50)])"
    )
    assert said.splitlines() == ["<a> ['<b>', '<c>']", "True"]
    assert kernel.calls.seen[0].model == "m"


async def test_asyncio_calls_are_under_way_together(kernel: Bench) -> None:
    together = asyncio.Event()

    async def wait_for_all(call: Call) -> list[Slot]:
        if len(kernel.calls.seen) == 20:
            together.set()
        await together.wait()
        return [{"value": "done"}]

    kernel.calls.serving = wait_for_all
    said = await kernel.said(
        "import asyncio\nlen(await asyncio.gather(*(llm_query.aio(str(i)) for i in range(20))))"
    )
    assert said == "20"


async def test_threads_may_all_call_at_once(kernel: Bench) -> None:
    together = asyncio.Event()

    async def wait_for_all(call: Call) -> list[Slot]:
        if len(kernel.calls.seen) == 30:
            together.set()
        await together.wait()
        return [{"value": f"<{call.prompts[0]}>"}]

    kernel.calls.serving = wait_for_all
    said = await kernel.said(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(30) as pool:\n"
        "    print(list(pool.map(llm_query, map(str, range(30)))) == "
        "[f'<{i}>' for i in range(30)])"
    )
    assert said == "True"


async def test_more_threads_than_places_on_the_line_are_all_served(kernel: Bench) -> None:
    said = await kernel.said(
        "import threading\n"
        "got = {}\n"
        "def ask(i): got[i] = llm_query(str(i))\n"
        "threads = [threading.Thread(target=ask, args=(i,)) for i in range(400)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "got == {i: f'<{i}>' for i in range(400)}"
    )
    assert said == "True"


async def test_forked_processes_may_call(kernel: Bench) -> None:
    said = await kernel.said(
        "import multiprocessing, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "llm_query('warm the line up')\n"
        "with multiprocessing.get_context('fork').Pool(4) as pool:\n"
        "    print(pool.map(llm_query, [str(i) for i in range(40)]) == "
        "[f'<{i}>' for i in range(40)])\n"
        "print(llm_query('still'))"
    )
    assert said.splitlines() == ["True", "<still>"]


async def test_asyncio_run_in_a_thread_may_call(kernel: Bench) -> None:
    said = await kernel.said(
        "import asyncio, threading\n"
        "got = []\n"
        "async def main(): got.append(await llm_query.aio('inner'))\n"
        "t = threading.Thread(target=lambda: asyncio.run(main())); t.start(); t.join()\n"
        "got"
    )
    assert said == "['<inner>']"


async def test_a_call_that_its_caller_gives_up_is_cancelled(kernel: Bench) -> None:
    kernel.calls.serving = _never
    ran = await kernel.run(
        "import asyncio\n"
        "task = asyncio.ensure_future(llm_query.aio('never'))\n"
        "try:\n    await asyncio.wait_for(task, 0.2)\n"
        "except asyncio.TimeoutError:\n    print('gave up')"
    )
    assert shown(ran) == "gave up"
    async with asyncio.timeout(20):
        await kernel.calls.cancelled.wait()


async def test_children_get_their_own_context_of_any_type(kernel: Bench) -> None:
    await kernel.said(
        "rlm_query('text?', 'a\\r\\n\\ud800'); rlm_query('bytes?', b'\\x00\\xff');"
        "rlm_query('list?', [1, 'two']); rlm_query('tuple?', (1, 2)); rlm_query('none?')"
    )
    contexts = [(kind, sent.read()) for call in kernel.calls.seen for kind, sent in call.contexts]
    assert contexts[0] == ("text", "a\r\n\ud800".encode("utf-8", "surrogatepass"))
    assert contexts[1] == ("bytes", b"\x00\xff")
    assert contexts[2] == ("json", b'[1, "two"]')
    assert contexts[3][0] == "pickle"
    assert contexts[4] == ("text", b"none?")
    assert [call.given for call in kernel.calls.seen] == [[True]] * 4 + [[False]]


async def test_a_batch_of_children_gets_each_its_context(kernel: Bench) -> None:
    said = await kernel.said("rlm_query_batched(['p', 'q'], ['one', None], model='m')")
    assert said == "['<p>', '<q>']"
    [call] = kernel.calls.seen
    assert [(kind, sent.read()) for kind, sent in call.contexts] == [
        ("text", b"one"),
        ("text", b"q"),
    ]
    assert (call.given, call.model) == ([True, False], "m")


async def test_a_batch_of_children_with_too_few_contexts_is_refused(kernel: Bench) -> None:
    ran = await kernel.run("rlm_query_batched(['p', 'q'], ['one'])")
    assert "2 prompts but 1 contexts" in shown(ran)


async def test_a_context_that_cannot_be_sent_is_refused_in_words(kernel: Bench) -> None:
    ran = await kernel.run("rlm_query('p', lambda: 1)")
    assert "CallRefused: a function cannot be sent to another kernel" in shown(ran)


async def test_a_thread_that_outlives_its_cell_is_refused(kernel: Bench) -> None:
    await kernel.said(
        "import threading\n"
        "go, said = threading.Event(), []\n"
        "def late():\n"
        "    said.append(llm_query('early'))\n"
        "    go.wait(30)\n"
        "    try:\n        said.append(llm_query('late'))\n"
        "    except ValueError as e:\n        said.append(str(e))\n"
        "t = threading.Thread(target=late); t.start()\n"
        "while not said: pass"
    )
    first = kernel.calls.seen[0].cell
    said = await kernel.said("go.set(); t.join(30); print(len(said), said[1])")
    assert said.startswith("2 ")
    assert "has ended" in said
    assert [(c.prompts, c.cell) for c in kernel.calls.seen] == [(["early"], first)]


async def test_a_pool_of_an_earlier_cell_serves_the_jobs_of_a_later_one(kernel: Bench) -> None:
    await kernel.said(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(2)\nprint(list(pool.map(llm_query, 'ab')))"
    )
    assert await kernel.said("list(pool.map(llm_query, 'cd'))") == "['<c>', '<d>']"
    first, last = kernel.calls.seen[0].cell, kernel.calls.seen[-1].cell
    assert (first + 1, len(kernel.calls.seen)) == (last, 4)


async def test_a_task_that_outlives_its_cell_is_refused(kernel: Bench) -> None:
    await kernel.said(
        "import asyncio\n"
        "wake = asyncio.Event()\n"
        "async def late():\n    await wake.wait()\n    return await llm_query.aio('late')\n"
        "task = asyncio.ensure_future(late())"
    )
    ran = await kernel.run("wake.set()\nawait task")
    assert "has ended" in shown(ran)
    assert kernel.calls.seen == []


@pytest.mark.parametrize("call", ["llm_query(1)", "await llm_query.aio(1)", "FINAL_VAR('no_such')"])
async def test_an_error_of_ours_is_shown_at_the_cells_own_line(kernel: Bench, call: str) -> None:
    ran = await kernel.run(f"before = 1\n{call}")
    traceback = "\n".join(ran.outputs[-1]["traceback"])
    assert "rlm_guest" not in traceback
    assert shown(ran).startswith("----> 2 ")


async def test_an_error_of_ours_in_a_thread_shows_no_frame_of_ours(kernel: Bench) -> None:
    ran = await kernel.run(
        "import threading\nt = threading.Thread(target=lambda: llm_query(5)); t.start(); t.join()"
    )
    assert "must be a str" in shown(ran)
    assert "rlm_guest" not in shown(ran)


async def _typed(call: Call) -> list[Slot]:
    again = all("You replied" in prompt for prompt in call.prompts)
    return [{"value": '{"value": [1, 2]}' if again else "one and two"} for _ in call.prompts]


async def test_a_reply_of_a_wanted_form_is_a_value_of_it(kernel: Bench) -> None:
    kernel.calls.serving = _typed
    source = (
        "print(llm_query('p', schema=list[int]), llm_query_batched(['q'], schema='list[int]'))\n"
        "print(await llm_query.aio('r', schema={'type': 'array', 'items': {'type': 'integer'}}))"
    )
    assert await kernel.said(source) == "[1, 2] [[1, 2]]\n[1, 2]"
    assert [call.op for call in kernel.calls.seen].count("llm_query") == 4
    wanted = [call.schema and call.schema["properties"]["value"] for call in kernel.calls.seen]
    assert wanted == [{"type": "array", "items": {"type": "integer"}}] * 6


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02" + b"\0" * 400_000


async def test_pictures_come_as_they_are(kernel: Bench) -> None:
    seen: list[tuple[str, bytes]] = []

    async def looked(call: Call) -> list[Slot]:
        seen.extend((image.mime, image.data.read()) for image in call.images.get(0, []))
        return [{"value": str(len(call.images.get(i, [])))} for i in range(len(call.prompts))]

    kernel.calls.serving = looked
    source = f"png = {PNG[:30]!r} + bytes(400_000 - 6)\n" + (
        "print(llm_query('p', images=[png, png]), await llm_query.aio('q', images=png), "
        "llm_query_batched(['r', 's'], images=[[png], None]))"
    )
    assert await kernel.said(source) == "2 1 ['1', '0']"
    assert [mime for mime, _ in seen] == ["image/png"] * 4
    assert {len(data) for _, data in seen} == {400_024}


async def test_the_host_is_asked_what_is_left_and_for_the_human(kernel: Bench) -> None:
    async def told(call: Call) -> list[Slot]:
        return [{"value": [call.tool, call.arguments["kwargs"]]}]

    kernel.calls.serving = told
    said = await kernel.said("print(limits_left(), ask_human('Which?'))")
    assert said == "['limits_left', {}] ['ask_human', {'question': 'Which?'}]"


async def test_a_child_has_its_turns_and_its_reply_knows_of_it(kernel: Bench) -> None:
    async def answered(call: Call) -> list[Slot]:
        return [{"value": "text", "about": {"turns": call.max_turns, "notebook": "n"}}]

    kernel.calls.serving = answered
    source = (
        "said = rlm_query('p', max_turns=4)\nprint(said, said.turns, said.notebook, said.status)"
    )
    assert await kernel.said(source) == "text 4 n answered"
