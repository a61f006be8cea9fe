"""One row of a map: asked, read, asked again where the reply did not fit, voted on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ..endings import all_of
from ..errors import LMError
from ..record.markdown import one_line, shorten
from ..remote.guest.forms.typed_replies import Misfit
from ..repl.map_options import MapOptions
from .fit import value_of
from .row_prompt import again, bare_prompt, prompt

REPLY_CHARS = 300
"""The most of a reply that did not fit, in an error and in the record."""
Complete = Callable[[str, int], Awaitable[str]]
"""Returns the sub-LM's reply to a prompt, as that of a vote, counted from 0. Raises ``LMError``."""


@dataclass
class _Vote:
    """The outcome of one vote: a value or an error."""

    value: Any = None
    error: LMError | None = None
    attempts: int = 0
    misfits: list[str] = field(default_factory=list)


class Row:
    """Asks about one item. ``complete`` sends a prompt; ``may_ask`` says of a prompt that asks once
    more whether it may be sent, and books it. ``bare`` replies are labels as they are, without
    JSON."""

    def __init__(
        self,
        options: MapOptions,
        complete: Complete,
        may_ask: Callable[[str], bool],
        bare: bool = False,
    ) -> None:
        self._bare = bare
        self._options = options
        self._complete = complete
        self._may_ask = may_ask

    async def value(self, item: str) -> tuple[Any, dict[str, Any]]:
        """Return the value that most votes are for, and what is known of it: ``attempts``; where
        several were asked ``votes``, None of one that failed, and ``tied`` where others have as
        many; ``misfits``, the replies that did not fit. Raises the ``LMError`` of a row without a
        vote."""
        asking = [self._vote(item, number) for number in range(self._options.votes)]
        # A task of its own for a single vote takes half of a row's time.
        votes = await all_of(asking) if len(asking) > 1 else [await asking[0]]
        cast = [vote for vote in votes if vote.error is None]
        attempts = sum(vote.attempts for vote in votes)
        if not cast:
            assert votes[0].error is not None
            raise votes[0].error
        value, tied = majority([vote.value for vote in cast])
        about: dict[str, Any] = {"attempts": attempts}
        if len(votes) > 1:
            about["votes"] = [vote.value for vote in votes]
        if tied:
            about["tied"] = True
        if misfits := [text for vote in votes for text in vote.misfits]:
            about["misfits"] = misfits
        return value, about

    async def _vote(self, item: str, number: int) -> _Vote:
        made = bare_prompt if self._bare else prompt
        vote, asked = _Vote(), made(item, self._options, number)
        text: str = asked
        try:
            while True:
                vote.attempts += 1
                reply = await self._complete(text, number)
                try:
                    vote.value = value_of(reply, self._options.schema)
                    return vote
                except Misfit as misfit:
                    vote.misfits.append(reply[:REPLY_CHARS])
                    text = again(asked, reply, str(misfit))
                    if vote.attempts > 1 or not self._may_ask(text):
                        raise _unfit(misfit, reply, vote.attempts) from None
        except LMError as error:
            vote.error = error
            return vote


def majority(values: list[Any]) -> tuple[Any, bool]:
    """Return the most frequent value, the first of several, and whether there are several."""
    keys = [json.dumps(value, sort_keys=True) for value in values]
    (first, most), *rest = Counter(keys).most_common()
    return values[keys.index(first)], any(number == most for _, number in rest)


def _unfit(misfit: Misfit, reply: str, attempts: int) -> LMError:
    times = "twice" if attempts > 1 else "once"
    shown = shorten(one_line(reply[: 2 * REPLY_CHARS]), REPLY_CHARS)
    return LMError(
        f"the reply does not fit (asked {times}): {misfit}; it was: {shown}",
        cause="schema",
        attempts=attempts,
    )
