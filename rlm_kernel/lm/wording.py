"""The words of an ``LMError``: for the human who can mend it, and for the LM whose cell asked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from ..errors import LMError
from .failures import LATER_S, NO_MODEL, NOT_THERE, Failure

SAID_CHARS = 300
MODELS_SHOWN = 5
_ADDRESS = re.compile(r"https?://\S+")


def lm_error(
    failure: Failure,
    said: str,
    *,
    url: str,
    model: str = "",
    attempts: int = 1,
    waited_s: float = 0.0,
    names: Sequence[str] = (),
) -> LMError:
    """Return the error of a call that is given up: what happened, what the endpoint said, what to
    do.

    ``said`` is the failure's text made safe to show; ``names`` are models that there are.
    """
    kind = _kind(failure, model, names)
    happened, _, advice = _WORDS[kind].partition(" | ")
    told, _, hint = _TOLD[kind].partition(" | ")
    status = f" (status {failure.status})" if failure.status else ""
    heard = f": {said[:SAID_CHARS].rstrip('. ')}" if said else ""
    has = f" It has: {_named(model, names)}." if names and kind == "model" else ""
    known = {
        "url": url,
        "model": model,
        "tries": "1 try" if attempts == 1 else f"{attempts} tries",
        "waited": f"{waited_s:.1f}",
        "wait": _span(failure.wait_s or 0.0),
    }
    # Only what the code in a cell can mend is said there in the endpoint's words.
    quoted = _ADDRESS.sub("[address]", heard) if kind in _MENDABLE else ""
    return LMError(
        f"{happened.format(**known)}{status}{heard}.{has} {advice.format(**known)}".rstrip(),
        cause="address" if kind in ("address", "nowhere") else failure.cause,
        attempts=attempts,
        status=failure.status,
        may_pass=kind != "later",
        told=f"{told.format(**known)}{quoted}.{has} {hint.format(**known)}".rstrip(),
    )


def _kind(failure: Failure, model: str, names: Sequence[str]) -> str:
    """Return which words fit: the cause, or what is known beyond it."""
    if failure.cause == "address":
        return "no_list"
    if failure.cause == "model":
        return _kind_of_unknown(failure, model, names)
    if failure.cause == "window" and failure.status == 413:
        return "size"
    if failure.cause in ("rate_limit", "server") and (failure.wait_s or 0.0) > LATER_S:
        return "later"
    return failure.cause


def _kind_of_unknown(failure: Failure, model: str, names: Sequence[str]) -> str:
    """Return which words fit a model that is not known, or an address."""
    named = failure.status not in NOT_THERE or "model" in failure.clues.lower()
    named = named or NO_MODEL.search(failure.clues) is not None
    if model in names:
        return "unserved" if named else "address"
    return "model" if named or names else "nowhere"


def _named(model: str, names: Sequence[str]) -> str:
    """The models that there are, those with a name like the one asked for first."""
    nearest = sorted(names, key=lambda n: -difflib.SequenceMatcher(None, n, model).ratio())
    shown, more = nearest[:MODELS_SHOWN], len(names) - MODELS_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _span(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


# What happened | what to do. The endpoint's own words go in between.
_WORDS = {
    "unreachable": "no connection to {url} after {tries} | Start the server, or set RLM_BASE_URL "
    "(or OPENAI_BASE_URL) to one that runs.",
    "certificate": "no safe connection to {url} | Where its certificate is your own or your "
    "company's, set SSL_CERT_FILE to a file with the one that signed it; else mend the address.",
    "timeout": "no reply from {url} in time after {tries} | Allow more time by RLM_TIMEOUT_S, or "
    "ask for less.",
    "auth": "{url} refused the key | Set RLM_API_KEY (or OPENAI_API_KEY) to a key that is valid "
    "there; in a notebook %rlm key asks for one.",
    "forbidden": "{url} does not let the request in | What guards it refused, not a model: see "
    "whether it may be reached from here, and whether the key may do this there.",
    "money": "{url} wants to be paid first | Pay there, or use another account or endpoint.",
    "model": "{url} does not know the model {model!r} | Set RLM_MODEL or RLM_SUB_MODEL to a model "
    "that it has, or check the address (most end in /v1).",
    "unserved": "{url} lists the model {model!r} and does not serve it | Set RLM_MODEL or "
    "RLM_SUB_MODEL to another.",
    "no_list": "{url} does not list its models | Name one by --model or RLM_MODEL, or check the "
    "address (most end in /v1).",
    "nowhere": "{url} has no chat completions at this address, or no model {model!r} | Check "
    "RLM_BASE_URL (or OPENAI_BASE_URL), most end in /v1, and RLM_MODEL or RLM_SUB_MODEL.",
    "address": "{url} has the model {model!r}, but no chat completions at this address | Check "
    "RLM_BASE_URL (or OPENAI_BASE_URL): most end in /v1.",
    "window": "the prompt does not fit the context window of {model!r} | Send it in smaller "
    "pieces, or use a model with a larger window.",
    "size": "the prompt is too large for {url} | Send it in smaller pieces.",
    "bad_request": "{url} refused the request | Change what it complains of: the model, "
    "or a setting (`rlm doctor` shows them).",
    "rate_limit": "{url} took no more requests after {tries} and {waited} s of waiting | Try "
    "later, or allow fewer in flight by RLM_MAX_IN_FLIGHT.",
    "later": "{url} takes no more requests for {wait} | Try again after that, or use another "
    "endpoint.",
    "server": "{url} failed to serve the request in {tries} | Try later, or see the log of the "
    "server.",
    "cut": "{url} ended its reply too early in {tries} | Try later, or see the log of the server.",
    "garbage": "{url} sent something that is no chat completion in {tries} | Check that "
    "RLM_BASE_URL (or OPENAI_BASE_URL) is an OpenAI-compatible endpoint.",
    "endless": "{url} sent a reply without an end | Ask for less, bound replies by "
    "RLM_OUTPUT_TOKENS, or allow more time by RLM_TIMEOUT_S.",
    "proxy": "no way to {url} in {tries} | Start the proxy or mend its login, take the variable "
    "away, or name the host in no_proxy.",
    "redirect": "{url} refers to another address, which prompts are not sent to | Set "
    "RLM_BASE_URL (or OPENAI_BASE_URL) to that address if it is the right one.",
    "empty": "{model!r} replied with no text in {tries} | Change the prompt or the model.",
    "refusal": "{model!r} refused to answer | Change the prompt or the model.",
}

_NO_USE = "Asking again does not help."
_LATER = "It was asked again already; the same may work later."
_MENDABLE = ("window", "size", "bad_request", "refusal", "empty", "endless")
# The same for the LM, which can change a prompt and its way, and no setting.
_TOLD = {
    "unreachable": f"the LM could not be reached | {_LATER}",
    "certificate": f"the LM could not be reached | {_NO_USE}",
    "timeout": "the LM did not reply in time | Ask for less in one prompt.",
    "auth": f"the LM is closed to this run | {_NO_USE}",
    "forbidden": f"the LM is closed to this run | {_NO_USE}",
    "money": f"the LM is closed to this run | {_NO_USE}",
    "model": "there is no model {model!r} | Leave `model` out, or name one that there is.",
    "unserved": "there is no model {model!r} | Leave `model` out, or name one that there is.",
    "no_list": f"the LM is closed to this run | {_NO_USE}",
    "nowhere": "there is no model {model!r} | Leave `model` out, or name one that there is.",
    "address": f"the LM is closed to this run | {_NO_USE}",
    "window": "the prompt does not fit the LM's context window | Send it in smaller pieces.",
    "size": "the prompt is too large for the LM | Send it in smaller pieces.",
    "bad_request": f"the LM refused the request | {_NO_USE}",
    "rate_limit": f"the LM takes no more requests now | {_LATER}",
    "later": f"the LM takes no more requests for {{wait}} | {_NO_USE}",
    "server": f"the LM's server failed | {_LATER}",
    "cut": f"the LM's reply ended too early | {_LATER}",
    "garbage": f"the LM's server sent no reply | {_LATER}",
    "endless": "the LM's reply had no end | Ask for less in one prompt.",
    "proxy": f"the LM could not be reached | {_LATER}",
    "redirect": f"the LM is closed to this run | {_NO_USE}",
    "empty": "the LM replied with no text | Change the prompt.",
    "refusal": "the LM refused to answer | Change the prompt.",
}
