"""``rlm mcp`` as another agent meets it: the reference client, over stdio, HTTP and in process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import block, script
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from rlm_kernel.inputs.tools import Tools
from rlm_kernel.mcp.roots import Roots
from rlm_kernel.mcp.server import made
from rlm_kernel.mcp.service import Service
from rlm_kernel.record.recorder import RUNS
from rlm_kernel.session.session import Session
from rlm_kernel.settings.limits import Budget, Limits
from rlm_kernel.settings.resolved import Resolved, in_force
from rlm_kernel.testing import FakeEndpoint, Hang, ScriptedLM

MOST_BYTES = 20_000
LENGTH = block("print(len(context))\nFINAL_VAR(len(context))")


@asynccontextmanager
async def served(
    base: Path,
    lm: ScriptedLM | None = None,
    *,
    budget: Budget | None = None,
    force: Resolved | None = None,
    **limits: Any,
) -> AsyncIterator[Client]:
    """A client of a server in this process, which answers by this LM about files in ``base``."""
    force = force or in_force({}, limits=Limits(**limits))
    session = Session(force, Tools(), root=lm, cwd=base, budget=budget)
    service = Service(session, Roots([base]), base / RUNS)
    try:
        async with Client(made(service)) as client:
            yield client
    finally:
        await service.close()


async def called(client: Client, tool: str, **given: Any) -> Any:
    """What a tool gives; the text of its error where it fails."""
    result = await client.call_tool(tool, given)
    if result.is_error:
        return "".join(getattr(part, "text", "") for part in result.content)
    assert result.structured_content is not None
    return result.structured_content.get("result", result.structured_content)


def answered(base: Path, lm: ScriptedLM, tool: str = "ask", **given: Any) -> Any:
    async def work() -> Any:
        async with served(base, lm) as client:
            return await called(client, tool, **given)

    return asyncio.run(work())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("alpha\nbeta\ngamma\n")
    return tmp_path


def test_an_agent_asks_about_a_file_and_reads_where_the_answer_came_from(base: Path) -> None:
    lm = script("print(context)\nFINAL_VAR(context.split()[1], evidence=['beta'])")

    async def work() -> None:
        async with served(base, lm) as client:
            told = await called(client, "ask", question="The second word?", path="in.txt")
            assert (told["status"], told["answer"], told["confirmed"]) == ("answered", "beta", True)
            assert "beta" in told["evidence"][0]
            row, *rest = await called(client, "runs")
            assert not rest, rest
            assert (row["run"], row["question"]) == (told["run"], "The second word?")
            shown = await called(client, "show", run=told["run"])
            assert "print(context)" in shown
            assert "gamma" not in shown, "what cells put out has the input"
            assert "gamma" in await called(client, "show", run=told["run"], outputs=True)
            why = await called(client, "why", run=told["run"])
            assert (why["answer"], why["cells"]) == ("beta", [1])
            assert (await called(client, "replay", run=told["run"]))["verdict"] == "equal"
            read = await client.read_resource(told["trajectory"])
            assert "gamma" not in read.contents[0].text  # type: ignore[union-attr]

    asyncio.run(work())


def test_a_text_is_asked_about_and_the_answer_has_a_form(base: Path) -> None:
    told = answered(base, script(LENGTH), question="How long?", text="a" * 300, answer="number")
    assert told["answer"] == "300"


def test_a_map_asks_about_each_line_and_counts_with_no_author(base: Path) -> None:
    lm = ScriptedLM([], lambda prompt: '{"value": "%s"}' % ("yes" if "beta" in prompt else "no"))
    told = answered(base, lm, "map", question="Is it b?", path="in.txt", labels=["yes", "no"])
    assert json.loads(told["answer"].replace("'", '"'))["counts"] == {"no": 2, "yes": 1}
    assert told["status"] == "answered"


def test_a_run_is_gone_on_with_in_a_run_of_its_own(base: Path) -> None:
    lm = script("x = len(context)\nprint(x)\nFINAL_VAR(x)", "FINAL_VAR(x + 1)")

    async def work() -> None:
        async with served(base, lm) as client:
            first = await called(client, "ask", question="How long?", path="in.txt")
            more = await called(client, "continue", run=first["run"], word="One more.")
            assert (first["answer"], more["answer"]) == ("17", "18")
            assert first["run"] != more["run"]
            assert "One more." in json.dumps(lm.asked[-1])

    asyncio.run(work())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": "/etc/passwd"}, "there is no '/etc/passwd' in what may be read"),
        ({"path": "../out.txt"}, "there is no '../out.txt' in what may be read"),
        ({"path": "link"}, "there is no 'link' in what may be read"),
        ({"path": "nowhere"}, "there is no 'nowhere' in what may be read"),
        ({"path": "in.txt\0"}, "in what may be read"),
        ({}, "give a path or a text"),
        ({"path": "in.txt", "text": "x"}, "give a path or a text"),
        ({"path": "in.txt", "answer": "no such form"}, "answer="),
        ({"path": "in.txt", "question": "  "}, "a question has 1 to"),
        ({"path": "in.txt", "max_turns": 0}, "greater than or equal to 1"),
    ],
)
def test_what_may_not_be_asked_is_refused_in_a_line(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "in.txt").write_text("alpha")
    (tmp_path / "out.txt").write_text("secret")
    (base / "link").symlink_to(tmp_path / "out.txt")
    lm = script(LENGTH)
    told = answered(base, lm, **{"question": "What?", **given})
    assert words in told
    assert "secret" not in told
    assert not lm.asked


@pytest.mark.parametrize("run", ["nope", "../x", "", "..", "a/b", ".hidden", "x" * 300])
def test_a_run_that_is_none_is_said_to_be_none(base: Path, run: str) -> None:
    for tool in ("show", "why", "replay"):
        assert "there is no run" in answered(base, script(LENGTH), tool, run=run)


def test_a_caller_may_lower_the_users_limits_and_not_raise_them(base: Path) -> None:
    lm = script(*[f"print({n})" for n in range(9)])

    async def work() -> None:
        async with served(base, lm, turns=3) as client:
            low = await called(client, "ask", question="?", path="in.txt", max_turns=2)
            high = await called(client, "ask", question="?", path="in.txt", max_turns=50)
            assert (low["status"], high["status"]) == ("limit", "limit")
            assert "allowed 2" in low["reason"]
            assert "allowed 3" in high["reason"]

    asyncio.run(work())


def test_all_callers_together_have_what_the_user_gives(base: Path) -> None:
    lm = script(*[f"print({n})" for n in range(200)])

    async def work() -> None:
        budget = Budget(tokens=15_000)
        async with served(base, lm, budget=budget) as client:
            asked = [called(client, "ask", question=f"{n}?", path="in.txt") for n in range(2)]
            ended = await asyncio.gather(*asked)
            assert [one["status"] for one in ended] == ["limit", "limit"]
            assert all("total_tokens" in one["reason"] for one in ended)
            assert sum(one["tokens"] for one in ended) <= 15_000
            after = await called(client, "ask", question="Again?", path="in.txt")
            assert "total_tokens" in after["reason"]

    asyncio.run(work())


def test_where_cells_need_a_humans_consent_nothing_is_asked(base: Path) -> None:
    lm = script(LENGTH)

    async def work() -> None:
        async with served(base, lm, force=in_force({"confirm": "first"})) as client:
            told = await called(client, "ask", question="How long?", path="in.txt")
            assert "nobody is here who can" in told
            assert not lm.asked

    asyncio.run(work())


def test_progress_is_told_and_has_nothing_of_the_input(base: Path) -> None:
    lm = script("print(context)\nllm_query_batched(['a'] * 3)", "FINAL_VAR(1)")
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(str(message))

    async def work() -> None:
        async with served(base, lm) as client:
            given = {"question": "What?", "path": "in.txt"}
            await client.call_tool("ask", given, progress_callback=hear)

    asyncio.run(work())
    assert any(one.startswith("turn 1 of 20") for one in heard)
    assert not any("alpha" in one for one in heard)


def _environment(base: Path, endpoint: FakeEndpoint) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RLM_")}
    key = {"OPENAI_API_KEY": "sk-secret-of-the-user", "OPENAI_BASE_URL": endpoint.base_url}
    return {**kept, **key, "RLM_MODEL": "fake-model", "HOME": str(base)}


class Counted:
    """The bytes that a server and its client have said to one another, and a way to read them."""

    def __init__(self, tmp_path: Path) -> None:
        self._paths = [tmp_path / "to-server", tmp_path / "from-server"]

    def command(self, *words: str) -> list[str]:
        pipe = f"tee {self._paths[0]} | {' '.join(words)} | tee {self._paths[1]}"
        return ["-c", f"set -o pipefail; {pipe}"]

    @property
    def said(self) -> str:
        return "".join(path.read_text() for path in self._paths)


CANARIES = [f"canary-{n:03}-of-the-file" for n in range(50)]


def test_a_file_of_a_hundred_megabytes_is_asked_about_over_stdio_in_few_bytes(
    tmp_path: Path,
) -> None:
    lines = [f"{CANARIES[n % 50]} {n} {'x' * 180}" for n in range(500_000)]
    (tmp_path / "big.txt").write_text("\n".join(lines))
    counted = Counted(tmp_path)

    def reply(request: dict[str, Any]) -> str:
        return block("print(context[:300])\nFINAL_VAR(context.count('canary-007'))")

    async def work(endpoint: FakeEndpoint) -> None:
        words = [sys.executable, "-m", "rlm_kernel", "mcp", "--root", str(tmp_path)]
        command = StdioServerParameters(
            command="bash", args=counted.command(*words), env=_environment(tmp_path, endpoint),
            cwd=tmp_path,
        )  # fmt: skip
        async with Client(stdio_client(command)) as client:
            told = await called(client, "ask", question="How often is 007?", path="big.txt")
            assert (told["answer"], told["confirmed"]) == ("10000", True)
            await client.read_resource(told["trajectory"])
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "ask", "map", "runs", "show", "why", "replay", "continue",
            }  # fmt: skip

    with FakeEndpoint(reply) as endpoint:
        asyncio.run(asyncio.wait_for(work(endpoint), 100))
    said = counted.said
    assert len(said) < MOST_BYTES
    assert not [canary for canary in CANARIES if canary in said]
    assert "sk-secret-of-the-user" not in said


def test_a_call_that_is_cancelled_ends_its_run_and_leaves_its_trajectory(base: Path) -> None:
    asked = threading.Event()

    def reply(request: dict[str, Any]) -> Any:
        if len(request["messages"]) > 1:
            return block("print(context)\nllm_query('wait')")
        asked.set()
        return Hang()

    async def work(endpoint: FakeEndpoint) -> None:
        force = in_force({"base_url": endpoint.base_url, "api_key": "k", "model": "fake-model"})
        async with served(base, force=force) as client:
            given = {"question": "What?", "path": "in.txt"}
            call = asyncio.create_task(client.call_tool("ask", given))
            assert await asyncio.to_thread(asked.wait, 60)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(30):
                while (rows := await called(client, "runs"))[0]["status"] == "running":
                    await asyncio.sleep(0.1)
            assert rows[0]["status"] == "interrupted"
            assert "print(context)" in await called(client, "show", run=rows[0]["run"])

    with FakeEndpoint(reply) as endpoint:
        asyncio.run(work(endpoint))


def test_http_is_served_on_this_machine_at_a_path_that_is_told(base: Path) -> None:
    with FakeEndpoint(lambda request: LENGTH) as endpoint:
        command = [sys.executable, "-m", "rlm_kernel", "mcp", "--http", "0"]
        server = subprocess.Popen(
            command, cwd=base, env=_environment(base, endpoint), stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stderr is not None
            url = server.stderr.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{30,}/mcp", url)

            async def work(url: str) -> Any:
                async with Client(url) as client:
                    return await called(client, "ask", question="How long?", path="in.txt")

            assert asyncio.run(work(url))["answer"] == "17"
            with pytest.raises((MCPError, ExceptionGroup)):
                asyncio.run(work(re.sub(r"/[\w-]{30,}/", "/", url)))
        finally:
            server.terminate()
            server.wait(20)
            server.stderr.close()  # type: ignore[union-attr]
