"""The fake endpoint itself, over plain HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from rlm_kernel.events import Usage
from rlm_kernel.testing import Exchange, FakeEndpoint, Hang, Say, Slow, Status

ASK = {"model": "m", "messages": [{"role": "user", "content": "12345678"}]}


def send(fake: FakeEndpoint, method: str, path: str, body: Any = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(fake.base_url).netloc, timeout=20)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ask(fake: FakeEndpoint, **more: Any) -> tuple[int, str]:
    return send(fake, "POST", "/v1/chat/completions", ASK | more)


def test_a_status_of_a_proxys_own_is_served() -> None:
    with FakeEndpoint(lambda request: Status(524)) as fake:
        assert ask(fake)[0] == 524


def test_a_reply_that_raises_ends_the_connection() -> None:
    fake = FakeEndpoint(lambda request: [][0])
    with fake, pytest.raises(http.client.HTTPException):
        ask(fake)


def test_it_serves_a_test_that_has_no_event_loop() -> None:
    with FakeEndpoint(lambda request: "hello") as fake:
        status, body = ask(fake)
        assert status == 200
        assert json.loads(body)["choices"][0]["message"]["content"] == "hello"
        assert json.loads(send(fake, "GET", "/v1/models")[1])["data"][0]["id"] == "fake-model"
        assert send(fake, "GET", "/v1/files")[0] == 404
    assert [(e.path, e.status) for e in fake.log] == [
        ("/v1/chat/completions", 200),
        ("/v1/models", 200),
        ("/v1/files", 404),
    ]


def test_it_totals_what_it_reported_and_only_that() -> None:
    replies: list[Any] = ["hello", Status(500), Say("hi", {"prompt_tokens": 5, "cost": 0.5})]
    with FakeEndpoint(lambda request: replies.pop(0)) as fake:
        for _ in range(3):
            ask(fake)
    assert fake.totals() == Usage(requests=3, input_tokens=7, output_tokens=1, cost=0.5)


def test_usage_can_be_given_to_each_request() -> None:
    count = iter(range(1, 9))
    with FakeEndpoint(
        lambda request: "hello", usage=lambda request, text: {"completion_tokens": next(count)}
    ) as fake:
        ask(fake)
        ask(fake)
    assert fake.totals().output_tokens == 3


@pytest.mark.parametrize(("asked", "seen"), [(True, True), (False, False)])
def test_a_stream_tells_its_usage_only_if_asked(asked: bool, seen: bool) -> None:
    with FakeEndpoint(lambda request: "hello") as fake:
        _, body = ask(fake, stream=True, stream_options={"include_usage": asked})
    assert body.endswith("data: [DONE]\n\n")
    assert (fake.log[0].usage is not None) == seen == ("prompt_tokens" in body)


def test_a_slow_reply_comes() -> None:
    with FakeEndpoint(lambda request: Slow(0.01, "late")) as fake:
        assert "late" in ask(fake)[1]


def test_leaving_ends_a_request_that_hangs() -> None:
    started = threading.Event()

    def reply(request: dict[str, Any]) -> Hang:
        started.set()
        return Hang()

    failed: list[Exception] = []

    def hang(fake: FakeEndpoint) -> None:
        try:
            ask(fake)
        except (OSError, http.client.HTTPException) as e:
            failed.append(e)

    with FakeEndpoint(reply) as fake:
        client = threading.Thread(target=hang, args=(fake,), daemon=True)
        client.start()
        assert started.wait(20)
    client.join(20)
    assert failed
    exchange: Exchange = fake.log[0]
    assert exchange.ended is not None
    assert not exchange.hung_up
