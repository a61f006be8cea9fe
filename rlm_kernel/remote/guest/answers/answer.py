"""A value as an answer: its text, the name of its type, its JSON, and what belongs to it as a file.

Texts are whole: numpy and pandas cut nothing out of them. ``jsonable`` has the table of the rest.
"""

import base64
import contextlib
import io
import json
import sys
from typing import Any, NamedTuple, Optional

from ..errors import AnswerRefused
from ..forms import answer_tables
from ..forms.jsonable import MOST_CHARS, NoJSON, plain
from ..forms.schemas import WORDS, fault
from ..forms.type_expressions import parsed
from ..forms.type_schemas import NoSchema
from ..forms.typed_values import of_type
from ..wire import SNAPSHOT_BYTES

PICTURES = (("image/png", "png"), ("image/jpeg", "jpg"), ("image/svg+xml", "svg"))


class Attached(NamedTuple):
    """The suffix and the bytes of a file that belongs to an answer."""

    suffix: str
    data: bytes


class Written(NamedTuple):
    """``json`` is None where the value is the text itself. ``notice`` is for the LM."""

    text: str
    type: str
    json: Optional[str] = None
    attached: Optional[Attached] = None
    notice: Optional[str] = None
    evidence: tuple = ()

    def told(self) -> dict:
        """Return it for a cell's report, which carries the file's bytes beside it."""
        suffix = self.attached.suffix if self.attached else None
        told = {"text": self.text, "type": self.type, "value": self.json, "suffix": suffix}
        return {**told, "evidence": self.evidence}


def written(value: Any, display: Any = None) -> Written:
    """Return a value as an answer. ``display`` gives the MIME bundle of an object. Never raises,
    whatever the value's own methods do."""
    kind = type(value).__name__
    if type(value) is str:
        return _bounded(value, kind)
    try:
        if answer_tables.is_table(value) and answer_tables.is_cut(value):
            return _large_table(value, kind)
        data = plain(value, text_of)
        text = data if type(data) is str and isinstance(value, int) else text_of(value)
        if type(data) is not str:
            return _bounded(text, kind, json.dumps(data, ensure_ascii=False))
        picture = _picture(value, display)
        made = _bounded(text, kind, None if data == text else json.dumps(data, ensure_ascii=False))
        return made._replace(attached=picture)
    except NoJSON as error:
        return _unwritable(value, "it %s" % error)
    except Exception as error:  # noqa: BLE001 - a stranger's object may raise anything
        return _unwritable(value, "%s: %s" % (type(error).__name__, error))


def check(value: Any, wanted: dict, names: Any = None) -> Any:
    """Return the value as one of the ``wanted`` form: a ``schema``, and how it is ``said``; where
    that names a class, which ``names`` has, an instance. Raises ``AnswerRefused`` for a value that
    is none. What JSON has no form for is of none, whatever its text is."""
    try:
        wrong = fault(wanted["schema"], plain(value, _refused))
        if wrong is None:
            return _of_said(wanted["said"], value, names or {})
    except NoJSON as error:
        wrong = "it %s" % error
    except Exception as error:  # noqa: BLE001 - a stranger's object may raise anything
        wrong = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:300])
    raise AnswerRefused(
        "the answer, a %s, is not of the form that is wanted, %s: %s. Call FINAL_VAR again "
        "with a value that is" % (type(value).__name__, wanted["said"], wrong),
        wrong,
    )


def _of_said(said: str, value: Any, names: Any) -> Any:
    """Return the value as one of the type that a form says; itself where it says none."""
    try:
        form = None if said in WORDS else parsed(said, names)
    except NoSchema:  # it is a JSON Schema, or a class that is not there any more
        return value
    return value if form is None else of_type(form, value)


def _refused(value: Any) -> Any:
    raise NoJSON("is or holds a %s, for which JSON has no form" % type(value).__name__)


def text_of(value: Any) -> str:
    """Return a value's text, with nothing left out."""
    if isinstance(value, str):
        return str(value)
    if type(value).__module__ == "IPython.core.display" and isinstance(value.data, str):
        return str(value.data)  # of Markdown, HTML and the like str says the name of the class
    to_string = getattr(value, "to_string", None)  # a DataFrame's str leaves rows out
    if callable(to_string) and not isinstance(value, type):
        return str(to_string())
    with _nothing_cut():
        return str(value)


@contextlib.contextmanager
def _nothing_cut() -> Any:
    """Let numpy and pandas write all of an array and a table, and scalars as numbers."""
    with contextlib.ExitStack() as stack:
        numpy: Any = sys.modules.get("numpy")
        if hasattr(numpy, "printoptions"):
            scalars = {"legacy": "1.25"} if int(numpy.__version__.split(".")[0]) > 1 else {}
            options = numpy.printoptions(threshold=sys.maxsize, **scalars)
            stack.enter_context(options)
        pandas: Any = sys.modules.get("pandas")
        if hasattr(pandas, "option_context"):
            names = ("max_rows", "max_columns", "max_colwidth", "max_seq_items")
            whole = [part for name in names for part in ("display.%s" % name, None)]
            wide = ("display.expand_frame_repr", False)
            stack.enter_context(pandas.option_context(*whole, *wide))
        yield


def _bounded(text: str, kind: str, value: Optional[str] = None) -> Written:
    """Return the answer with at most ``MOST_CHARS`` of its text, which says what was cut."""
    if len(text) <= MOST_CHARS:
        return Written(text, kind, value)
    mark = "\n… (cut: the first %s of %s characters)" % (
        format(MOST_CHARS, ","), format(len(text), ",")
    )  # fmt: skip
    notice = "The answer is cut: %s characters are the most of its text." % format(MOST_CHARS, ",")
    return Written(text[:MOST_CHARS] + mark, kind, value, notice=notice)


def _large_table(table: Any, kind: str) -> Written:
    rows = len(table)
    data = json.dumps(plain(table, text_of), ensure_ascii=False)
    whole = answer_tables.csv_of(table)
    fits = len(whole) <= SNAPSHOT_BYTES
    where = "the whole is in its file" if fits else "as a file the whole would be too large"
    said = "the first %d of %s rows; %s" % (answer_tables.HEAD_ROWS, format(rows, ","), where)
    text = "%s\n… (cut: %s)" % (text_of(table.head(answer_tables.HEAD_ROWS)), said)
    made = _bounded(text, kind, data)
    return made._replace(attached=Attached("csv", whole) if fits else None)


def _unwritable(value: Any, why: str) -> Written:
    """Return the answer for a value that has no JSON, or whose own methods fail."""
    kind = type(value).__name__
    try:
        text = text_of(value)
    except Exception:  # noqa: BLE001 - a stranger's object may raise anything
        text = "<a %s that cannot be written>" % kind
    notice = "The answer is only the text of the %s: %s." % (kind, why[:300])
    made = _bounded(text, kind)
    return made._replace(notice=notice)


def _picture(value: Any, display: Any) -> Optional[Attached]:
    """Return the picture of a figure and of whatever else shows itself as one."""
    figure = getattr(value, "figure", value)  # of matplotlib's axes
    bundle = display(figure) if display is not None else {}
    for mime, suffix in PICTURES:
        data = bundle.get(mime)
        if isinstance(data, str):
            data = data.encode("utf-8") if suffix == "svg" else base64.b64decode(data)
        if data and len(data) <= SNAPSHOT_BYTES:
            return Attached(suffix, bytes(data))
    if not callable(getattr(figure, "savefig", None)):
        return None
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Attached("png", file.getvalue())
