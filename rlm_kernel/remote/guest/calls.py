"""Calls of the cells' code on their way to the broker and back."""

import os
import sys
import threading

from .errors import CallRefused, FailedReply, from_host
from .threads import current_cell
from .values import dump
from .wire import LONGEST_NAME


class Calls:
    """Checks what a cell asks for, sends it, and makes values and errors of the replies.

    The host checks it all again: what is refused here costs no round trip.
    """

    def __init__(self, broker):
        self._broker = broker
        self._pid = os.getpid()
        self.hold_to({})

    def hold_to(self, most):
        """Refuse what is over these numbers: ``prompt_chars`` of a prompt, prompts of a
        ``batch``. Where one is not given there is no bound."""
        self._max_prompt_chars = most.get("prompt_chars", sys.maxsize)
        self._max_batch = most.get("batch", sys.maxsize)

    def check(self, prompt, where="prompt"):
        """Raise ``TypeError`` or ``CallRefused`` for what a sub-LM does not take."""
        check_type(prompt, where)
        if len(prompt) > self._max_prompt_chars:
            raise CallRefused(
                "%s has %s characters, the sub-LM takes %s at most: cut the text into pieces and "
                "ask about each with llm_query_batched"
                % (where, format(len(prompt), ","), format(self._max_prompt_chars, ","))
            )

    def check_batch(self, prompts, name, check):
        """Return the prompts of ``name_batched`` as a list, each of them checked."""
        if isinstance(prompts, (str, bytes)):
            raise TypeError(
                "%s_batched takes a list of prompts; this is one %s: use %s(prompt), or put the "
                "prompts in a list" % (name, type(prompts).__name__, name)
            )
        prompts = list(prompts)
        if len(prompts) > self._max_batch:
            raise CallRefused(
                "a batch of %s prompts; %s is the most in one call: keep only the pieces that the "
                "question is about, or ask in several batches"
                % (format(len(prompts), ","), format(self._max_batch, ","))
            )
        for i, prompt in enumerate(prompts):
            check(prompt, "prompt %d" % i)
        return prompts

    def request(self, op, **fields):
        """Return the header of a call that the running cell makes."""
        model = fields.get("model")
        if model is not None and (
            not isinstance(model, str) or len(model) > LONGEST_NAME or "\n" in model
        ):  # small models write llm_query(question, text)
            raise TypeError(
                "%s takes a model's name after the prompt, and this is no name: put the text into "
                "the prompt, as in %s(question + text)" % (op, op)
                if op.startswith("llm")
                else "%s: model must be a model's name" % op
            )
        # A forked process has a main thread too, but the cell does not wait in that one.
        main = threading.current_thread() is threading.main_thread() and os.getpid() == self._pid
        return dict(op=op, cell=current_cell(), main=main, **fields)

    def for_children(self, op, prompts, contexts, model):
        """Return header and payload of a call for children: their contexts, one after another."""
        if contexts is None:
            contexts = [None] * len(prompts)
        contexts = list(contexts)
        if len(contexts) != len(prompts):
            raise CallRefused("%d prompts but %d contexts" % (len(prompts), len(contexts)))
        parts = [dump(p if c is None else c) for p, c in zip(prompts, contexts)]
        given = [c is not None for c in contexts]
        sizes = [{"kind": kind, "size": len(data)} for kind, data in parts]
        header = self.request(op, prompts=prompts, model=model, contexts=sizes, given=given)
        return header, b"".join(data for _, data in parts)

    def of_host(self, name, **arguments):
        """Return what the host itself says to a call of this name."""
        return self.ask(self.request("tool", name=name, args=[], kwargs=arguments))

    def ask(self, header, payload=b""):
        """Return the value that the host answers with. Raises the error that it sends."""
        return _value(self._broker.ask(header, payload))

    async def ask_aio(self, header):
        """Do the same on the kernel's event loop."""
        return _value(await self._broker.ask_aio(header))


def check_type(prompt, where):
    """Raise ``TypeError`` for a prompt that is no str."""
    if not isinstance(prompt, str):
        raise TypeError("%s must be a str, not %s" % (where, type(prompt).__name__))


def replies(slots):
    """Return the replies of a batch; a ``FailedReply`` where a prompt failed."""
    return [
        FailedReply(from_host(slot["error"])) if slot.get("error") else slot["value"]
        for slot in slots
    ]


def _value(reply):
    if reply.get("error"):
        raise from_host(reply["error"])
    return reply["value"]
