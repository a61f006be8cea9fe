"""The error tree. The class says who can mend it.

``UsageError`` and its children: the caller (a wrong option, a missing context, no LM).
``CallRefused``: the code in a cell (a prompt too long, a wrong type); it is raised inside the cell.
``LMError``: nobody at once; it names the cause and how often we tried.
``KernelDied``: the loop, by a restart; it is never passed off as the output of a cell.
``LimitReached``: the human, who set the limit; it carries what was spent and what was allowed.
``RunFailed``: whoever maintains this package; an error that nobody foresaw ended a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Cause: TypeAlias = Literal[
    "unreachable",  # no connection could be made
    "timeout",  # no reply in time
    "certificate",  # the endpoint's certificate is not trusted
    "auth",  # the endpoint refused the key
    "forbidden",  # what stands before the endpoint refused the request
    "money",  # the account has nothing left
    "address",  # the endpoint has the model, and no chat completions at this address
    "model",  # the endpoint does not know the model
    "window",  # the prompt does not fit the model's context window
    "bad_request",  # any other 4xx
    "rate_limit",  # 429 after the last retry
    "server",  # 5xx after the last retry
    "cut",  # the stream ended before the reply did
    "garbage",  # the body was not a chat completion
    "endless",  # the reply went on beyond all bounds of time or size
    "proxy",  # the proxy on the way did not pass the request on
    "redirect",  # the endpoint refers to another host, which is not followed
    "empty",  # a choice with no text
    "refusal",  # the model refused, or a content filter did
    "schema",  # no reply had the form that was wanted
    "child",  # a child node ended without an answer
    "interrupted",  # the run or the cell was stopped before the reply came
]
"""The causes for which an LM gave no usable reply."""
LONGEST_CAUSE = 500


class RLMError(Exception):
    """Anything this package raises on purpose. Its text is written for a person."""

    may_pass = False
    """Whether the cause may be gone a little later, so that the same is worth trying again."""


class UsageError(RLMError):
    """The caller asked for something that cannot be; the text says what to write instead."""


class ContextError(UsageError):
    """The context is missing, unreadable or of a kind that cannot be handed to a kernel."""


class NoLM(UsageError):
    """No LM is set and the embedded one is not there; the text names both ways to get one."""


class LMError(RLMError):
    """An LM did not give a usable reply.

    ``cause`` is a ``Cause``; ``attempts`` counts the HTTP requests made for it (0 when none
    was sent); ``status`` is the last HTTP status, if any. ``told`` is its text for the LM whose
    cell asked: no address, and nothing that only the human can mend. ``may_pass`` False says that
    this one does not pass soon, whatever its cause.
    """

    PASSING: tuple[Cause, ...] = ("unreachable", "timeout", "rate_limit", "server", "cut", "proxy")

    def __init__(
        self,
        message: str,
        *,
        cause: Cause,
        attempts: int = 0,
        status: int | None = None,
        told: str = "",
        may_pass: bool = True,
    ) -> None:
        super().__init__(message)
        self.told = told or message
        self.cause = cause
        self.may_pass = may_pass and cause in self.PASSING
        self.attempts = attempts
        self.status = status


class CallRefused(RLMError):
    """A call from a cell that cannot be served as it was written."""


class LimitReached(RLMError):
    """A limit was reached. ``limit`` is the field of ``Limits`` that said so, or ``total_cost``,
    ``total_tokens`` or ``total_seconds`` of the ``Budget`` that several runs share. ``wanted`` is
    what was refused, on top of what was ``spent``; ``kept`` is the part of ``allowed`` for last
    turns; ``before`` is the part of what was spent that the run had spent when it was stopped,
    before it was resumed."""

    def __init__(
        self,
        limit: str,
        *,
        spent: float,
        allowed: float,
        wanted: float = 0.0,
        kept: float = 0.0,
        before: float = 0.0,
    ) -> None:
        more = f", wanted {_amount(wanted)} more" if wanted else ""
        last = f", {_amount(kept)} of it kept for a last turn" if kept else ""
        earlier = f", {_amount(before)} of it before the run was resumed" if before else ""
        super().__init__(
            f"limit reached: {limit}: spent {_amount(spent)}{more}, allowed {_amount(allowed)}"
            f"{last or earlier}"
        )
        self.limit = limit
        self.spent = spent
        self.allowed = allowed
        self.wanted = wanted
        self.shared = limit.startswith("total_")
        """True where several runs share it: it ends them as they are, to be gone on with later."""


class LMStuck(LimitReached):
    """An LM gave the same reply, to the same end, in each of these turns."""

    def __init__(self, turns: Sequence[int]) -> None:
        number = len(turns)
        super().__init__("equal_replies", spent=number, allowed=number)
        *first, last = turns
        which = (
            f"{first[0]} to" if last - first[0] < number else f"{', '.join(map(str, first))} and"
        )
        self.args = (
            f"the LM is stuck: its replies of turns {which} {last} are the same, and "
            "gave nothing new",
        )


def _amount(value: float) -> str:
    return f"{round(value, 4):,.12g}"


class KernelDied(RLMError):
    """The inner kernel ended on its own. ``exit_code`` as the provisioner gave it, if known."""

    may_pass = True

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class KernelStartError(RLMError):
    """The inner kernel could not be started; the text carries the end of its log. ``died`` says
    that it had begun to start, and ended."""

    may_pass = True

    def __init__(self, message: str, *, died: bool = False) -> None:
        super().__init__(message)
        self.died = died


class RecordError(RLMError):
    """A trajectory cannot be read or was changed; the text names the file and the line."""


class RunFailed(RLMError):
    """An error that nobody foresaw ended a run: the text is its type and message in one line, its
    ``__cause__`` the error."""


class ReplayDiffers(RLMError):
    """A trajectory that was run again is not what it was; the text names the differences."""


def one_line(error: BaseException) -> str:
    """Return type and message of an error, of the first one of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a message that cannot be made must not hide its error
        text = "its message cannot be made"
    name = type(error).__name__
    return f"{name}: {text[:LONGEST_CAUSE]}" if text else name
