"""Requests that failed, and the causes: what an endpoint says counts more than its status, which
may be 200. Nothing here does any I/O."""

from __future__ import annotations

import re
from typing import Any

from ..errors import Cause
from . import usage
from .said import DEPTH, INSIDE, codes_in, delay_in, number_of, page_of, said_in

_GOOD = ("ok", "success")
LATER_S = 900.0
"""A longer wait than an endpoint may ask for, if it is to be asked again."""
_STATUSES = ("code", "status", "statusCode", "status_code", "error_code", "http_status")

_WINDOW = re.compile(
    r"context[_ ]?(?:length|window|size|limit)|maximum (?:prompt|input|sequence|context)"
    r"|(?:prompt|input|request|message)s? (?:is|are)? ?too (?:long|large)"
    r"|(?:input|prompt) (?:tokens?|length)\b.{0,60}(?:exceed|should be|longer than)"
    r"|exceed\w*.{0,40}(?:number of tok|token limit|max(?:imum)? (?:length|context)|max_model_len)"
    r"|too many (?:input )?tokens|inputs?`? (?:tokens|must have less)|string too long"
    r"|token count.{0,60}exceeds|reduce (?:the length|your (?:message|prompt))"
    r"|exceeds the limit of \d+ *tok|longer than the model",
    re.IGNORECASE | re.DOTALL,
)
NO_MODEL = re.compile(
    r"model_not_found|invalid[_ ]model|not a valid model|unknown model|no such model"
    r"|model\b.{0,80}(?:not found|not exist|not available|unavailable|decommissioned)"
    r"|(?:not|n't) have access to (?:the )?model|no endpoints found",
    re.IGNORECASE | re.DOTALL,
)
"""Words that name a model as what is not there."""
NOT_THERE = (404, 405)
"""Statuses of an address that serves nothing, or of a model that is not there."""
_REFUSED = re.compile(
    r"content_filter|content_policy|content management policy|content policy|flagged"
    r"|moderation",
    re.IGNORECASE,
)
_MONEY = re.compile(
    r"insufficient[_ ](?:quota|balance|credit|fund)|arrear|top up|recharge|prepaid"
    r"|(?:credit|balance)s?\b.{0,60}\b(?:low|exhaust|insufficient|empty|run out|deplet|negative)"
    r"|(?:more|not enough|no|out of) credits?",
    re.IGNORECASE | re.DOTALL,
)
_PERHAPS_MONEY = re.compile(r"exceeded your current quota|billing|payment", re.IGNORECASE)
"""Said of limits that pass, too."""
_KEY = re.compile(
    r"api[_ -]?key|\bkey\b|token|credential|authenti|authoriz|login|log in|bearer|subscription",
    re.IGNORECASE,
)
_NOT_THE_KEY = re.compile(
    r"country|region|territory|location|not allowed|not permitted|forbidden by|blocked|denied by"
    r"|firewall|cloudflare|\bip\b|model\b|scope|disabled|verif",
    re.IGNORECASE,
)


class Failure(Exception):
    """One request that failed. ``cause`` is that of ``LMError``, ``said`` what the endpoint
    said about it; ``again`` whether another try may help, ``wait_s`` how long it asked to wait;
    ``reported`` what it used, and ``charged`` false where no work was done."""

    def __init__(
        self, cause: Cause, said: str = "", *, again: bool = False, status: int | None = None
    ) -> None:
        super().__init__(cause, said)
        self.cause = cause
        self.said = said
        self.again = again
        self.status = status
        self.clues = said
        """Its words and its codes, in which its cause is looked for."""
        self.wait_s: float | None = None
        self.reported: usage.Reported | None = None
        self.charged = True

    def wait(self, seconds: float | None) -> None:
        """Note how long the endpoint asks to wait: for too long a time there is no other try."""
        self.wait_s = seconds if seconds is not None else self.wait_s
        if self.wait_s is not None and self.wait_s > LATER_S:
            self.again = False


def failure(status: int, body: object) -> Failure:
    """Return the failure that an error status and its body mean."""
    page = page_of(body) if isinstance(body, str) else None
    said = page or said_in(body)
    codes = " ".join(codes_in(body))
    delay = delay_in(body, said)
    cause, again = _cause(status, f"{codes} {said}", page is not None, delay is not None)
    found = Failure(cause, said, again=again, status=status)
    found.clues = f"{codes} {said}"
    found.reported = usage.reported(body)
    if cause in ("rate_limit", "server"):
        found.wait(delay)
    return found


def sent_as_success(body: object) -> Failure | None:
    """Return the failure that a body or an event with status 200 means; None for all others."""
    whole = _first(body)
    if not isinstance(whole, dict):
        return None
    choice = _first(whole.get("choices"))
    if isinstance(choice, dict) and choice.get("error"):
        return sent_as_error({"error": choice["error"]})
    return sent_as_error(whole) if _is_error(whole) else None


def sent_as_error(body: object) -> Failure:
    """Return the failure of an error that came without a status."""
    status = _status(body)
    found = failure(status or 500, body)
    found.status, found.charged = status, False
    return found


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _is_error(body: dict[str, Any]) -> bool:
    if body.get("error"):
        return True
    if body.get("choices"):
        return False
    named = {str(body.get(name)).lower() for name in ("object", "type")}
    if "error" in named or body.get("success") is False or body.get("errors"):
        return True
    inner = body.get("base_resp")
    if isinstance(inner, dict) and inner.get("status_code") not in (0, None):
        return True
    coded = any((number_of(body.get(name)) or 0) >= 300 for name in _STATUSES)
    return bool(body.get("detail")) or ((coded or _is_named(body)) and bool(said_in(body)))


def _is_named(body: dict[str, Any]) -> bool:
    """Return whether a body is an error by a code in words beside its message."""
    code = body.get("code") or body.get("error_code")
    in_words = isinstance(code, str) and number_of(code) is None and code.lower() not in _GOOD
    return in_words and any(isinstance(body.get(name), str) for name in ("message", "msg"))


def _status(body: object, depth: int = DEPTH) -> int | None:
    """Return the HTTP status that an error says it stands for."""
    if not isinstance(body, dict) or depth == 0:
        return None
    for name in _STATUSES:
        number = number_of(body.get(name)) or 0.0
        # Some number the errors of each status: 40303.
        number = number // 100 if 40_000 <= number < 60_000 else number
        if 400 <= number < 600:
            return int(number)
    inner = (_status(body.get(name), depth - 1) for name in INSIDE)
    return next((status for status in inner if status is not None), None)


def _cause(status: int, text: str, is_page: bool, is_delay: bool) -> tuple[Cause, bool]:
    """Return the cause and whether another try may help: what is said counts more than a status
    that has several meanings."""
    if status != 401 and not is_page and _WINDOW.search(text):
        return "window", False
    if status == 413:
        return "window", False
    if status == 402 or (status == 500 and _MONEY.search(text)):
        return "money", False
    if status in (400, 403, 429) and _is_money(text, is_delay):
        return "money", False
    if status in (401, 403, 407, 511):
        return _unwelcome(status, text, is_page)
    if status in (400, 451) and _REFUSED.search(text):
        return "refusal", False
    if status in NOT_THERE or (status in (400, 422) and NO_MODEL.search(text)):
        return "model", False
    if status == 400 and "api_key_invalid" in text.lower().replace(" ", "_"):
        return "auth", False
    if status == 429:
        return "rate_limit", True
    if status == 408:
        return "timeout", True
    if status == 409 or (status >= 500 and status != 501):
        return "server", True
    return "bad_request", False


def _is_money(text: str, is_delay: bool) -> bool:
    if _MONEY.search(text):
        return True
    return bool(_PERHAPS_MONEY.search(text)) and not is_delay and "rate limit" not in text.lower()


def _unwelcome(status: int, text: str, is_page: bool) -> tuple[Cause, bool]:
    if (is_page and status != 401) or status == 511:
        return "forbidden", False
    if status == 403 and NO_MODEL.search(text):
        return "model", False
    if status == 403 and _REFUSED.search(text):
        return "refusal", False
    if status == 403 and _NOT_THE_KEY.search(text) and not _KEY.search(text):
        return "forbidden", False
    return "auth", False
