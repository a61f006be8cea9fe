"""The best answer of a node so far: what it gives where it ends without one that is taken."""

from __future__ import annotations

from dataclasses import replace

from ..answers import Answer
from ..inputs.forms import Form
from ..repl.running_cell import Ran
from . import prompts


class BestAnswer:
    """Holds the best answer of a node, where a ``form`` is wanted held to that."""

    def __init__(self, form: Form | None) -> None:
        self.answer: Answer | None = None
        self.misfit = ""
        """Why it is not of the wanted form, as the end of a sentence."""
        self._form = form
        self._in_box = False

    def take(self, ran: Ran) -> None:
        """Take what a cell gave or named; what may be no answer takes the place of none."""
        if ran.doubt is None or self.answer is None:
            self._keep(ran.answer or ran.draft, ran.refused)
        if ran.status == "ok":
            self._in_box = ran.draft is not None

    def take_words(self, words: str) -> None:
        """Take what was said without a cell, unless the last cell kept a draft in ``answer``."""
        if words and not self._in_box:
            self._keep(Answer.of_text(words))

    def refused(self, answer: Answer) -> str | None:
        """Return what the LM is told of an answer that is not of the wanted form; None for one
        that is."""
        wrong = self._wrong(answer)
        if self._form is None or wrong is None:
            return None
        return prompts.MISFIT.format(said=self._form.said, wrong=wrong)

    def _keep(self, answer: Answer | None, refused: str | None = None) -> None:
        """Keep an answer. One that is not of the wanted form, or that the kernel ``refused``, has
        no value, and takes the place of none that is."""
        wrong = refused or self._wrong(answer)
        if answer is None or (wrong and self.answer is not None and not self.misfit):
            return
        self.answer, self.misfit = answer, ""
        if wrong and self._form is not None:
            self.answer = replace(answer, value=None)
            said = self._form.said
            self.misfit = f"; the answer is not of the form that is wanted, {said}: {wrong}"

    def _wrong(self, answer: Answer | None) -> str | None:
        return None if self._form is None or answer is None else self._form.refused(answer)
