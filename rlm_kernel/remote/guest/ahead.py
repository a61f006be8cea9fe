"""Prompts of a loop, asked for many items at once."""

import builtins
import itertools
import types

from .errors import CallRefused
from .replies import of_slot

MOST = 1000
"""The most prompts that are asked ahead of their turn."""
SECOND = 8
"""So many follow the first, which is asked in its turn: where nothing works, little is lost."""
_OURS = __name__.split(".", 1)[0]
_MODULES = frozenset(
    ("builtins", "collections", "datetime", "decimal", "fractions", "numpy", "pandas", "pathlib",
     "polars", "re", "uuid", _OURS)
)  # fmt: skip
"""Objects of these packages only compute when they are made a text, or an item of them is taken."""


class Ahead:
    """``_rlm_ahead`` of the cells, which ``cells.loops`` writes into them.

    A prompt that was asked ahead and is another one when its turn comes is asked as it is then;
    from there on the loop asks in turn. Errors are raised where the loop would have met them.
    """

    def __init__(self, calls, llm_query):
        self._calls = calls
        self._llm_query = llm_query

    def __call__(self, ask, model, used, sources, pairs):
        """Yield each item's names with a function that asks about it in its place.

        ``used`` returns what the prompts are computed of, by name; ``pairs`` takes the ``sources``
        and yields an item's names and what computes its prompt, None for one that is not asked
        about.
        """
        every = iter(pairs(*sources))
        may = ask is self._llm_query and self._calls.ahead > 1 and self._plain(used, sources)
        for wave in itertools.chain((1, SECOND), itertools.repeat(MOST)) if may else ():
            taken, failed = self._taken(every, min(wave, self._calls.ahead))
            slots = self._slots(model, [prompt for _, prompt in taken])
            missed = False
            for at, (names, _) in enumerate(taken):
                asked = Asked(ask, slots.get(at))
                yield names, asked
                missed = missed or asked.missed
            if failed is not None:
                raise failed
            if missed:
                break
            if not taken:
                return
        for names, _ in every:
            yield names, Asked(ask, None)

    def _taken(self, every, most):
        """Return the next items with their prompts, at most so many, and the error that ended them,
        if any."""
        taken = []
        try:
            for names, computed in itertools.islice(every, most):
                taken.append((names, self._prompt(names, computed)))
        except Exception as error:  # noqa: BLE001 (raised behind the items before it)
            return taken, error
        return taken, None

    def _plain(self, used, sources):
        try:
            names = used()
        except NameError:
            return False  # it is raised where the loop gets there
        return all(map(_holds_still, sources)) and all(_is_plain(*one) for one in names.items())

    def _slots(self, model, prompts):
        """Ask the prompts; return, by its number, each prompt that there is with its slot."""
        there = {at: prompt for at, prompt in enumerate(prompts) if prompt is not None}
        if len(there) < 2:
            return {}
        try:
            slots = self._calls.each(list(there.values()), model)
        except CallRefused:
            return {}  # each is refused in its turn
        return {at: (there[at], slot) for at, slot in zip(there, slots)}

    def _prompt(self, names, computed):
        if not all(map(_holds_still, names)):
            return None
        try:
            prompt = computed()
        except Exception:  # noqa: BLE001 (computed again in its turn, and raised there)
            return None
        return prompt if isinstance(prompt, str) and self._calls.fits(prompt) else None


class Asked:
    """Asks about one item in its turn: it was asked ahead, or is now."""

    def __init__(self, ask, told):
        self._ask = ask
        self._told = told
        self.missed = False

    def __call__(self, prompt, **more):
        told, self._told = self._told, None
        if told is None or told[0] != prompt:
            self.missed = told is not None
            return self._ask(prompt, **more)
        return of_slot(told[1])


def _is_plain(name, value):
    """Return whether a name is what it seems: of builtins and modules the one of this name."""
    if isinstance(value, types.ModuleType):
        return value.__name__ == name
    return getattr(builtins, name, None) is value if callable(value) else _holds_still(value)


def _holds_still(value):
    """Return whether an object is the same however often, and whenever, one looks at it."""
    made = type(value)
    plain = made.__module__.partition(".")[0] in _MODULES or hasattr(made, "_fields")
    return plain and not callable(value) and not hasattr(made, "__next__")
