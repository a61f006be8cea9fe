"""What the LM client does when the endpoint fails, and what it says then."""

from __future__ import annotations

import asyncio
import socket
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from callers import ASK, KEY, USED, Books, Says, client, completed, streamed, until, ways

from rlm_kernel.errors import LimitReached, LMError, UsageError
from rlm_kernel.events import Usage
from rlm_kernel.lm.client import Client, Sampling
from rlm_kernel.testing import (
    CutStream,
    EmptyChoice,
    FakeEndpoint,
    Garbage,
    Hang,
    Refusal,
    Say,
    Status,
)

pytestmark = pytest.mark.anyio


@ways
@pytest.mark.parametrize(
    "fault",
    [
        Status(408),
        Status(409),
        Status(429),
        Status(500),
        Status(503, "no JSON at all"),
        CutStream(12),
        CutStream(12, clean=True),
        Garbage(),
        Garbage('{"choices": 1}'),
        Garbage('{"error": {"message": "upstream", "code": 502}}'),
        EmptyChoice(),
        EmptyChoice(choices=False),
    ],
    ids=repr,
)
async def test_what_may_pass_is_tried_again(ask: Callable[..., Any], fault: Any) -> None:
    books = Books()
    async with FakeEndpoint(Says(fault, fault, "at last")) as fake, client(fake.base_url) as lm:
        reply = await ask(lm, books)
    assert reply.text == "at last"
    assert reply.usage == books.usage
    assert books.usage.requests == len(fake.log) == len(books.reserved) == 3
    assert books.held == 0


@ways
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Status(400), "bad_request"),
        (Status(401), "auth"),
        (Status(403), "auth"),
        (Status(404), "address"),
        (Status(422), "bad_request"),
        (Status(400, {"error": {"message": "no", "code": "context_length_exceeded"}}), "window"),
        (Status(400, {"error": {"message": "model x does not exist"}}), "model"),
        (Status(400, {"error": {"message": "no", "code": "content_filter"}}), "refusal"),
        (Status(429, {"error": {"message": "pay", "code": "insufficient_quota"}}), "money"),
        (Refusal(), "refusal"),
        (Refusal(filtered=True), "refusal"),
        (Say("", finish="length"), "empty"),
    ],
    ids=repr,
)
async def test_what_cannot_pass_is_tried_once(
    ask: Callable[..., Any], fault: Any, cause: str
) -> None:
    books = Books()
    async with FakeEndpoint(Says(fault)) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, books)
    # A first stream that is refused without a reason may have been so for asking for the usage.
    tries = 2 if cause == "bad_request" and ask is streamed else 1
    assert (caught.value.cause, caught.value.attempts) == (cause, tries)
    assert books.usage.requests == tries
    assert sum(e.path.endswith("/chat/completions") for e in fake.log) == tries


@ways
@pytest.mark.parametrize(
    ("fault", "cause", "status"),
    [
        (Status(429), "rate_limit", 429),
        (Status(500), "server", 500),
        (CutStream(12), "cut", None),
        (Garbage(), "garbage", None),
        (Garbage("<html>\nit works!\n</html>\n"), "garbage", None),
        (EmptyChoice(), "empty", None),
    ],
)
async def test_the_last_try_gives_the_error(
    ask: Callable[..., Any], fault: Any, cause: str, status: int | None
) -> None:
    async with FakeEndpoint(Says(fault)) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, Books())
    assert (caught.value.cause, caught.value.attempts, caught.value.status) == (cause, 3, status)
    assert "3 tries" in str(caught.value)


@ways
async def test_no_reply_in_time_is_a_timeout(ask: Callable[..., Any]) -> None:
    books = Books()
    async with (
        FakeEndpoint(Says(Hang())) as fake,
        client(fake.base_url, timeout_s=0.1, retries=1) as lm,
    ):
        with pytest.raises(LMError) as caught:
            await ask(lm, books)
        await until(lambda: all(e.hung_up for e in fake.log))
    assert (caught.value.cause, caught.value.attempts) == ("timeout", 2)
    # What was sent is taken for read, and paid for, though nobody told so.
    assert books.usage == Usage(requests=2, input_tokens=6, unpriced=2, estimated=True)


async def test_a_silent_endpoint_is_asked_once_more_however_many_tries_there_are() -> None:
    async with (
        FakeEndpoint(Says(Hang())) as fake,
        client(fake.base_url, timeout_s=0.1, retries=5) as lm,
    ):
        with pytest.raises(LMError) as caught:
            await completed(lm, Books())
        await until(lambda: all(e.hung_up for e in fake.log))
    assert (caught.value.cause, len(fake.log)) == ("timeout", 2)


@ways
async def test_nobody_listening_is_unreachable(ask: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with client(url) as lm:
            with pytest.raises(LMError) as caught:
                await ask(lm, Books())
    assert caught.value.cause == "unreachable"
    assert url in str(caught.value)
    assert caught.value.attempts == 3


@ways
async def test_a_server_that_does_not_speak_http_sends_garbage(ask: Callable[..., Any]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.org ready\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with client(f"http://127.0.0.1:{port}/v1", retries=0) as lm:
            with pytest.raises(LMError) as caught:
                await ask(lm, Books())
    assert caught.value.cause == "garbage"


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "30"},
        {"Retry-After": "300"},
        {"Retry-After": "soon", "retry-after-ms": "2500"},
        {"Retry-After": "date"},
        {"Retry-After": "soon"},
    ],
    ids=repr,
)
async def test_retry_after_is_honoured(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    if headers["Retry-After"] == "date":
        headers = {"Retry-After": formatdate(time.time() + 600, usegmt=True)}
    async with (
        FakeEndpoint(Says(Status(429, headers=headers), "fine")) as fake,
        client(fake.base_url) as lm,
    ):
        monkeypatch.setattr("rlm_kernel.lm.client.sleep", sleep)
        await completed(lm, Books())
    if headers == {"Retry-After": "soon"}:
        assert 0 < waits[0] <= 0.001
    else:
        assert waits == [{"30": 30.0, "soon": 2.5}.get(headers["Retry-After"], 60.0)]


async def test_a_retry_after_a_partial_stream_starts_the_screen_anew() -> None:
    restarts: list[str] = []
    screen: list[str] = []

    def restart() -> None:
        restarts.append("".join(screen))
        screen.clear()

    async with (
        FakeEndpoint(Says(CutStream(5, "hello there"), "hello")) as fake,
        client(fake.base_url) as lm,
    ):
        await lm.stream(
            "m", ASK, Books(), sampling=Sampling(), on_delta=screen.append, on_restart=restart
        )
    assert (restarts, "".join(screen)) == (["hello"], "hello")


async def test_a_limit_goes_through_and_is_never_tried_again() -> None:
    books = Books(allowed=1)
    async with FakeEndpoint(Says(Status(500), "fine")) as fake, client(fake.base_url) as lm:
        with pytest.raises(LimitReached):
            await completed(lm, books)
    assert len(fake.log) == 1
    assert books.usage == Usage(requests=1)


async def test_a_call_that_backs_off_holds_no_slot() -> None:
    def reply(request: dict[str, Any]) -> Any:
        first = request["messages"][0]["content"] == "first"
        return Status(429, retry_after=600) if first else "fine"

    async with FakeEndpoint(reply) as fake, client(fake.base_url, in_flight=1) as lm:
        waiting = asyncio.create_task(
            completed(lm, Books(), [{"role": "user", "content": "first"}])
        )
        await until(lambda: bool(fake.log) and fake.log[0].ended is not None)
        assert (await asyncio.wait_for(completed(lm, Books()), 20)).text == "fine"
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_refused_request_costs_nothing() -> None:
    books = Books()
    said = Says(Status(429), Say("fine", USED))
    async with FakeEndpoint(said) as fake, client(fake.base_url) as lm:
        await completed(lm, books)
    assert books.usage == Usage(2, 70, 30, 20, unpriced=1)


async def test_an_unknown_model_is_answered_with_the_models_there_are() -> None:
    names = tuple(f"model-{n}" for n in range(9))
    async with (
        FakeEndpoint(Says(Status(404)), models=names) as fake,
        client(fake.base_url) as lm,
    ):
        with pytest.raises(LMError, match="'fake-model'") as caught:
            await completed(lm, Books())
        assert await lm.models() == list(names)
    assert "model-4" in str(caught.value)
    assert "model-5" not in str(caught.value)


async def test_what_to_do_is_said() -> None:
    refused = [(Status(401), "RLM_API_KEY"), (Status(401), "OPENAI_API_KEY")]
    limited = [(Status(429), "s of waiting"), (Status(400, {"detail": "no such field"}), "no such")]
    for fault, words in refused + limited:
        async with FakeEndpoint(Says(fault)) as fake, client(fake.base_url, retries=0) as lm:
            with pytest.raises(LMError, match=words):
                await completed(lm, Books())


@ways
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 200])
async def test_the_key_is_never_shown(ask: Callable[..., Any], status: int) -> None:
    echo = f"headers: {{'authorization': 'Bearer {KEY}'}} key={KEY}"
    fault = Garbage(echo) if status == 200 else Status(status, {"error": {"message": echo}})
    async with FakeEndpoint(Says(fault)) as fake, client(fake.base_url, retries=1) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, Books())
        shown = repr(lm) + repr(Sampling()) + "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        shown, error = shown + str(error) + repr(error), error.__context__
    assert KEY not in shown


@pytest.mark.parametrize("key", ["sk-\N{EM DASH}0123456789", "sk-01234 56789", "sk-0\n1"])
async def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    with pytest.raises(UsageError, match="RLM_API_KEY") as caught:
        Client(base_url=None, api_key=key, in_flight=1, timeout_s=1, retries=0)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://x/v1", "http://", "http://a:b/v1"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base URL"):
        Client(base_url=url, api_key=None, in_flight=1, timeout_s=1, retries=0)


async def test_a_password_in_the_address_is_not_shown() -> None:
    url = "http://me:secret@localhost:1/v1"
    lm = Client(base_url=url, api_key=None, in_flight=1, timeout_s=1, retries=0)
    assert lm.url == "http://localhost:1/v1"
    assert "secret" not in repr(lm)


async def test_no_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url, api_key=None) as lm:
        assert (await completed(lm, Books())).text == "fine"
    assert KEY not in str(fake.log[0].headers)


@pytest.mark.parametrize("error", [BrokenPipeError("screen"), TimeoutError("screen")])
async def test_an_error_of_the_screen_is_not_taken_for_one_of_the_endpoint(error: OSError) -> None:
    def show(text: str) -> None:
        raise error

    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url) as lm:
        with pytest.raises(type(error), match="screen"):
            await lm.stream(
                "m", ASK, Books(), sampling=Sampling(), on_delta=show, on_restart=list[str]().clear
            )
    assert len(fake.log) == 1
