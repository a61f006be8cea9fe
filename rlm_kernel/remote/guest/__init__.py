"""The guest: what runs inside the inner kernel and defines the REPL globals.

This package is sent to the kernel as it is, so it imports nothing but the standard library, what
ipykernel brings and itself, keeps to Python 3.9 syntax and is given no secret but the broker's
token of its own node. The host trusts nothing that it sends.

Its rooms: ``cells`` surrounds each cell, ``reading`` reads what a value holds, ``maps`` asks about
many items, ``forms`` has the forms of values, ``answers`` what ``FINAL_VAR`` was given, and
``frozen`` forks the kernel. The functions here are what the host calls in the kernel. The host
itself imports only modules that need no IPython: of ``cells`` and ``frozen`` none.
"""

import json
import os

_guest = None
_freezer = None


def boot(path):
    """Define the globals in this kernel. Called once, by the host, before the first cell.

    ``path`` holds the configuration, the token among it; it is deleted once read.
    """
    from IPython import get_ipython

    from .cells.beside import take_comms
    from .cells.interrupts import reach_what_awaits
    from .cells.threads import mark_threads
    from .cells.writers import lose_no_output
    from .guest import Guest

    global _guest, _freezer
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    os.unlink(path)
    mark_threads()
    lose_no_output(get_ipython().kernel)
    reach_what_awaits(get_ipython())
    take_comms(get_ipython().kernel)
    _guest = Guest(get_ipython(), config)
    from .frozen.losses import can_be_seen

    if can_be_seen():
        from .frozen.freezing import Freezer

        folder = os.path.dirname(get_ipython().kernel.parent.connection_file)
        _freezer = Freezer(_guest, folder, config["address"])


def freeze(path):
    """Take a frozen fork that waits at ``path``; return what ``Freezer.freeze`` does, as JSON."""
    if _freezer is None:
        return json.dumps({"error": "this system has no fork of the kind that is needed"})
    try:
        return json.dumps(_freezer.freeze(path))
    except OSError as error:
        return json.dumps({"error": str(error)})


def is_awake():
    """Return whether this is a kernel that has woken and is ready for its first cell."""
    return _freezer is not None and _freezer.is_awake()


def find(name):
    """Look for a variable of the kernel."""
    assert _guest is not None
    _guest.find(name)


def adopt(name):
    """Take a variable of the kernel as its input."""
    assert _guest is not None
    _guest.adopt(name)


def seed(number):
    """Seed what the cells draw from; None lets it go on from where it was before."""
    assert _guest is not None
    _guest.seeds.end()
    if number is not None:
        _guest.bound.clear()
        _guest.given.clear()
        _guest.seeds.begin(number)


def is_given():
    """Return whether a cell of the question has given an answer."""
    assert _guest is not None
    return bool(_guest.given)


def given():
    """Return the object that was given as the last answer. Raises ``IndexError``."""
    assert _guest is not None
    return _guest.given[-1]


def form(text):
    """Tell the host the JSON Schema of a type expression that may name classes of the kernel."""
    assert _guest is not None
    _guest.form(text)


def set_context(spec, path):
    """Give the kernel its input: ``spec`` says how to read the bytes at ``path``."""
    assert _guest is not None
    _guest.set_context(spec, path)
