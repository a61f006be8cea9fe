"""``rlm doctor``: it asks as a run asks, and says how."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rlm_kernel.cli import doctor
from rlm_kernel.cli.in_force import shown as in_force_shown
from rlm_kernel.settings.resolved import in_force
from rlm_kernel.testing import QUIRKS, FakeEndpoint, QuirkyEndpoint, Say, Status

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def live(config: object) -> AsyncIterator[Any]:
        async def execute(source: str) -> None:
            assert source == "1 + 1"

        yield SimpleNamespace(kernel=SimpleNamespace(execute=execute))

    monkeypatch.setattr(doctor, "open_live", live)


async def examined(url: str, **settings: Any) -> tuple[bool, str]:
    shown = io.StringIO()
    given = {"base_url": url, "model": "author", "sub_model": "sub", "retries": 0, **settings}
    console = Console(file=shown, width=400)
    good = await doctor.examine(in_force(given, environ={}), console)
    return good, shown.getvalue()


def ready(request: dict[str, Any]) -> str:
    return "ready"


async def test_the_author_is_asked_by_a_stream_with_a_system_message_and_the_sub_lm_plainly() -> (
    None
):
    async with FakeEndpoint(ready) as fake:
        good, shown = await examined(fake.base_url)
    author, sub = fake.log
    assert (author.model, author.stream, sub.model, sub.stream) == ("author", True, "sub", False)
    assert [message["role"] for message in author.messages] == ["system", "user"]
    assert [message["role"] for message in sub.messages] == ["user"]
    assert good
    assert "author author: answers 'ready'" in shown
    assert "asked with" not in shown


@pytest.mark.parametrize(
    ("quirk", "settings", "said"),
    [
        ("no_system_role", {}, "the system's words in the first user message"),
        ("no_streams", {}, "turns not streamed"),
        ("only_streams", {}, "sub-calls as streams"),
        ("no_max_tokens", {"output_tokens": 50}, "max_completion_tokens instead of max_tokens"),
        ("no_temperature", {"temperature": 0.5}, "no temperature"),
        ("no_stream_options_vague", {}, "no stream_options"),
    ],
)
async def test_what_an_endpoint_refuses_is_reported(
    quirk: str, settings: dict[str, Any], said: str
) -> None:
    async with QuirkyEndpoint(ready, QUIRKS[quirk]) as fake:
        good, shown = await examined(fake.base_url, **settings)
    assert good
    assert f"asked with {said}" in shown


async def test_what_would_fail_in_a_run_is_bad_here() -> None:
    def reply(request: dict[str, Any]) -> Any:
        return Status(500) if request.get("stream") else "ready"

    async with FakeEndpoint(reply) as fake:
        good, shown = await examined(fake.base_url)
    assert not good
    assert "bad author author" in shown
    assert "ok  sub-LM sub" in shown
    assert "bad LM: author author, sub-LM sub, prompt strong: not all of them" in shown


async def test_a_reply_of_thoughts_alone_is_bad_as_a_run_could_do_nothing_with_it() -> None:
    async with FakeEndpoint(lambda request: Say("<think>ready?</think>")) as fake:
        good, shown = await examined(fake.base_url)
    assert not good
    assert "bad author author: 'author' replied with thoughts and no answer" in shown


async def test_headers_are_shown_to_be_set_and_no_more() -> None:
    async with FakeEndpoint(ready) as fake:
        _, shown = await examined(fake.base_url, headers={"api-key": "canary-123456"})
    assert "canary" not in shown
    assert "(set)" in shown


async def test_settings_are_shown_by_subject_and_those_that_nobody_set_together() -> None:
    async with FakeEndpoint(ready) as fake:
        _, shown = await examined(fake.base_url, max_cost=0.5)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[0] == "The LMs and how they are asked"
    assert any(re.fullmatch(r"  model +author +.*", line) for line in lines)
    assert any(re.fullmatch(r"  max_cost +0\.5 +.*", line) for line in lines)
    assert any(line.startswith("  by default: max_turns 20, max_depth 1") for line in lines)
    assert "None" not in shown
    assert "sandbox_seconds" not in shown  # cells run here


def test_the_models_that_are_used_are_named_where_none_is_set() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(in_force_shown(in_force({}, environ={})))
    console.print(in_force_shown(in_force({}, environ={"OPENAI_API_KEY": "canary-123"})))
    console.print(in_force_shown(in_force({"base_url": "http://127.0.0.1:9/v1"}, environ={})))
    embedded, openai, other = console.file.getvalue().split("The LMs and how")[1:]  # type: ignore[attr-defined]
    assert "qwen2.5-coder-1.5b (the embedded one)" in embedded
    assert "gpt-5-mini" in openai
    assert "canary" not in openai
    assert "the only one that the endpoint has" in other
    assert max(map(len, openai.splitlines())) <= 80
    assert len(openai.splitlines()) <= 24
