"""Fakes for the tests of those who build on this package: an LM, an endpoint, a REPL.

They are public. The tests of this package itself are beside it, in ``tests``.
"""

from __future__ import annotations

from .endpoint import Exchange, FakeEndpoint
from .fake_repl import FakeRepl
from .faults import CutStream, EmptyChoice, Fault, Garbage, Hang, Refusal, Say, Slow, Status
from .quirk import Quirk
from .quirky import QUIRKS, QuirkyEndpoint
from .scripted import ScriptedLM, images_of

__all__ = [
    "QUIRKS",
    "CutStream",
    "EmptyChoice",
    "Exchange",
    "FakeEndpoint",
    "FakeRepl",
    "Fault",
    "Garbage",
    "Hang",
    "Quirk",
    "QuirkyEndpoint",
    "Refusal",
    "Say",
    "ScriptedLM",
    "Slow",
    "Status",
    "images_of",
]
