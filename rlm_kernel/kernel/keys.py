"""Keys in a notebook: asked for at a prompt, kept in memory, and refused where they would be kept
elsewhere."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable

from ..errors import UsageError
from ..lm.transport import checked_key
from ..record.filters import for_terminal
from ..settings.resolved import Resolved

AskSecret = Callable[[str], Awaitable[str]]
"""Shows a prompt and returns the line that is typed, which nothing shows."""
FORGET = "forget"
SUB = "sub"
LEAST_CHARS = 8
"""The shortest text that is taken for a key when it stands in a cell."""
NOT_TYPED = (
    "%rlm key needs a front end that takes input. Where there is none, RLM_API_KEY_FILE names a "
    "file with the key, and RLM_API_KEY_COMMAND a command that writes it"
)
PASTED = (
    "the cell was not run: it holds a key, which would stand in the notebook and in records. "
    "Take it out, clear the cell's history, and let %rlm key ask for it"
)
_OURS = r"\bRLM_(?:SUB_)?(?:API_KEY|HEADERS)\b"
_ASSIGNED = re.compile(
    rf"""{_OURS}["']?[ \t]*\]?[ \t]*[=:,][ \t]*(?P<quote>["'])[^"'\n]{{6,}}(?P=quote)"""
    rf"""|^[ \t]*[%!].*?{_OURS}(?:[ \t]*=[ \t]*|[ \t]+)[^\s${{]{{6,}}""",
    re.MULTILINE,
)


def refuse_pasted(code: str, secrets: Iterable[str]) -> None:
    """Raise ``UsageError`` for a cell that holds one of these secrets, or sets one of ours."""
    known = [secret for secret in secrets if len(secret) >= LEAST_CHARS]
    if any(secret in code for secret in known) or _ASSIGNED.search(code):
        raise UsageError(PASTED)


def secrets_of(force: Resolved) -> list[str]:
    """Return the keys that are in force."""
    return [key for key in (force.settings.api_key, force.settings.sub_api_key) if key]


class Keys:
    """The keys that were typed, each for the endpoint that was in force then; in memory alone."""

    def __init__(self) -> None:
        self.by_endpoint: dict[str, str] = {}

    async def change(self, what: str | None, force: Resolved, ask: AskSecret | None) -> str:
        """Ask for the key of the endpoint in force, or of the sub-LM's, or forget all; return what
        was done in words. Raises ``UsageError``."""
        if what == FORGET:
            self.by_endpoint.clear()
            return "The keys that were typed are forgotten."
        endpoint = force.settings.base_url or ""
        if what == SUB:
            endpoint = force.settings.sub_base_url or ""
            if not endpoint:
                raise UsageError("the sub-LM has no endpoint of its own: %rlm sub-base-url URL")
        if ask is None:
            raise UsageError(NOT_TYPED)
        where = for_terminal(endpoint) or "OpenAI (no endpoint is named)"
        key = checked_key(await ask(f"Key for {where}: "))
        if not key:
            raise UsageError("no key was typed: all is as it was")
        self.by_endpoint[endpoint] = key
        return f"The key for {where} is kept in this kernel's memory until it ends."
