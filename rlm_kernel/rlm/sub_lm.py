"""The sub-LM of a node's calls: asked for a prompt, a row of a map, a child that may not be."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import CallRefused, LimitReached, LMError
from ..lm.attempts import Sampling
from ..lm.model import Model, seen
from ..operators.earlier import answers
from ..operators.estimate import Estimate, estimate
from ..operators.fit import grammar
from ..operators.rows import Row
from ..remote.guest.forms.typed_replies import in_object
from ..remote.guest.maps.labels import labels
from ..repl.protocol import Call, Image, RefusedCall, Slot, refusal
from . import prompts
from .prompt_slot import Asked, PromptSlot, as_parts
from .run import Run, inlined

VOTE_TEMPERATURE = 0.7
"""For votes of a model that is set to 0, where they would all be the same."""


LARGE = 1000
"""Sub-calls of one call, and US dollars, over which the human is asked first."""
DEAR = 1.0


class SubLM:
    """Asks for one node, which is at this depth."""

    def __init__(self, run: Run, depth: int) -> None:
        self._run = run
        self._depth = depth
        self.cut: Counter[int] = Counter()
        """By cell, the replies that a provider cut short."""
        self._allowed: set[int] = set()

    async def prompt(self, at: PromptSlot, asked: Asked) -> Slot:
        """Return the reply to a prompt. Raises ``LMError``."""
        for image in at.images:
            asked.images.append(await asyncio.to_thread(self._run.keep_image, image))
        return {"value": await self._complete(at.call, at.prompt, asked, at.images)}

    async def inlined(self, at: PromptSlot, asked: Asked) -> Slot:
        """At the depth limit: a plain sub-call with the context in the prompt, if it fits."""
        call = at.call
        if not call.given[at.index]:
            return {"value": await self._complete(call, at.prompt, asked)}
        text = inlined(*at.context, self._run.prompt_chars)
        prompt = "" if text is None else prompts.inlined(at.prompt, text)
        if text is None or len(prompt) > self._run.prompt_chars:
            raise CallRefused(
                f"no child may be started at depth {self._depth + 1} (the limit is "
                f"{self._run.limits.depth}) and this context does not fit a plain prompt of "
                f"{self._run.prompt_chars:,} characters: use llm_query_batched on pieces"
            )
        return {"value": await self._complete(call, prompt, asked)}

    # maps
    async def earlier(self, call: Call) -> dict[str, Slot]:
        """Return by its text what an item of a map was answered in the run that the map names.
        Raises ``CallRefused`` where there is none beside this one."""
        options = call.options
        if options is None or options.since is None:
            return {}
        folder = self._run.folder.parent / options.since
        default = self._asked(call).name
        return await asyncio.to_thread(answers, folder, options, call.model, default)

    async def admit(self, call: Call, new: Sequence[PromptSlot], *, by_hand: bool) -> str:
        """Return the size of a map, or of a large batch, in words. The human, if one is there, is
        asked before what is very large, once a cell, unless the cell is one ``by_hand``. Raises
        ``RefusedCall`` for a map where less is left, ``CallRefused`` where the human says no."""
        if not call.op.startswith("llm") or (call.options is None and len(new) <= LARGE):
            return ""
        left, size = self._run.ledger.left, self._measured(call, new)
        over = size.over(left)
        if over is not None and call.options is not None:
            raise RefusedCall(refusal(size.refusal(left), limit=over))
        large = size.requests > LARGE or (size.cost or 0.0) > DEAR
        if large and over != "calls" and not by_hand and call.cell not in self._allowed:
            await self._run.human.allow(str(size))
            self._allowed.add(call.cell)
        return str(size)

    def _measured(self, call: Call, new: Sequence[PromptSlot]) -> Estimate:
        model, options = self._asked(call), call.options
        if options is not None and options.since is not None:
            options = replace(options, ahead=(0, 0))  # nobody knows yet how many of those are new
        price = partial(model.price, model.name)
        return estimate([at.prompt for at in new], price, options)

    async def row(self, at: PromptSlot, asked: Asked) -> Slot:
        """Return the value of a row of a map. Raises ``LMError``."""
        options = at.call.options
        assert options is not None
        if at.earlier is not None:
            return at.earlier
        call, bare = at.call, self._asked(at.call).chooses and bool(labels(options.schema))
        if bare:
            call = replace(call, schema=options.schema)
        elif options.schema is not None:
            call = replace(call, schema=in_object(options.schema))  # type: ignore[no-untyped-call]

        async def complete(prompt: str, vote: int) -> str:
            drawn = vote if options.votes > 1 else None
            return await self._complete(call, prompt, asked, vote=drawn)

        value, about = await Row(options, complete, self._may_ask, bare).value(at.prompt)
        return {"value": value, "about": about}

    def _may_ask(self, prompt: str) -> bool:
        """Book a prompt that asks once more; return whether it may be sent."""
        if len(prompt) > self._run.prompt_chars:
            return False
        try:
            self._run.ledger.count_calls(1)
        except LimitReached:
            return False
        return True

    def _asked(self, call: Call) -> Model:
        """Return the LM that a call is for: the one that it names, else the sub-LM; labels are left
        to the root where it is the one that chooses."""
        run, options = self._run, call.options
        choice = options is not None and bool(labels(options.schema)) and run.root.chooses
        return run.model(call.model, run.root if choice else run.sub)

    async def _complete(
        self,
        call: Call,
        prompt: str,
        asked: Asked,
        images: Sequence[Image] = (),
        vote: int | None = None,
    ) -> str:
        model = self._asked(call)
        asked.model = model.name
        parts = await asyncio.to_thread(as_parts, images) if images else []
        message = {"role": "user", "content": seen(prompt, parts)}
        sampling = model.sampling if vote is None else _as_vote(model.sampling, vote)
        if call.schema is not None:
            sampling = replace(sampling, **_form(model, call.schema))
        whole = await model.client.complete(model.name, [message], asked.meter, sampling=sampling)
        reply = whole.spoken()
        asked.model, asked.finish, asked.thoughts = reply.model, reply.finish, reply.thoughts
        if reply.fault is not None:
            raise LMError(reply.fault, cause="empty", attempts=1)
        self.cut[call.cell] += reply.cut_short
        return reply.text


def _form(model: Model, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a reply that is to fit the schema."""
    listed = labels(schema) if model.chooses else []
    if not listed:
        return {"schema": schema}
    return {"added": {**model.sampling.added, "grammar": grammar(listed)}}


def _as_vote(sampling: Sampling, vote: int) -> Sampling:
    """Return the sampling of a vote: no two are drawn alike."""
    set_to = sampling.temperature
    greedy = (sampling.added.get("temperature") if set_to is None else set_to) == 0
    warmth = VOTE_TEMPERATURE if greedy else set_to
    return replace(sampling, temperature=warmth, seed=vote + 1)
