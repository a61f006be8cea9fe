"""What is sent to an endpoint: its address, its headers, the fields of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, block
from callers import ASK, KEY, Books, Says, client, completed, streamed, ways

from rlm_kernel import UsageError
from rlm_kernel.errors import LMError
from rlm_kernel.events import RunStarted
from rlm_kernel.lm import chat
from rlm_kernel.lm.client import Sampling
from rlm_kernel.record import journal
from rlm_kernel.settings.resolved import Layer, Wrote, in_force
from rlm_kernel.testing import Exchange, FakeEndpoint, Status
from rlm_kernel.testing.answers import Answer

pytestmark = pytest.mark.anyio
SECRET = "azure-canary-0123456789"
HEADERS = {"api-key": SECRET, "X-Team": "reading"}


@ways
async def test_the_query_of_an_address_stays_in_every_request(ask: Any) -> None:
    async with FakeEndpoint(Says("fine")) as fake:
        url = f"{fake.base_url}/deployments/x?api-version=2024-06-01&flag="
        async with client(url) as lm:
            assert (await ask(lm, Books())).text == "fine"
            assert await lm.models() == ["fake-model"]
    paths = [e.path for e in fake.log]
    query = "?api-version=2024-06-01&flag="
    assert paths == [
        f"/v1/deployments/x/chat/completions{query}",
        f"/v1/deployments/x/models{query}",
    ]


@ways
@pytest.mark.parametrize("copied", ["/chat/completions", "/chat/completions/?a=b"])
async def test_the_whole_address_of_the_completions_will_do(ask: Any, copied: str) -> None:
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url + copied) as lm:
        assert (await ask(lm, Books())).text == "fine"
        assert await lm.models() == ["fake-model"]
    assert [e.place for e in fake.log] == ["/v1/chat/completions", "/v1/models"]


@ways
async def test_headers_go_with_every_request(ask: Any) -> None:
    async with (
        FakeEndpoint(Says("fine")) as fake,
        client(fake.base_url, headers=HEADERS) as lm,
    ):
        await ask(lm, Books())
        await lm.models()
    for exchange in fake.log:
        assert (exchange.headers["api-key"], exchange.headers["x-team"]) == (SECRET, "reading")
        assert exchange.headers["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_headers_stand_alone() -> None:
    async with (
        FakeEndpoint(Says("fine")) as fake,
        client(fake.base_url, headers=HEADERS, api_key=None) as lm,
        client(fake.base_url, headers={"Authorization": "Token abc"}) as other,
    ):
        await completed(lm, Books())
        await completed(other, Books())
    assert [e.headers.get("authorization") for e in fake.log] == [None, "Token abc"]


@ways
async def test_no_error_shows_a_header_or_a_query(ask: Any) -> None:
    echo = Status(400, {"error": {"message": f"you sent {SECRET} and sig=signature-0123456"}})
    async with FakeEndpoint(Says(echo)) as fake:
        url = f"{fake.base_url}?sig=signature-0123456"
        async with client(url, headers=HEADERS, retries=0) as lm:
            with pytest.raises(LMError) as caught:
                await ask(lm, Books())
            shown = str(caught.value) + repr(lm)
    assert SECRET not in shown
    assert "signature" not in shown


async def test_added_fields_are_sent_as_they_are_and_a_setting_wins() -> None:
    added = {"provider": {"order": ["a", "b"]}, "temperature": 1.0}
    async with FakeEndpoint(Says("fine")) as fake, client(fake.base_url) as lm:
        sampling = Sampling(temperature=0.5, reasoning_effort="low", added=added)
        await lm.complete("m", ASK, Books(), sampling=sampling)
        await streamed(lm, Books(), sampling=sampling)
    for exchange in fake.log:
        sent = exchange.request
        assert sent["provider"] == {"order": ["a", "b"]}
        assert (sent["temperature"], sent["reasoning_effort"]) == (0.5, "low")


def _run(fake: FakeEndpoint, out: Path, **settings: Any) -> dict[str, Any]:
    result = ask_here(None, out, base_url=fake.base_url, model="m", sub_model="s", **settings)
    assert result.response == "yes", result
    events = journal.read(result.trajectory.parent / "journal.jsonl").events
    [started] = [event for event in events if isinstance(event, RunStarted)]
    return started.settings


def _endpoint() -> FakeEndpoint:
    turn = block("print(context)\nFINAL_VAR(llm_query('say yes'))")
    return FakeEndpoint(lambda request: turn if request.get("stream") else "yes")


def test_settings_name_headers_fields_and_effort(tmp_path: Path) -> None:
    with _endpoint() as fake:
        recorded = _run(
            fake,
            tmp_path / "run",
            headers=HEADERS,
            body={"top_k": 5},
            reasoning_effort="low",
        )
    author, sub = fake.log
    assert (author.request["top_k"], author.request["reasoning_effort"]) == (5, "low")
    assert (sub.request["top_k"], sub.request.get("reasoning_effort")) == (5, None)
    assert {e.headers["api-key"] for e in fake.log} == {SECRET}
    assert (recorded["body"], recorded["reasoning_effort"]) == ({"top_k": 5}, "low")
    kept = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert SECRET.encode() not in kept


def test_the_sub_lms_fields_stand_in_place_of_the_others(tmp_path: Path) -> None:
    with _endpoint() as fake:
        _run(fake, tmp_path / "run", body={"top_k": 5}, sub_body={"seed": 1})
    author, sub = (exchange.request for exchange in fake.log)
    assert ("top_k" in author, "seed" in author) == (True, False)
    assert ("top_k" in sub, "seed" in sub) == (False, True)


def test_another_endpoint_gets_neither_headers_nor_fields(tmp_path: Path) -> None:
    with _endpoint() as fake, _endpoint() as other:
        _run(
            fake,
            tmp_path / "run",
            headers=HEADERS,
            body={"top_k": 5},
            sub_base_url=other.base_url,
        )
    [sub] = other.log
    assert "api-key" not in sub.headers
    assert "top_k" not in sub.request


def test_an_endpoint_that_a_cell_names_gets_no_headers() -> None:
    cell = Layer("--{option}", {"base_url": "http://elsewhere.test/v1"}, Wrote.NOTEBOOK)
    text = '{"api-key": "' + SECRET + '"}'
    force = in_force(layers=[cell], environ={"RLM_HEADERS": text})
    assert force.settings.headers is None
    assert "RLM_HEADERS" in force.withheld["headers"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("headers", f"api-key: {SECRET}", "give a JSON object"),
        ("headers", {"api key": SECRET}, "'api key' is no name"),
        ("headers", {"api-key": f"{SECRET}\n"}, "'api-key' is no text"),
        ("headers", {"api-key": 5}, "'api-key' is no text"),
        ("headers", [SECRET], "give a JSON object"),
        ("body", "[1]", "give a JSON object"),
        ("body", "{", "give a JSON object"),
        ("body", {"messages": []}, "'messages' is no field"),
        ("body", {"stop": {1, 2}}, "give what JSON can say"),
        ("body", {"x": float("nan")}, "give what JSON can say"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_and_no_secret_is_shown(name: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        in_force({name: value}, environ={})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ([{"id": "a"}, {"name": "b"}], ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        ({"models": [{"name": "a:latest"}, {"model": "b"}, {}]}, ["a:latest", "b"]),
    ],
)
def test_names_of_models_are_read_from_lists_of_many_makers(body: Any, names: list[str]) -> None:
    assert chat.model_names(body) == names


@pytest.mark.parametrize("body", [None, {"data": None}, {"object": "list"}, "<html>"])
async def test_an_endpoint_that_lists_no_models_is_said_to_need_a_name(body: Any) -> None:
    class Listless(FakeEndpoint):
        async def answer(self, exchange: Exchange) -> Answer:
            return Answer.json(200, body)

    async with Listless(Says("fine")) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError, match=r"does not list its models.*--model") as caught:
            await lm.models()
    assert "<html>" not in str(caught.value)


async def test_a_list_that_is_not_there_is_said_so_too() -> None:
    async with FakeEndpoint(Says("fine")) as fake, client(f"{fake.base_url}/x?y=1") as lm:
        assert await lm.models() == ["fake-model"]

    class Bare(FakeEndpoint):
        async def answer(self, exchange: Exchange) -> Answer:
            return Answer.json(404, {"error": {"message": "Not Found"}})

    async with Bare(Says("fine")) as bare, client(bare.base_url) as lm:
        with pytest.raises(LMError, match=r"does not list its models \(status 404\): Not Found"):
            await lm.models()
