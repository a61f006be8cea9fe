"""Calls of the cells' code on their way to the broker and back."""

import functools
import os
import sys
import threading

from .cells.threads import current_cell
from .errors import CallRefused, LimitReached
from .forms.typed_replies import WantedForm, ended
from .images import CALL_BYTES, pictures
from .maps import derived
from .maps.checks import ASK, NOBODY, TELL, Checker
from .maps.items import cut
from .maps.map import Map
from .replies import child_reply, of_batch, of_slot
from .values import dump
from .wire import LONGEST_NAME


class Calls:
    """Checks what a cell asks for, sends it, and makes values and errors of the replies.

    The host checks it all again: what is refused here costs no round trip. ``given`` is the input.
    """

    def __init__(self, broker, typed=lambda question: None):
        self._broker = broker
        self.given = None
        self._typed = typed
        """Returns a line that the human types for a cell of their own; None in a cell of the LM."""
        self._pid = os.getpid()
        self.hold_to({})

    def hold_to(self, most):
        """Refuse what is over these numbers: ``prompt_chars`` of a prompt, prompts of a
        ``batch``. Where one is not given there is no bound. Loops ask ``ahead`` of their turn for
        as many; for none where it is not given."""
        self._max_prompt_chars = most.get("prompt_chars", sys.maxsize)
        self._max_batch = most.get("batch", sys.maxsize)
        self.ahead = self._max_batch if most.get("ahead") else 0

    # by their names in the cells
    def llm_query(self, prompt, model=None, schema=None, images=None):
        [slot] = self._carried_out(self._single(prompt, model, schema, images))
        return of_slot(slot)

    async def llm_query_aio(self, prompt, model=None, schema=None, images=None):
        [slot] = await self._carried_out_aio(self._single(prompt, model, schema, images))
        return of_slot(slot)

    def llm_query_batched(self, prompts, model=None, schema=None, images=None):
        return of_batch(self._carried_out(self._batch(prompts, model, schema, images)))

    async def llm_query_batched_aio(self, prompts, model=None, schema=None, images=None):
        return of_batch(await self._carried_out_aio(self._batch(prompts, model, schema, images)))

    def llm_map(self, *given, **options):
        return self._carried_out(self._map(*given, **options))

    async def llm_map_aio(self, *given, **options):
        return await self._carried_out_aio(self._map(*given, **options))

    def llm_find(self, items, question, top=derived.BEST, by=None, model=None):
        mapped = functools.partial(self._mapped, model)
        return self._carried_out(derived.found(mapped, items, question, top, by))

    def llm_reduce(self, texts, question, model=None):
        mapped = functools.partial(self._mapped, model)
        room = self._max_prompt_chars
        return self._carried_out(derived.reduced(mapped, texts, question, room))

    def rlm_query(self, prompt, context=None, model=None, max_turns=None):
        check_type(prompt, "prompt")
        request = self._for_children("rlm_query", [prompt], [context], model, max_turns)
        return child_reply(self.ask(*request))

    def rlm_query_batched(self, prompts, contexts=None, model=None, max_turns=None):
        prompts = self._checked_batch(prompts, "rlm_query", check_type)
        request = self._for_children("rlm_query_batched", prompts, contexts, model, max_turns)
        return of_batch(of_slot(self.ask(*request)), child_reply) if prompts else []

    def limits_left(self):
        return of_slot(self.tool("limits_left", [], {}))

    def ask_human(self, question):
        check_type(question, "question")
        return of_slot(self.tool("ask_human", [], {"question": question}))

    def tool(self, name, args, kwargs):
        """Return the slot of a call that the host itself answers, or the user's process."""
        return self.ask(self._request("tool", name=name, args=args, kwargs=kwargs))

    def each(self, prompts, model):
        """Ask some prompts at once as ``llm_query`` asks each, in their order; return their slots.
        Raises ``CallRefused``."""
        return of_slot(
            self.ask(self._request("llm_query", prompts=prompts, model=model, each=True))
        )

    def fits(self, prompt):
        """Return whether a sub-LM takes a prompt of this length."""
        return len(prompt) <= self._max_prompt_chars

    # what sub-LMs are asked
    def _single(self, prompt, model, schema, images):
        self._check(prompt)
        return self._rounds("llm_query", [prompt], model, schema, [pictures(images)])

    def _batch(self, prompts, model, schema, images):
        prompts = self._checked_batch(prompts, "llm_query", self._check)
        images = _of_each(prompts, images)
        return self._rounds("llm_query_batched", prompts, model, schema, images)

    def _rounds(self, op, prompts, model, schema, images):
        """Yield the requests for some prompts, whose answers are sent in; return their slots.

        Replies that do not have a wanted form are asked for once more, as far as prompts may be so
        long and calls are left.
        """
        form = None if schema is None else WantedForm(schema)
        asked = prompts if form is None else [form.asked(prompt) for prompt in prompts]
        for i, prompt in enumerate(asked):
            self._check(prompt, "prompt %d" % i)
        slots = yield from self._round(op, asked, model, form, images)
        if form is None:
            return slots
        again = {i: form.asked_again(asked[i], s) for i, s in enumerate(slots) if "misfit" in s}
        again = {i: prompt for i, prompt in again.items() if self.fits(prompt)}
        try:
            own = [images[i] for i in again]
            second = yield from self._round(op, list(again.values()), model, form, own)
        except (CallRefused, LimitReached):
            second = []  # the first replies stand
        for i, slot in zip(again, second):
            slots[i] = dict(slot, attempts=2) if "misfit" in slot else slot
        return [ended(slot, i if op.endswith("_batched") else None) for i, slot in enumerate(slots)]

    def _round(self, op, prompts, model, form, images):
        """Yield one request, and return the slots of its prompts."""
        if not prompts:
            return []
        header = self._request(op, prompts=prompts, model=model)
        if form is not None:
            header["schema"] = form.schema
        answer = yield _with_images(header, images)
        slots = of_slot(answer) if op.endswith("_batched") else [answer]
        return slots if form is None else [form.read(slot) for slot in slots]

    def _map(
        self,
        items,
        question,
        labels=None,
        type=None,
        by=None,
        examples=None,
        votes=1,
        since=None,
        model=None,
    ):
        """Yield the calls of ``llm_map``, whose answers are sent in; return its table."""
        asked = Map(question, labels, type, examples, votes, since)
        table = yield from self._mapped(model, asked, items, by)
        table.checker = Checker(asked, self._line, self._judged, self._told)
        return table

    def _mapped(self, model, asked, items, by):
        """Yield the calls of a map over some items; return its table."""
        made = asked.over(cut(items, by), spans=items is self.given and items is not None)
        return (yield from self._parts(made, model))

    def _parts(self, made, model):
        """Yield the calls of a map that has its items; return its table."""
        for part in made.parts(self._max_prompt_chars, self._max_batch):
            made.take((yield self._request("llm_map", model=model, **part), b""))
        return made.table

    # how a map is checked
    def _line(self, question):
        """Return the line that the human types about a row."""
        try:
            typed = self._typed(question)
        except CallRefused:
            raise CallRefused(NOBODY) from None
        return of_slot(self.tool(ASK, [], {"question": question})) if typed is None else typed

    def _judged(self, made, model):
        """Return the table of a map that this model is asked."""
        return self._carried_out(self._parts(made, model))

    def _told(self, found):
        """Have what a check found recorded; in a replay, compared with what is recorded."""
        if of_slot(self.tool(TELL, [], found)) != found:
            raise CallRefused("check: the record has other figures than the rows judged give")

    def _carried_out(self, rounds):
        try:
            request = next(rounds)
            while True:
                request = rounds.send(self.ask(*request))
        except StopIteration as done:
            return done.value

    async def _carried_out_aio(self, rounds):
        try:
            request = next(rounds)
            while True:
                request = rounds.send(await self.ask_aio(*request))
        except StopIteration as done:
            return done.value

    def _check(self, prompt, where="prompt"):
        """Raise ``TypeError`` or ``CallRefused`` for what a sub-LM does not take."""
        check_type(prompt, where)
        if not self.fits(prompt):
            raise CallRefused(
                "%s has %s characters, the sub-LM takes %s at most: cut the text into pieces and "
                "ask about each with llm_query_batched"
                % (where, format(len(prompt), ","), format(self._max_prompt_chars, ","))
            )

    def _checked_batch(self, prompts, name, check):
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

    def _request(self, op, **fields):
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

    def _for_children(self, op, prompts, contexts, model, max_turns):
        """Return header and payload of a call for children: their contexts, one after another."""
        if max_turns is not None and (type(max_turns) is not int or max_turns < 1):
            raise TypeError("%s: max_turns must be a whole number of at least 1" % op)
        if contexts is None:
            contexts = [None] * len(prompts)
        contexts = list(contexts)
        if len(contexts) != len(prompts):
            raise CallRefused("%d prompts but %d contexts" % (len(prompts), len(contexts)))
        parts = [dump(p if c is None else c) for p, c in zip(prompts, contexts)]
        given = [c is not None for c in contexts]
        sizes = [{"kind": kind, "size": len(data)} for kind, data in parts]
        header = self._request(op, prompts=prompts, model=model, contexts=sizes, given=given)
        if max_turns is not None:
            header["max_turns"] = max_turns
        return header, b"".join(data for _, data in parts)

    def ask(self, header, payload=b""):
        """Return the slot that the host answers with; that of a batch has its slots as value."""
        return self._broker.ask(header, payload)

    async def ask_aio(self, header, payload=b""):
        """Do the same on the kernel's event loop."""
        return await self._broker.ask_aio(header, payload)


def _of_each(prompts, images):
    """Return the pictures of each prompt of a batch."""
    given = [None] * len(prompts) if images is None else list(images)
    if len(given) != len(prompts):
        raise CallRefused(
            "%d prompts but %d lists of images: give one for each prompt, None for one that has "
            "none" % (len(prompts), len(given))
        )
    return [pictures(own, "images[%d]" % i) for i, own in enumerate(given)]


def _with_images(header, images):
    """Return header and payload of a call with pictures, one after another."""
    if not any(images):
        return header, b""
    payload = b"".join(data for own in images for data in own)
    if len(payload) > CALL_BYTES:
        raise CallRefused(
            "images of %s bytes; a call takes %s at most: make several calls"
            % (format(len(payload), ","), format(CALL_BYTES, ","))
        )
    return dict(header, images=[[len(data) for data in own] for own in images]), payload


def check_type(prompt, where):
    """Raise ``TypeError`` for a prompt that is no str."""
    if not isinstance(prompt, str):
        raise TypeError("%s must be a str, not %s" % (where, type(prompt).__name__))
