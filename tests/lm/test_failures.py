"""Error bodies of many makers: the cause that is meant, and the words that are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from callers import Books, Says, client, completed, ways

from rlm_kernel.errors import LMError
from rlm_kernel.lm.failures import failure, sent_as_success
from rlm_kernel.lm.said import delay_in
from rlm_kernel.testing import FakeEndpoint, Status

pytestmark = pytest.mark.anyio
PAGE = (
    "<!DOCTYPE html><html><head><title>Just a moment...</title><style>p {color: red}</style>"
    "</head><body><h1>Attention</h1><script>var x = 1</script><p>Enable cookies</p></body></html>"
)
NGINX = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body></html>"
)
GOOGLE_KEY = [
    {
        "error": {
            "code": 400,
            "message": "API key not valid. Please pass a valid API key.",
            "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}],
        }
    }
]
GOOGLE_LIMIT = [
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan and billing.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/RetryInfo", "retryDelay": "34s"}],
        }
    }
]
CAUSES: list[tuple[int, Any, str, str]] = [
    # windows
    (400, {"error": {"message": "This model's maximum context length is 8192 tokens."}},
     "window", "maximum context length"),
    (400, {"error": {"message": "Range of input length should be [1, 98304]",
                     "code": "invalid_parameter_error"}}, "window", "Range of input length"),
    (422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
           "error_type": "validation"}, "window", "must have less than 4096"),
    (413, {"error": {"message": "Request too large for model `x` on tokens per minute (TPM): Limit "
                     "6000, Requested 8123", "code": "rate_limit_exceeded"}}, "window", "8123"),
    (413, NGINX.format("413 Request Entity Too Large"), "window", "413 Request Entity Too Large"),
    (400, {"error": {"message": "the request exceeds the available context size",
                     "type": "exceed_context_size_error"}}, "window", "available context size"),
    (400, {"object": "error", "message": "The input (9001 tokens) is longer than the model's "
           "context length (8192 tokens).", "code": 400}, "window", "9001 tokens"),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
           "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, "window", "210000"),
    (400, {"message": "Input is too long for requested model."}, "window", "too long"),
    (400, {"error": {"message": "This model's maximum prompt length is 131072 but the request "
                     "contains 537812 tokens."}}, "window", "537812"),
    (400, {"error": {"message": "Your request exceeded model token limit: 9"}}, "window", "9"),
    (400, [{"error": {"message": "The input token count (1200000) exceeds the maximum number of "
                      "tokens allowed (1048576)."}}], "window", "1200000"),
    (400, {"error": {"message": "Input tokens exceed the configured limit of 272000 tokens."}},
     "window", "272000"),
    (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": json.dumps({"error": {"message": "prompt is too long: 9 tokens"}}),
        "provider_name": "P"}}}, "window", "Provider returned error: prompt is too long"),
    # keys, guards, money
    (401, {"error": {"message": "Incorrect API key provided"}}, "auth", "Incorrect API key"),
    (400, GOOGLE_KEY, "auth", "API key not valid"),
    (403, {"error": {"message": "invalid token"}}, "auth", "invalid token"),
    (401, NGINX.format("401 Authorization Required"), "auth", "401 Authorization Required"),
    (403, '<?xml version="1.0"?><Error><Message>Access Denied</Message></Error>', "forbidden",
     "Access Denied"),
    (403, PAGE, "forbidden", "Just a moment...: Attention Enable cookies"),
    (403, NGINX.format("403 Forbidden"), "forbidden", "a web page: 403 Forbidden"),
    (403, {"error": {"code": "unsupported_country_region_territory",
                     "message": "Country, region, or territory not supported"}},
     "forbidden", "Country"),
    (403, {"error": {"message": "Project `p` does not have access to model `m`",
                     "code": "model_not_found"}}, "model", "does not have access"),
    (403, {"error": {"message": "Your input was flagged", "metadata": {"reasons": ["x"]}}},
     "refusal", "flagged"),
    (402, {"error": {"message": "Insufficient Balance"}}, "money", "Insufficient Balance"),
    (402, {"error": {"message": "This request requires more credits"}}, "money", "more credits"),
    (429, {"error": {"message": "You exceeded your current quota, please check your plan and "
                     "billing details.", "code": "insufficient_quota"}}, "money", "quota"),
    (400, {"type": "error", "error": {"message": "Your credit balance is too low to access the "
                                      "API."}}, "money", "credit balance"),
    (403, {"error": {"message": "Your account is in arrears"}}, "money", "arrears"),
    # limits and failures that pass
    (429, GOOGLE_LIMIT, "rate_limit", "You exceeded your current quota"),
    (429, {"error": {"message": "Rate limit reached for m: Limit 3, Used 3. Please try again in "
                     "20s. You can increase your rate limit by adding a payment method to your "
                     "account at https://platform.openai.com/account/billing."}},
     "rate_limit", "Rate limit reached"),
    (524, PAGE, "server", "Just a moment"),
    (502, NGINX.format("502 Bad Gateway"), "server", "a web page: 502 Bad Gateway"),
    (503, {"detail": "overloaded"}, "server", "overloaded"),
    (500, "Internal Server Error", "server", "Internal Server Error"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
     "server", "Overloaded"),
    # requests
    (422, {"detail": [{"loc": ["body", "n"], "msg": "Extra inputs are not permitted",
                       "input": "x" * 5000}]}, "bad_request", "body.n: Extra inputs are not"),
    (422, {"object": "error", "message": json.dumps({"detail": [{"loc": ["body", "n"],
           "msg": "Extra"}]}), "code": "1000"}, "bad_request", "body.n: Extra"),
    (400, {"success": False, "errors": [{"code": 7003, "message": "Could not route"}],
           "result": None}, "bad_request", "Could not route"),
    (400, {"code": "InvalidParameter", "msg": "no such field"}, "bad_request", "no such field"),
    (400, {"title": "Bad Request", "status": 400, "detail": "no such field"}, "bad_request",
     "no such field"),
    (400, {"error": {"message": "The model `x` has been decommissioned"}}, "model", "decommission"),
    (404, {"error": {"message": "The model `x` does not exist"}}, "model", "does not exist"),
    (404, {"error": "model 'x' not found, try pulling it first"}, "model", "try pulling"),
    (405, {"detail": "Method Not Allowed"}, "model", "Method Not Allowed"),
    (501, {"error": {"message": "streaming is not implemented"}}, "bad_request", "streaming"),
    (400, {"error": {"message": "no", "code": "content_filter"}}, "refusal", "no"),
    (400, {"error": {"code": "x"}}, "bad_request", "'code': 'x'"),
    (400, None, "bad_request", "None"),
    (400, [], "bad_request", "[]"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "cause", "said"), CAUSES)
def test_an_error_has_its_cause_and_its_own_words_in_one_line(
    status: int, body: Any, cause: str, said: str
) -> None:
    found = failure(status, body)
    assert found.cause == cause
    assert said in found.said
    assert "\n" not in found.said
    assert "<" not in found.said


@pytest.mark.parametrize(
    ("body", "cause", "said"),
    [
        ({"object": "error", "message": "maximum context length is 8", "code": 400}, "window", "8"),
        ({"code": 40303, "object": "error", "message": "context length 9"}, "window", "9"),
        ({"error_code": 50001, "text": "**NETWORK ERROR**"}, "server", "**NETWORK ERROR**"),
        ({"error": "overloaded"}, "server", "overloaded"),
        ({"error": {"code": 429, "message": "slow down"}}, "rate_limit", "slow down"),
        ({"detail": "Not authenticated", "status": 401}, "auth", "Not authenticated"),
        (
            {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "busy"}},
            "server",
            "busy",
        ),
        ([{"error": {"code": 503, "message": "overloaded"}}], "server", "overloaded"),
        ({"type": "error", "error": {"type": "x", "message": "m"}}, "server", "m"),
        ({"choices": [{"error": {"code": 429, "message": "m"}}]}, "rate_limit", "m"),
        ({"code": "1302", "msg": "busy"}, "server", "busy"),
        ({"code": "InvalidParameter", "message": "Input is too long"}, "window", "too long"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "money", "in"),
    ],
)
def test_an_error_that_was_sent_as_a_success_is_one_all_the_same(
    body: Any, cause: str, said: str
) -> None:
    found = sent_as_success(body)
    assert found is not None
    assert (found.cause, found.said) == (cause, said) or said in found.said
    assert found.cause == cause


def test_a_status_that_was_not_sent_is_not_shown() -> None:
    for body, status in (({"error": "overloaded"}, None), ({"error": {"code": 503}}, 503)):
        found = sent_as_success(body)
        assert found is not None
        assert found.status == status


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"type": "ping"},
        {"usage": {}},
        {"choices": [], "error": None},
        {"choices": [{}], "code": 0, "message": ""},
        {"base_resp": {"status_code": 0, "status_msg": "success"}},
        {"object": "progress", "message": "still at it"},
        {"code": 200, "message": "success"},
        {"code": "OK", "message": "still at it"},
        {"status": "working", "message": "still at it"},
    ],
)
def test_what_is_no_error_is_none(body: Any) -> None:
    assert sent_as_success(body) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Please try again in 1m26.4s.", 86.4),
        ("try again in 20ms", 0.02),
        ("Try again in 2h3m", 7380.0),
        ("retry after 30 seconds", 30.0),
        ("Please retry in 5 minutes", 300.0),
        ("Please try again later", None),
        ("", None),
    ],
)
def test_a_wait_that_is_asked_for_in_words_is_read(said: str, seconds: float | None) -> None:
    assert delay_in({}, said) == seconds


def test_a_wait_in_the_details_of_an_error_is_read() -> None:
    assert failure(429, GOOGLE_LIMIT).wait_s == 34.0


@ways
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Status(403, PAGE), ["does not let the request in (status 403)", "a web page: Just a"]),
        (Status(402), ["wants to be paid first (status 402)"]),
        (Status(413, NGINX.format("413 Request Entity Too Large")), ["too large for http"]),
        (Status(429, retry_after=43200), ["takes no more requests for 12 hours"]),
        (Status(404, NGINX.format("404 Not Found")), ["no chat completions at this address"]),
        (Status(404, {"error": "no such model"}), ["lists the model 'fake-model' and does not"]),
        (Status(404, {"error": "No endpoints found."}), ["lists the model 'fake-model' and does"]),
        (Status(405), ["no chat completions at this address (status 405)"]),
    ],
    ids=repr,
)
async def test_the_words_say_what_is_true(ask: Any, fault: Any, words: list[str]) -> None:
    async with FakeEndpoint(Says(fault)) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError) as caught:
            await ask(lm, Books())
    for word in words:
        assert word in str(caught.value)
    assert "refused the key" not in str(caught.value)
    assert "does not know the model" not in str(caught.value)
    assert caught.value.attempts == 1
    assert not caught.value.may_pass


async def test_no_wait_follows_the_last_try(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("rlm_kernel.lm.client.sleep", sleep)
    said = Says(Status(429, retry_after=20))
    async with FakeEndpoint(said) as fake, client(fake.base_url, retries=1) as lm:
        with pytest.raises(LMError, match=r"after 2 tries and 20\.0 s of waiting"):
            await completed(lm, Books())
    assert waits == [20.0]


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500])
async def test_an_lm_is_told_no_address_and_nothing_that_only_a_human_can_mend(status: int) -> None:
    body = {"error": {"message": "see https://example.test/keys, and pay"}}
    said = Says(Status(status, body))
    async with FakeEndpoint(said) as fake, client(fake.base_url, retries=0) as lm:
        with pytest.raises(LMError) as caught:
            await completed(lm, Books())
    for word in ("http", "RLM_", "OPENAI_", "example.test"):
        assert word not in caught.value.told
    assert any(word in caught.value.told for word in ("sking again", "later", "model"))


async def test_an_lm_is_told_which_models_there_are() -> None:
    names = ("gpt-large", "gpt-small", *(f"other-{n}" for n in range(9)))
    said = Says(Status(404))
    async with FakeEndpoint(said, models=names) as fake, client(fake.base_url) as lm:
        with pytest.raises(LMError) as caught:
            await lm.complete("gpt-smol", [], Books(), sampling=_none())
    assert "there is no model 'gpt-smol'" in caught.value.told
    assert "It has: gpt-small, gpt-large" in caught.value.told
    assert "and 6 more" in caught.value.told


def _none() -> Any:
    from rlm_kernel.lm.client import Sampling

    return Sampling()
