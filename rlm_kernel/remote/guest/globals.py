"""The REPL globals: what every cell finds in its namespace.

``GLOBALS`` is the one list of them. The host derives its own lists from it, so nothing here needs
IPython. A new function is written here and entered there; tests then hold the system message and
the guide to it.
"""

import inspect
import sys
from typing import Any, Callable, NamedTuple, Optional

from .pieces import guarded
from .reading import places as _places
from .reading import sql as _sql
from .reading.look import look_at
from .reading.rows import rows_of

_guest: Any = None


def bind(guest):
    """Return the functions by name; from now on they speak for this guest."""
    global _guest
    _guest = guest
    return {g.name: g.function for g in GLOBALS if g.function is not None}


def llm_query(prompt, model=None, schema=None, images=None):
    """Ask a sub-LM and return its reply. It sees nothing but the prompt, and the ``images``, a list
    of bytes, paths, figures, arrays or PIL images, if it sees.

    With a ``schema`` (a type such as ``list[str]``, a class, a JSON Schema) the reply is a value of
    that form: JSON data, or an instance of a pydantic model. One that does not fit is asked for
    once more; then ``LMError`` is raised.
    """
    return _guest.calls.llm_query(prompt, model, schema, images)


async def _llm_query_aio(prompt, model=None, schema=None, images=None):
    """``llm_query`` for asyncio code."""
    return await _guest.calls.llm_query_aio(prompt, model, schema, images)


def llm_query_batched(prompts, model=None, schema=None, images=None):
    """Ask a sub-LM many prompts at once; replies come in the same order. ``images`` are a list for
    each prompt.

    A prompt that failed has a ``FailedReply`` (a str beginning ``Error:``) in its slot.
    """
    return _guest.calls.llm_query_batched(prompts, model, schema, images)


async def _llm_query_batched_aio(prompts, model=None, schema=None, images=None):
    """``llm_query_batched`` for asyncio code."""
    return await _guest.calls.llm_query_batched_aio(prompts, model, schema, images)


def llm_map(
    items, question, labels=None, type=None, by=None, examples=None, votes=1, since=None, model=None
):
    """Ask a sub-LM one question about each item and return a table with a row for each.

    ``items`` are a list, a DataFrame, a folder, or a text that is cut ``by`` ``"line"``,
    ``"paragraph"``, ``"row"``, ``"file"``, ``"chars"`` or a number of characters. With ``labels``,
    a list, or a ``type``, as ``schema`` takes it, the values are of that form; ``examples`` are
    pairs of an item and its value; of several ``votes`` the most frequent value counts. Rows that
    an earlier run, ``since``, has answered to the letter are not asked about again. The table has
    ``.values``, ``.counts()``, ``.failed``, ``.df``, ``.csv`` and ``.check()``, its rows ``.item``,
    ``.value``, ``.state`` and ``.span``. An item that failed loses no other.
    """
    return _guest.calls.llm_map(items, question, labels, type, by, examples, votes, since, model)


async def _llm_map_aio(*given, **options):
    """``llm_map`` for asyncio code."""
    return await _guest.calls.llm_map_aio(*given, **options)


def llm_find(items, question, top=10, by=None, model=None):
    """Ask a sub-LM how much each item helps to answer a question, and return a table of the ``top``
    that do most, the best first; ``.value`` of a row is its mark, from 1 to 10. ``items`` and
    ``by`` are as in ``llm_map``."""
    return _guest.calls.llm_find(items, question, top, by, model)


def llm_reduce(texts, question, model=None):
    """Have one text written out of many, or out of a long one, that answers the question: of as
    many as fit a prompt one is made, and of these again, until one is left."""
    return _guest.calls.llm_reduce(texts, question, model)


def rlm_query(prompt, context=None, model=None, max_turns=None):
    """Ask an LM that has a REPL of its own and return its answer, a ``ChildReply``, which is a str.
    ``context`` is its input, ``max_turns`` the most turns that it has."""
    return _guest.calls.rlm_query(prompt, context, model, max_turns)


def rlm_query_batched(prompts, contexts=None, model=None, max_turns=None):
    """``rlm_query`` for many prompts, each with its own context, at the same time."""
    return _guest.calls.rlm_query_batched(prompts, contexts, model, max_turns)


def limits_left():
    """Return what may still be used, a dict: turns of this node; calls, tokens, cost (US dollars)
    and seconds of the whole run. None where there is no limit."""
    return _guest.calls.limits_left()


def ask_human(question):
    """Ask the human, where there is one, and return the reply, a str. The run's time stands still
    meanwhile. Raises ``CallRefused`` where nobody is there."""
    if not _guest.guards_names:  # in a cell of the human's own
        return _guest.input(question)
    return _guest.calls.ask_human(question)


def rows(value):
    """Return a table (a DataFrame, CSV and its kin, JSON, JSON lines, Markdown), a log, records or
    a folder as a list of dicts, one for each row. ``.guess`` says how it was read; lines in which
    nothing was recognised are rows with ``line`` and ``text``. Raises ``TypeError`` for a value
    that has no rows."""
    made = rows_of(value)
    if _guest is not None:  # a fake REPL has none
        _guest.notice_guess(made.guess)
    return made


def find(value, words, around=80, case=False):
    """Return the places where words stand in a text, a list, a dict, a DataFrame or a folder: each
    has ``word``, ``where``, ``line``, ``start``, ``end``, and ``text`` with so many characters
    ``around`` it. ``.missing`` are the words that stand nowhere, ``.counts`` the places of each,
    ``.of(word)`` those of one. Parts of longer words count; letters large and small are alike
    unless ``case`` is true. Raises ``TypeError`` and ``ValueError`` for words that are none."""
    return _places.places(value, words, around, case)


def look(value, question):
    """Return what a question can be answered from, in few lines: of a table its columns with their
    kinds and values, of a text the passages that the question's words lead to. Raises ``TypeError``
    for a value that is neither."""
    return look_at(value, question)


def sql(value, query, question=None):
    """Return the rows, as tuples, that an SQLite query finds in a value. Its table is ``t``: the
    rows as ``rows`` reads them, of a folder of mails, settings, tasks or Markdown tables those of
    all files, with numbers and dates as such, NULL for cells such as n/a, and ``user_city`` for a
    field in a field. Of another text they are its lines, and ``words(word, count)`` has its words;
    of a folder of tables each is one by its file's name. In the query ``judge(text, 'label',
    'label', ...)`` lets a sub-LM choose a label, ``extract(text, 'a', 'b')`` is what stands
    between two texts, and there are ``year``, ``month``, ``day``, ``hour``, ``regexp``,
    ``regexp_replace``, ``split_part``, ``concat``, ``median`` and ``stddev``. ``.answer`` is the
    value, or the values of the only column; with the ``question``, ``.doubt`` says which values
    that it names the query leaves out, and which it adds. Raises ``ValueError`` for a query that
    SQLite does not take."""
    return _sql.query(value, query, None if _guest is None else _judge, question)


def _judge(asked):
    """Return the label for each text, asking together what is asked alike."""
    labels = {}
    for question, choices in dict.fromkeys((each[1], each[2]) for each in asked):
        texts = [text for text, *alike in asked if (question, choices) == tuple(alike)]
        table = _guest.calls.llm_map(texts, question, labels=list(choices))
        labels.update({(t, question, choices): v for t, v in zip(texts, table.values)})
    return [labels[each] for each in asked]


def FINAL_VAR(value, evidence=None, doubt=None):
    """End the run with this value, or with the variable that a string literal names.

    ``doubt`` says in a sentence why the answer may be wrong: it is then not confirmed.
    ``evidence`` is a list of what it rests on: quotes of the input (str), places in it as
    characters (``(start, end)``, ``(file, start, end)``), or what ``find`` gives. A quote that
    stands in the input, white space aside, is shown as supported, any other as asserted.
    """
    _guest.finish(value, evidence=evidence, unsure=doubt)


def _named(name, evidence=None, doubt=None):
    """``FINAL_VAR("name")``: end the run with the caller's variable of that name, or with the word
    itself where there is none and it does not look like the name of one."""
    frame = sys._getframe(1)
    for names in (frame.f_locals, frame.f_globals):
        if name in names and not _guest.is_yielding(name, names[name]):
            return _guest.finish(names[name], name, evidence=evidence, unsure=doubt)
    _guest.finish_word(name, evidence, doubt)


class _Listing(str):
    """Text that a notebook shows as it is."""

    def __repr__(self):
        return str(self)


def SHOW_VARS():
    """The variables made so far: name, type, size."""
    lines = [variable_line(name, value) for name, value in _guest.variables()]
    return _Listing("\n".join(lines) or "no variables yet")


def variable_line(name, value):
    """Return a variable's name, type and size in a line. Never raises."""
    return "%s: %s%s" % (name, type(value).__name__, guarded(_size, value) or "")


def _size(value):
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return " of shape %s" % (shape,)
    return " of length %s" % format(len(value), ",")


llm_query.aio = _llm_query_aio  # type: ignore[attr-defined]
llm_query_batched.aio = _llm_query_batched_aio  # type: ignore[attr-defined]
llm_map.aio = _llm_map_aio  # type: ignore[attr-defined]
_llm_map_aio.__signature__ = inspect.signature(llm_map)  # type: ignore[attr-defined]
FINAL_VAR.named = _named  # type: ignore[attr-defined]


class Global(NamedTuple):
    """A name of ours in the cells' namespace. ``function`` is None for a variable; ``answered_by``
    says who answers its calls, which the host records: an ``"lm"`` or a ``"child"`` under its name,
    the ``"human"`` or the ``"host"`` itself as those of a tool, or nobody; a call of a ``batch``
    brings many prompts; ``asks_by`` names another whose calls it makes; ``told`` is false for what
    the system message leaves out; ``meaning`` is of a variable what a docstring is of a function.
    One that ``yields`` has a name that many give to variables of
    their own: a cell, a tool or an answer may take it."""

    name: str
    function: Optional[Callable[..., Any]] = None
    answered_by: Optional[str] = None
    batch: bool = False
    asks_by: Optional[str] = None
    told: bool = True
    yields: bool = False
    meaning: str = ""

    @property
    def call(self) -> str:
        """Return it as a cell writes it: ``name(parameters)``, or a variable's name alone."""
        return self.name + (str(inspect.signature(self.function)) if self.function else "")

    @property
    def told_call(self) -> str:
        """Return the same as the system message has it: names for ``model`` stand apart there."""
        return self.call.replace(", model=None", "")


GLOBALS = (
    Global("context", meaning="The input: a str, list, dict, bytes, DataFrame or folder mapping."),
    Global("llm_query", llm_query, answered_by="lm"),
    Global("llm_query_batched", llm_query_batched, answered_by="lm", batch=True),
    Global("llm_map", llm_map, answered_by="lm", batch=True),
    Global("llm_find", llm_find, answered_by="lm", asks_by="llm_map"),
    Global("llm_reduce", llm_reduce, answered_by="lm", asks_by="llm_map"),
    Global("rlm_query", rlm_query, answered_by="child"),
    Global("rlm_query_batched", rlm_query_batched, answered_by="child", batch=True),
    Global("limits_left", limits_left, answered_by="host"),
    Global("ask_human", ask_human, answered_by="human"),
    Global("rows", rows, yields=True),
    Global("find", find, yields=True),
    Global("look", look, told=False, yields=True),
    Global("sql", sql, asks_by="llm_map", told=False, yields=True),
    Global("FINAL_VAR", FINAL_VAR),
    Global("answer", told=False, meaning="A dict that ends the run once its ``ready`` is true."),
    Global("SHOW_VARS", SHOW_VARS),
)
NAMES = frozenset(g.name for g in GLOBALS)
YIELDING = frozenset(g.name for g in GLOBALS if g.yields)
RESERVED = NAMES - YIELDING
"""Those that no tool and no answer may be called."""
ANSWERED = frozenset(g.name for g in GLOBALS if g.answered_by is not None)
"""Those whose calls are answered outside of the kernel."""
ASKING = frozenset(g.name for g in GLOBALS if g.answered_by in ("lm", "child"))
"""Those of them that an LM or a child answers."""
OPS = frozenset(g.name for g in GLOBALS if g.name in ASKING and g.asks_by is None)
"""Those of them that calls and records have by name."""
CHILD_STARTING = frozenset(g.name for g in GLOBALS if g.answered_by == "child")
BATCHES = frozenset(g.name for g in GLOBALS if g.batch)
"""Those whose calls bring many prompts, each with its own slot."""
