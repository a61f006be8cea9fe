"""A whole run as one page that needs nothing else, and its way to a file.

The page's policy lets only its own script and style in, by their hashes, and images that stand in
it; the script makes elements from data, never HTML from text (Trusted Types hold it to that).
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

from ... import __version__
from ...errors import UsageError
from ...events import CallEnded, CellRan, Event, NodeStarted, RunStarted
from ...record.markdown import one_line, shorten
from ...record.recording import Recording
from ..provenance_of import Origins
from . import overview
from .calls import blocks
from .markup import Html, escaped, h, joined
from .timeline import timeline
from .turns import node_section

_MARK = b'<meta name="generator" content="rlm_kernel '
_MANY_TURNS = 60
"""With more, a browser lays out only the turns that are in view."""
_LOOKED_AT = 2000  # bytes of a file, in which an export has its mark


def page(recording: Recording, origins: Origins) -> str:
    """Return the page as text. Nothing of the run's settings is in it but the models' names."""
    style, script = _asset("page.css"), _asset("page.js")
    calls = _calls(recording)
    provenance = overview.provenance(origins)
    return Template(_asset("page.html")).substitute(
        version=__version__,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        title=escaped(shorten(one_line(recording.tree.question), 100) or "A run"),
        head=overview.head(recording),
        answer=overview.answer(recording),
        provenance=_section("provenance", provenance),
        timeline=_section("timeline", _timeline(recording)),
        nodes=_section("nodes", overview.nodes(recording.tree)),
        turns=_turns(recording),
        many=' class="many"' if recording.tree.turns > _MANY_TURNS else "",
        count=f"{len(calls):,}",
        prompts_note=_prompts_note(recording, calls),
        footer=overview.footer(recording, _versions(recording.events)),
        data=joined(*blocks(calls, _began(recording.events))),
    )


def _section(name: str, inner: Html | None) -> Html:
    return Html("") if inner is None else h("section", inner, id=name)


def _timeline(recording: Recording) -> Html | None:
    drawn = timeline(recording.events)
    if drawn is None:
        return None
    keys = [h("span", name, class_=f"key {name}") for name in ("turn", "cell", "call", "failed")]
    return joined(h("h2", "Timeline"), h("p", *keys, class_="keys"), drawn)


def _turns(recording: Recording) -> Html:
    own: dict[str, list[Event]] = {}
    for event in recording.events:
        own.setdefault(getattr(event, "node", ""), []).append(event)
    nodes = recording.tree.nodes
    told = {name for name, events in own.items() if any(isinstance(e, CellRan) for e in events)}
    shown = [node for node in nodes if node.id in told or not recording.alone]
    made = [node_section(n, own.get(n.id, []), root=n is nodes[0]) for n in shown]
    return joined(*made)


def _calls(recording: Recording) -> list[CallEnded]:
    """Return the calls by node, in the order in which they were asked."""
    order = {node.id: number for number, node in enumerate(recording.tree.nodes)}
    calls = [event for event in recording.events if isinstance(event, CallEnded)]
    return sorted(calls, key=lambda call: (order[call.node], call.call, call.index))


def _prompts_note(recording: Recording, calls: list[CallEnded]) -> Html:
    if not calls:
        return h("p", "This run made no sub-calls.", class_="note")
    if recording.alone:
        return h("p", "A notebook alone holds the replies but not the prompts.", class_="note")
    return Html("")


def _began(events: list[Event]) -> float:
    return next((event.time for event in events if isinstance(event, NodeStarted)), 0.0)


def _versions(events: list[Event]) -> str:
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    known = started.versions if started else {}
    return ", ".join(shorten(f"{name} {version}", 80) for name, version in list(known.items())[:8])


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def write(text: str, path: Path, *, force: bool = False) -> None:
    """Put the page there, whole or not at all. Only an older export is written over, or anything
    with ``force``. Raises ``UsageError``."""
    try:
        if path.exists() and not force and not _is_export(path):
            raise UsageError(
                f"{path}: this file is not an export of a run; "
                "choose another name, or overwrite it with --force"
            )
        _replace(path, text.encode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error


def _is_export(path: Path) -> bool:
    if not path.is_file():
        return False  # a pipe would keep us waiting
    with path.open("rb") as file:
        return _MARK in file.read(_LOOKED_AT)


def _replace(path: Path, data: bytes) -> None:
    descriptor, half = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(half, path)
    except OSError:
        os.unlink(half)
        raise
