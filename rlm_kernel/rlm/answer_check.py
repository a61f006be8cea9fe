"""The check of an answer: what it rests on, and if the LM is asked once more."""

from __future__ import annotations

from collections.abc import Iterable

from ..answers import Answer
from ..events import ContextInfo
from ..lm import cells
from ..lm.model import Message
from ..repl.running_cell import Ran
from . import prompts
from .shown import Shown
from .small_prompts import DOUBTED_QUERY, NOWHERE, SUSPECT_QUERY
from .small_replies import SAID
from .sources import bound_names, is_leftover, written_down
from .suspicion import Suspicion

SHOWN_CHARS = 200
MOST_QUOTES = 5


class AnswerCheck:
    """Notes what the cells have looked at and shown, and doubts an answer: each doubt is told once,
    and the same call again confirms it. An LM to ``remind`` must have shown something before its
    answer is taken; another one is also asked about names, and about what it cannot have seen."""

    def __init__(self, *, remind: bool) -> None:
        self._remind = remind
        self._names = {"context"}  # variables that an answer may rest on
        self._before: frozenset[str] = frozenset()
        self._looked = False
        self._shown = False
        self._doubted = False
        self._told = Shown()
        self._asked: set[str] = set()
        self._misnamed: set[tuple[str, str]] = set()
        self._waited = False
        self._written: set[str] = set()
        self._sources: list[str] = []
        self._of_reply = 0
        self._news = False  # cells of the reply have put something out
        self._before_it = False  # those before the last did
        self._suspicion: Suspicion | None = None
        self._suspected = False

    def about(self, question: str, info: ContextInfo) -> None:
        """The answer is one to this question about this context."""
        self._suspicion = Suspicion(question, info)

    def there(self, names: Iterable[str]) -> None:
        """These variables were there before the first cell."""
        self._before = frozenset(names)
        self._names.update(names)

    def take_for_granted(self) -> None:
        """The LM has looked, in an exchange before this one, or has nothing to look at."""
        self._looked = self._shown = True

    def begin(self, told: Iterable[Message], sources: Iterable[str]) -> None:
        """A reply came, with these cells to run, after the LM had been ``told`` this."""
        for message in told:
            if message["role"] == "user":
                self._told.add(str(message["content"]))
        for source in sources:
            self._written |= bound_names(source)
        self._of_reply, self._before_it, self._news = len(self._sources), False, False

    def take(self, source: str, ran: Ran, *, asked: bool) -> None:
        """A cell ran, and asked sub-LMs or not."""
        self._looked = self._looked or any(cells.mentions(source, name) for name in self._names)
        self._shown = self._shown or bool(ran.outputs)
        self._sources.append(source)
        self._before_it = self._news
        self._news = self._news or asked or any(o.get("name") != "stderr" for o in ran.outputs)

    def doubt(self, ran: Ran, *, last: bool = False) -> str | None:
        """Return why to ask once more before the answer of a cell is taken. In the ``last`` turn,
        where nobody can be asked, only what is surely none is doubted."""
        assert ran.answer is not None
        why = self._no_answer(ran)
        if why is None and not last:
            why = None if self._remind else self._misread(ran) or self._unseen(ran)
            why = why or self._unread(ran.answer) or self._unsure(ran)
            why = why or (self._nowhere(ran) if self._remind else self._unquoted(ran))
            why = why or self._suspect(ran)
        return why

    def unsure(self, ran: Ran) -> str | None:
        """Return why an answer that is taken is not confirmed; None for one that is."""
        if ran.unsure is not None:
            return f"the answer is in doubt: {ran.unsure}"
        why = (ran.doubt and "is no answer") or self._suspicious(ran)
        if why is None and self._remind and NOWHERE in self._asked:
            assert ran.answer is not None
            why = None if ran.answer.evidence else "stands nowhere in the context"
        again = ", also when it was asked for again" if self._suspected or ran.doubt else ""
        return why and f"the answer {why}{again}"

    def _once(self, words: str) -> str | None:
        """Return the words the first time."""
        if words in self._asked:
            return None
        self._asked.add(words)
        return words

    def _no_answer(self, ran: Ran) -> str | None:
        if ran.doubt is not None:
            return self._once(prompts.NO_ANSWER.format(why=ran.doubt))
        if ran.word in self._written and not self._remind:
            return self._once(prompts.NOT_THERE.format(word=ran.word))
        return None

    def _misread(self, ran: Ran) -> str | None:
        """Return why the variable of that name may not have been meant."""
        name, why = ran.named, None
        if name is None or ran.answer is None:
            return None
        if is_leftover(name, self._sources):
            why = "as a loop left it"
        elif name in self._before and name not in self._written:
            why = "from before your question"
        if why is None or (name, why) in self._misnamed:
            return None
        self._misnamed.add((name, why))
        return prompts.WHICH.format(name=name, why=why, answer=_head(ran.answer.text))

    def _unseen(self, ran: Ran) -> str | None:
        """Return that the answer was written before the output of cells before its own was seen.
        Only once; one that was seen before, or that code made of what is there, may stand."""
        assert ran.answer is not None
        if not self._before_it or self._waited or self._told.has(ran.answer):
            return None
        if not written_down(self._sources[self._of_reply :], ran.word):
            return None
        self._waited = True
        return prompts.CHECK_TOO_SOON.format(answer=_head(ran.answer.text))

    def _unsure(self, ran: Ran) -> str | None:
        """Return what a query's own check doubts. Only once for each doubt."""
        if ran.unsure is None or not self._remind:
            return None
        return self._once(DOUBTED_QUERY.format(why=ran.unsure))

    def _suspicious(self, ran: Ran) -> str | None:
        found = self._suspicion and self._suspicion.of(ran, self._sources)
        return f"is {found}" if found else None

    def _suspect(self, ran: Ran) -> str | None:
        """Return what is suspicious about the answer. Only once."""
        why = None if self._suspected or ran.doubt else self._suspicious(ran)
        if why is None or ran.answer is None:
            return None
        self._suspected = True
        words = SUSPECT_QUERY if self._remind else prompts.SUSPECT
        return words.format(answer=_head(ran.answer.text), why=why)

    def _nowhere(self, ran: Ran) -> str | None:
        """Return that an answer in words does not stand in the context. Only once."""
        assert ran.answer is not None
        if not self._sources[-1].startswith(SAID) or ran.answer.evidence:
            return None
        asked = self._once(NOWHERE)
        return asked and asked.format(answer=_head(ran.answer.text))

    def _unquoted(self, ran: Ran) -> str | None:
        """Return which quotes do not stand in the context. Only once."""
        evidence = ran.answer.evidence if ran.answer is not None else ()
        missing = [repr(_head(one.quote)) for one in evidence if not one.supported]
        asked = self._once(prompts.UNQUOTED) if missing else None
        return asked and asked.format(quotes=", ".join(missing[:MOST_QUOTES]))

    def _unread(self, answer: Answer) -> str | None:
        """Return that nothing was read, or nothing shown. Only once."""
        if self._doubted:
            return None
        self._doubted = True
        if not self._looked:
            return prompts.CHECK_UNREAD.format(answer=_head(answer.text))
        if not self._shown and self._remind:
            return prompts.CHECK_UNSEEN.format(answer=_head(answer.text))
        return None


def _head(answer: str) -> str:
    return answer if len(answer) <= SHOWN_CHARS else f"{answer[:SHOWN_CHARS]}…"
