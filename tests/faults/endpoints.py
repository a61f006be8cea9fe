"""Endpoints that refuse, fail, or talk nonsense."""

from __future__ import annotations

from rlm_kernel.testing import CutStream, EmptyChoice, Garbage, Hang, Refusal, Status

from .running import END, KEY, Case, cell

NO_ENDPOINT = {"RLM_BASE_URL": "", "RLM_MODEL": "", "RLM_API_KEY": ""}
ASK = """try:
    print(llm_query("what is " + context))
except Exception as error:
    print(type(error).__name__, error)"""
ASK_MANY = """replies = llm_query_batched(["good", "bad", "good " + context])
print(replies)"""


def _bad_of_many(prompt: str) -> str | Status:
    return Status(400, {"error": {"message": "not this one"}}) if prompt == "bad" else "fine"


CASES = [
    Case("no key, no embedded LM", "no LM is set", status=2, environ=NO_ENDPOINT, run=False),
    Case("a key refused, and echoed by the endpoint", "refused the key", status=1,
         turns=(Status(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),)),
    Case("a key that cannot be sent", "the API key holds a character", status=2,
         environ={"RLM_API_KEY": f"{KEY} ü"}, run=False),
    Case("an address that is none", "give an address like", status=2,
         arguments=("--base-url", "localhost:8000"), run=False),
    Case("an endpoint that is down", "no connection to", status=1,
         environ={"RLM_BASE_URL": "http://127.0.0.1:9/v1"}),
    Case("down, and no model named", "no connection to", status=1, run=False,
         environ={"RLM_BASE_URL": "http://127.0.0.1:9/v1", "RLM_MODEL": ""}, quick=False),
    Case("a host that does not exist", "no connection to", status=1, quick=False,
         environ={"RLM_BASE_URL": "http://no-such-host.invalid/v1"}),
    Case("slow", "in time", status=1, turns=(Hang(),), environ={"RLM_TIMEOUT_S": "1"}),
    Case("429, Retry-After 1, then a reply", "", turns=([Status(429, retry_after=1), END],),
         quick=False),
    Case("429 for ever", "took no more requests", status=1, turns=(Status(429, retry_after=0),),
         quick=False),
    Case("500 once, then a reply", "", turns=([Status(500), END],), quick=False),
    Case("500 for ever", "failed to serve", status=1, turns=(Status(500),), quick=False),
    Case("400", "refused the request", status=1, turns=(Status(400),), quick=False),
    Case("cuts the stream once", "", turns=([CutStream(12, END), END],), quick=False),
    Case("cuts the stream for ever", "ended its reply too early", status=1,
         turns=(CutStream(12, END),)),
    Case("sends garbage", "no chat completion", status=1, turns=(Garbage(),), quick=False),
    Case("an empty choice", "replied with no text", status=1, turns=(EmptyChoice(),), quick=False),
    Case("no choices at all", "replied with no text", status=1, quick=False,
         turns=(EmptyChoice(choices=False),)),
    Case("a refusal", "refused to answer", status=1, turns=(Refusal(),)),
    Case("a content filter", "refused to answer", status=1, turns=(Refusal(filtered=True),),
         quick=False),
    Case("an unknown model", "does not know the model 'no-such'", status=1,
         turns=(Status(404),), arguments=("--model", "no-such")),
    Case("no credit", "quota", status=1, quick=False, turns=(
        Status(429, {"error": {"message": "You exceeded your quota", "code":
               "insufficient_quota"}}),)),
    Case("a sub-call answered 500", "server failed", "code", turns=(cell(ASK), END),
         sub=Status(500)),
    Case("a sub-call refused", "refused to answer", "code", turns=(cell(ASK), END),
         sub=Refusal(), quick=False),
    Case("one of a batch answered 400", "1 of 3 sub-LM calls of this cell failed", "LM",
         turns=(cell(ASK_MANY), END), sub=_bad_of_many),
]  # fmt: skip
