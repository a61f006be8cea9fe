"""A kernel that a human shares with the LM: cells passed on as they came, variables as context."""

from __future__ import annotations

import asyncio

import pytest
from environments import SECONDS, Bench, shown
from jupyter_client.session import Session

from rlm_kernel.answers import Answer
from rlm_kernel.environments.messages import Message
from rlm_kernel.errors import ContextError
from rlm_kernel.record.outputs import Collector
from rlm_kernel.repl.running_cell import Ran

pytestmark = pytest.mark.anyio
FRONT = Session(key=b"front")


async def relayed(
    kernel: Bench, source: str, messages: list[Message] | None = None, **content: object
) -> Ran:
    """A cell as a front end sends it; ``messages`` gets all that it causes."""
    asked = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
    request = FRONT.msg("execute_request", {**asked, "stop_on_error": True, **content})
    async with asyncio.timeout(SECONDS):
        return await kernel.repl.relay(
            request,
            cell=1,
            about={"commands": 0},
            collector=Collector(),
            on_message=[].append if messages is None else messages.append,
        )


async def test_a_cell_passed_on_keeps_the_front_ends_header(kernel: Bench) -> None:
    messages: list[Message] = []
    ran = await relayed(kernel, "print('out')\n6 * 7", messages)
    parents = {message["parent_header"]["session"] for message in messages}
    assert parents == {FRONT.session}
    kinds = [message["msg_type"] for message in messages]
    assert kinds == ["execute_input", "stream", "execute_result"]
    assert ran.reply is not None
    assert ran.reply["parent_header"]["session"] == FRONT.session
    assert (ran.status, shown(ran)) == ("ok", "out\n42")


async def test_binary_buffers_of_a_widget_arrive_as_they_are(kernel: Bench) -> None:
    messages: list[Message] = []
    source = (
        "from ipykernel.comm import Comm\n"
        "Comm(target_name='t', buffers=[b'\\x00\\xff', memoryview(b'two')])"
    )
    await relayed(kernel, source, messages)
    opened = next(message for message in messages if message["msg_type"] == "comm_open")
    assert [bytes(part) for part in opened["buffers"]] == [b"\x00\xff", b"two"]


async def test_a_humans_cell_may_ask_for_a_line(kernel: Bench) -> None:
    asked: list[str] = []

    def answer(request: Message) -> None:
        asked.append(request["content"]["prompt"])
        answering.append(asyncio.ensure_future(kernel.repl.kernel.answer_input("blue")))

    answering: list[asyncio.Future[None]] = []
    kernel.repl.on_input = answer
    ran = await relayed(kernel, "print(input('colour? ') + '!')", allow_stdin=True)
    assert (asked, shown(ran)) == (["colour? "], "blue!")


async def test_a_humans_cell_can_ask_the_sub_lm_and_give_an_answer(kernel: Bench) -> None:
    ran = await relayed(kernel, "FINAL_VAR(llm_query('hi'))")
    assert ran.answer == Answer.of_text("<hi>")


async def test_an_interrupt_stops_a_cell_that_was_passed_on_and_its_calls(kernel: Bench) -> None:
    async def never(call: object) -> list[dict[str, object]]:
        await asyncio.Event().wait()
        return []

    kernel.calls.serving = never
    running = asyncio.ensure_future(relayed(kernel, "x = 1\nllm_query('wait')"))
    async with asyncio.timeout(SECONDS):
        await kernel.calls.asked.wait()
        await kernel.repl.interrupt()
        ran = await running
        await kernel.calls.cancelled.wait()
    assert ran.status == "error"
    assert await kernel.said("print(x)") == "1"


async def test_completion_is_answered_while_a_cell_runs(kernel: Bench) -> None:
    started = asyncio.Event()
    source = "import time\nlong_name = 1\nprint('go', flush=True)\ntime.sleep(60)"
    running = asyncio.ensure_future(relayed(kernel, source, _On("stream", started)))
    async with asyncio.timeout(SECONDS):
        await started.wait()
        request = FRONT.msg("complete_request", {"code": "long_n", "cursor_pos": 6})
        reply = await kernel.repl.kernel.request_aside(request)
        assert reply is not None
        assert reply["content"]["matches"] == ["long_name"]
        await kernel.repl.interrupt()
        await running


class _On(list[Message]):
    """Sets an event when a message of a kind comes."""

    def __init__(self, kind: str, event: asyncio.Event) -> None:
        super().__init__()
        self._kind, self._event = kind, event

    def append(self, message: Message) -> None:
        super().append(message)
        if message["msg_type"] == self._kind:
            self._event.set()


async def test_a_variable_becomes_the_context_and_stays_the_same_object(kernel: Bench) -> None:
    await kernel.run("rows = ['a', 'b']", author="human")
    info, copy = await kernel.repl.adopt("rows")
    assert (info.type, info.length, info.spec["variable"]) == ("list", 2, "rows")
    assert copy is not None
    assert copy.data == b'["a", "b"]'
    assert await kernel.said("context.append('c')\nprint(rows)") == "['a', 'b', 'c']"


async def test_the_context_that_was_given_is_not_copied_when_it_is_taken_again(
    kernel: Bench,
) -> None:
    await kernel.give("some text")
    info, source = await kernel.repl.adopt("context")
    assert source is not None
    assert (source.data, info.spec["variable"]) == (b"some text", "context")


async def test_a_variable_that_cannot_be_copied_is_a_context_all_the_same(kernel: Bench) -> None:
    await kernel.run("import threading\nlock = threading.Lock()", author="human")
    info, copy = await kernel.repl.adopt("lock")
    assert copy is None
    assert (info.spec["kind"], info.spec["sha256"]) == ("variable", None)
    assert await kernel.said("print(context is lock)") == "True"


async def test_a_variable_that_is_not_there_is_named_with_those_that_are(kernel: Bench) -> None:
    await kernel.run("rows = 1\ncols = 2")
    with pytest.raises(ContextError, match=r"no variable 'row'; there are: .*rows, .*cols"):
        await kernel.repl.find("row")


async def test_a_text_is_bound_as_it_is(kernel: Bench) -> None:
    text = "line\n'quoted' \\ \ud800 \x00 end"
    await kernel.repl.assign("answer_", Answer.of_text(text))
    assert await kernel.said("print(ascii(answer_))") == ascii(text)


async def test_a_dead_kernel_is_replaced_with_its_context_and_the_reason_is_said(
    kernel: Bench,
) -> None:
    await kernel.give("kept")
    ran = await relayed(kernel, "import os\nos._exit(3)")
    assert ran.status == "died"
    assert ran.reply is None
    assert ran.restarted is not None
    assert "exit code 3" in ran.restarted
    assert await kernel.said("print(context)") == "kept"
    assert await kernel.repl.revive() is None


async def test_an_lms_cell_cannot_give_the_host_orders(kernel: Bench) -> None:
    for source in ("%rlm limits cost=1000", "%%rlm\nwhat?"):
        ran = await kernel.run(source)
        assert ran.status == "error"
        assert "a human's cell" in shown(ran)


async def test_a_humans_commands_do_nothing_when_the_cell_is_run_again(kernel: Bench) -> None:
    assert await kernel.said("%rlm limits cost=1\nprint('ran')", author="human") == "ran"


DRAW = "import random\nprint(random.random())"
DRAW_NUMPY = "import numpy\nprint(numpy.random.rand())"


@pytest.mark.parametrize("draw", [DRAW, DRAW_NUMPY], ids=["random", "numpy"])
async def test_a_seed_makes_the_same_numbers_again(kernel: Bench, draw: str) -> None:
    await kernel.repl.seed(7)
    first = await kernel.said(draw)
    second = await kernel.said(draw)
    await kernel.repl.seed(7)
    assert await kernel.said(draw) == first != second


async def test_a_seed_of_before_goes_on_when_it_is_lifted(kernel: Bench) -> None:
    await kernel.repl.seed(None)
    await kernel.said("import random\nrandom.seed(1)\nkept = random.getstate()")
    await kernel.repl.seed(7)
    await kernel.said(DRAW)
    await kernel.repl.seed(None)
    assert await kernel.said("print(random.getstate() == kept)") == "True"


async def test_a_kernel_that_is_started_again_has_its_seed(kernel: Bench) -> None:
    await kernel.repl.seed(7)
    first = await kernel.said(DRAW)
    died = await kernel.run("import os; os._exit(3)")
    assert died.status == "died"
    assert await kernel.said(DRAW) == first
