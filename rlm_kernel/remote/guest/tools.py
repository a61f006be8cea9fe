"""The user's tools that run here: modules made of the source that the host sent."""

import importlib.util
import linecache
import sys
import traceback
import types

from .errors import CallRefused, UsageError
from .replies import of_slot
from .values import plain

PACKAGE = "rlm_tools"


def define(modules, names):
    """The tools by name, in modules of their own, so that no name of theirs is one of the cells'.

    Each of ``modules`` is a dict: ``name`` below ``PACKAGE``; ``source``; ``tools``, the name of
    each tool to what it is called in the source; ``needs``, the name of each module that is
    imported to the ``tool`` that needs it and the ``package`` that has it. ``names`` are what they
    may import from the package itself. Raises ``UsageError`` where one cannot be defined.
    """
    for module in modules:
        _check(module["needs"])
    package = types.ModuleType(PACKAGE, __doc__)
    package.__path__ = []
    vars(package).update(names)
    sys.modules[PACKAGE] = package
    return {tool: value for module in modules for tool, value in _made(module).items()}


def called_back(calls, name, signature, doc):
    """Return the function of a tool that runs in the host's process."""

    def tool(*args, **kwargs):
        kwargs_and_args = {"args": list(args), "kwargs": kwargs}
        if not plain(kwargs_and_args):
            raise CallRefused("%s takes JSON values only (str, numbers, lists, dicts, None)" % name)
        return of_slot(calls.tool(name, **kwargs_and_args))

    tool.__name__ = name
    tool.__doc__ = "%s%s\n\n%s" % (name, signature, doc)
    return tool


def named_of_main(functions):
    """Let multiprocessing pickle functions by name."""
    for name, function in functions.items():
        function.__module__, function.__qualname__ = "__main__", name


def _check(needs):
    for module, need in needs.items():
        if not findable(module):
            raise UsageError(
                "the tool %r needs the package %s, which is not installed where the cells run: for "
                "a container name it in the setting `packages`, else install it for the kernel"
                % (need["tool"], need["package"])
            )


def findable(module):
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _made(module):
    name = "%s.%s" % (PACKAGE, module["name"])
    made = types.ModuleType(name)
    made.__file__ = "<tools of %s>" % module["name"]
    # Tracebacks and inspect find the lines there; without a time they are never looked for.
    lines = module["source"].splitlines(True)
    linecache.cache[made.__file__] = len(module["source"]), None, lines, made.__file__
    sys.modules[name] = made
    try:
        exec(compile(module["source"], made.__file__, "exec", dont_inherit=True), vars(made))
        return {tool: vars(made)[there] for tool, there in module["tools"].items()}
    except Exception as error:  # noqa: BLE001 - the code is the user's: any error is of its making
        raise UsageError(
            "the tools %s cannot be defined where the cells run: %s: %s%s"
            % (
                ", ".join(module["tools"]) or "of " + module["name"],
                type(error).__name__,
                error,
                _place(error, made),
            )
        ) from None


def _place(error, made):
    """The last line of the source that took part in an error, if one did."""
    number = error.lineno if isinstance(error, SyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == made.__file__:
            number = frame.lineno
    line = linecache.getline(made.__file__, number).strip() if number else ""
    return " (at `%s`)" % line if line else ""
