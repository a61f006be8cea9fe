"""Replies that should fit a JSON Schema: asked for where the endpoint can, and told where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from callers import ASK, Books, Says, client

from rlm_kernel.events import Usage
from rlm_kernel.lm.client import Client, Reply, Sampling
from rlm_kernel.testing import FakeEndpoint, Status

pytestmark = pytest.mark.anyio
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
AGES = {"type": "array", "items": {"type": "integer"}}


async def asked(lm: Client, schema: dict[str, Any] | None, books: Books | None = None) -> Reply:
    return await lm.complete("m", ASK, books or Books(), sampling=Sampling(schema=schema))


def refusing(message: str, when: Callable[[dict[str, Any]], bool] = bool) -> Any:
    """An endpoint that refuses schemas with a message, those for which ``when`` is true."""

    def reply(request: dict[str, Any]) -> Any:
        form = request.get("response_format")
        if form and when(form["json_schema"]["schema"]):
            return Status(400, {"error": {"message": message}})
        return "{}"

    return reply


async def test_a_schema_is_sent_in_the_form_that_endpoints_know() -> None:
    async with FakeEndpoint(Says("{}")) as fake, client(fake.base_url) as lm:
        reply = await asked(lm, NAME)
        plain = await asked(lm, None)
    assert (reply.constrained, plain.constrained) == (True, False)
    form = fake.log[0].request["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == NAME
    assert "response_format" not in fake.log[1].request


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({**NAME, "additionalProperties": False}, True),
        (NAME, False),
        ({**NAME, "additionalProperties": False, "required": []}, False),
        ({"type": "object"}, False),
        (AGES, True),
        ({"anyOf": [{"type": "integer"}, NAME]}, False),
    ],
)
async def test_a_schema_is_strict_where_no_property_may_lack_or_be_added(
    schema: dict[str, Any], strict: bool
) -> None:
    async with FakeEndpoint(Says("{}")) as fake, client(fake.base_url) as lm:
        await asked(lm, schema)
    assert fake.log[0].request["response_format"]["json_schema"]["strict"] is strict


@pytest.mark.parametrize(
    "message",
    [
        "This response_format type is unavailable now",
        "'response_format.type' must be 'text'",
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported here",
        "Structured outputs are not enabled",
    ],
)
async def test_an_endpoint_without_schemas_is_asked_for_one_once(message: str) -> None:
    books = Books()
    async with FakeEndpoint(refusing(message)) as fake, client(fake.base_url, retries=0) as lm:
        replies = [await asked(lm, schema, books) for schema in (NAME, AGES, NAME)]
    assert [e.status for e in fake.log] == [400, 200, 200, 200]
    assert [reply.constrained for reply in replies] == [False] * 3
    assert replies[0].adjustments == ("no response_format",)
    assert books.usage.requests == 4


async def test_a_schema_that_is_refused_itself_does_not_stop_others() -> None:
    message = "Invalid schema for response_format 'reply': schema must be of type object"
    lists = refusing(message, lambda schema: schema == AGES)
    async with FakeEndpoint(lists) as fake, client(fake.base_url, retries=0) as lm:
        replies = [await asked(lm, schema) for schema in (AGES, NAME, AGES)]
    assert [e.status for e in fake.log] == [400, 200, 200, 200]
    assert [reply.constrained for reply in replies] == [False, True, False]


async def test_what_has_nothing_to_do_with_the_schema_is_an_error_as_ever() -> None:
    said = Says(Status(429), "{}")
    async with FakeEndpoint(said) as fake, client(fake.base_url) as lm:
        reply = await asked(lm, NAME)
    assert reply.constrained
    assert reply.usage == Usage(2, 3, 1, unpriced=1)
    assert [e.status for e in fake.log] == [429, 200]
