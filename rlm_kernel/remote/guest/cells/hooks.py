"""What a question's cells may change in how a kernel runs cells, and how that is taken back.

The host sends this file at a question's beginning and at its end, and has it run with none of the
shell's hooks and transformers on the way: ``begin`` notes how things are, ``end`` puts them back
and names what was changed. What a human's own cells set up is there at the beginning, and stays;
so does what an installed package sets up meanwhile, as matplotlib does once it is imported.

Not promised: code in the same process can undo all of this, and a thread that it leaves goes on.
"""

import builtins
import functools
import os
import signal
import sys
import sysconfig
import threading
import types
from typing import Any

GUEST = "rlm_guest"
CODE = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, type,
    staticmethod, classmethod, property,
)  # fmt: skip
WATCHED = ("IPython.core.", "ipykernel.", "jupyter_client.session", GUEST)
"""Modules whose functions and classes run cells, report them, and send what they put out."""
LIBRARY = ("builtins", "json", "json.decoder", "json.encoder", "socket", "threading")
SYSTEM = ("excepthook", "displayhook", "unraisablehook", "breakpointhook")
PRINTERS = ("singleton_printers", "type_printers", "deferred_printers")
_MISSING = object()


def begin():
    """Note how things are."""
    sys.modules[GUEST].__dict__["_before"] = Before()


def end():
    """Put back what was changed since ``begin``; the names of what that was. Raises where the note
    is gone, or was changed itself."""
    return list(dict.fromkeys(sys.modules[GUEST].__dict__.pop("_before").restore()))


class Before:
    """The state of things before a question."""

    def __init__(self):
        shell = _shell()
        self._spaces = [Space(name, owner) for name, owner in _owners(shell)]
        self._lists = [(name, value, list(value)) for name, value in _lists(shell)]
        self._dicts = [(name, value, dict(value)) for name, value in _dicts(shell)]
        self._signals = {n: signal.getsignal(n) for n in signal.valid_signals()}
        self._timer = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        self._traces = sys.gettrace(), sys.getprofile()
        self._custom = shell.custom_exceptions
        self._types = list(shell.display_formatter.active_types)

    def kernel_anew(self):
        """Note how another kernel is, which has the place of the one that was noted."""
        owners = dict(_owners(_shell()))
        for place, space in enumerate(self._spaces):
            owner = owners.get(space.name, space.owner)
            if owner is not space.owner:
                self._spaces[place] = Space(space.name, owner)

    def restore(self):
        """Put everything back; the names of what had been changed."""
        changed = [name for space in self._spaces for name in space.restore()]
        changed += [name for name, value, was in self._lists if _restore_list(value, was)]
        changed += [
            name
            for name, value, was in self._dicts
            if _restore_dict(value, was, lazy=name.endswith("magics"))  # are loaded when used
        ]
        return changed + self._restore_process() + self._restore_shell()

    def _restore_process(self):
        changed = []
        for number, handler in self._signals.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
                changed.append("signal %d" % number)
        if not self._timer and signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, 0)
            changed.append("a timer")
        if (sys.gettrace(), sys.getprofile()) != self._traces:
            sys.settrace(self._traces[0])
            sys.setprofile(self._traces[1])
            changed.append("sys.settrace")
        for name, hook in (("settrace", "_trace_hook"), ("setprofile", "_profile_hook")):
            found = getattr(threading, hook, None)
            if found is not None and not installed(found):
                getattr(threading, name)(None)
                changed.append("threading.%s" % name)
        return changed

    def _restore_shell(self):
        shell, changed = _shell(), []
        if shell.custom_exceptions != self._custom:
            shell.custom_exceptions = self._custom
            changed.append("set_custom_exc")
        if list(shell.display_formatter.active_types) != self._types:
            shell.display_formatter.active_types = self._types
            changed.append("active_types")
        return changed


class Space:
    """The code in the attributes of one module, class, function or object, and its own."""

    def __init__(self, name, owner):
        self.name = name
        self.owner = owner
        self._code = getattr(owner, "__code__", None)
        # Of a module and a class new names do no harm; of an object they hide its class's.
        self._whole = not isinstance(owner, (type, types.ModuleType))
        # What is only underscores on the display hook are the last results.
        names = SYSTEM if owner is sys else [key for key in vars(owner) if key.strip("_")]
        found: list[tuple[str, Any]] = [(key, vars(owner).get(key)) for key in names]
        self._was: dict[str, tuple[Any, Any]] = {
            k: (v, getattr(v, "__code__", None)) for k, v in found if isinstance(v, CODE)
        }

    def restore(self):
        now, changed = vars(self.owner), []
        if self._code is not None and self.owner.__code__ is not self._code:
            self.owner.__code__ = self._code
            changed.append(self.name)
        for key, (value, code) in self._was.items():
            if now.get(key, _MISSING) is not value:
                setattr(self.owner, key, value)
                changed.append("%s.%s" % (self.name, key))
            if code is not None and value.__code__ is not code:
                getattr(value, "__func__", value).__code__ = code
                changed.append("%s.%s" % (self.name, key))
        if self._whole:
            new = [k for k, v in now.items() if k.strip("_") and isinstance(v, CODE)]
            for key in [k for k in new if k not in self._was and not installed(now[k])]:
                delattr(self.owner, key)
                changed.append("%s.%s" % (self.name, key))
        return changed


def _shell():
    from IPython import get_ipython

    return get_ipython()


def _owners(shell):
    """Names and things whose attributes are watched."""
    guest = sys.modules[GUEST]
    yield "sys", sys
    for name, module in list(sys.modules.items()):
        ours = name in LIBRARY or name.startswith(WATCHED)
        if not ours or not isinstance(module, types.ModuleType):
            continue
        yield name, module
        if name not in LIBRARY:
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and value.__module__ == name:
                    yield "%s.%s" % (name, key), value
    yield "json.JSONEncoder", sys.modules["json"].JSONEncoder
    yield "socket.socket", sys.modules["socket"].socket
    yield "threading.Thread", threading.Thread
    yield "shell", shell
    for name in ("kernel", "events", "input_transformer_manager", "display_formatter"):
        yield "shell.%s" % name, getattr(shell, name)
    for name in ("display_pub", "displayhook", "InteractiveTB", "compile", "history_manager"):
        yield "shell.%s" % name, getattr(shell, name)
    for mime, formatter in shell.display_formatter.formatters.items():
        yield "the formatter of %s" % mime, formatter
    yield "the kernel's session", shell.kernel.session
    for name in ("broker", "calls", "seeds", "_writers"):
        yield "the guest's %s" % name, getattr(guest._guest, name)
    yield "the guest", guest._guest
    for name, value in guest._guest.names.items():
        if isinstance(value, types.FunctionType):
            yield name, value


def _lists(shell):
    manager = shell.input_transformer_manager
    yield "ast_transformers", shell.ast_transformers
    yield "input_transformers_post", shell.input_transformers_post
    yield "cleanup_transforms", manager.cleanup_transforms
    yield "line_transforms", manager.line_transforms
    yield "token_transformers", manager.token_transformers
    for event, callbacks in shell.events.callbacks.items():
        yield event, callbacks
    yield "sys.meta_path", sys.meta_path
    yield "sys.path_hooks", sys.path_hooks


def _dicts(shell):
    yield "the REPL's globals", sys.modules[GUEST]._guest.names
    yield "the events", shell.events.callbacks
    yield "the formatters", shell.display_formatter.formatters
    for mime, formatter in shell.display_formatter.formatters.items():
        for name in PRINTERS:
            if hasattr(formatter, name):
                yield "the formatter of %s" % mime, getattr(formatter, name)
    for kind, magics in shell.magics_manager.magics.items():
        yield "%s magics" % kind, magics


def _restore_list(value, was):
    kept = was + [item for item in value if not _among(item, was) and installed(item)]
    changed = len(kept) != len(value) or any(a is not b for a, b in zip(kept, value))
    if changed:
        value[:] = kept
    return changed


def _restore_dict(value, was, lazy):
    new = [key for key in value if key not in was and not installed(value[key])]
    other = [key for key in was if value.get(key, _MISSING) is not was[key]]
    if lazy:
        other = [key for key in other if not installed(value.get(key))]
    for key in new:
        del value[key]
    for key in other:
        value[key] = was[key]
    return bool(new or other)


def _among(item, items):
    # By identity, but for methods, which are made anew each time.
    return any(item is other or (isinstance(item, types.MethodType) and item == other)
               for other in items)  # fmt: skip


_PLAIN = (str, int, float, bool, type(None))


def installed(value):
    """Return whether a hook would run the code of an installed package, as its file has it."""
    if isinstance(value, types.MethodType):
        return installed(type(value.__self__)) and installed(value.__func__)
    if isinstance(value, types.FunctionType):
        return _in_its_file(value.__code__)
    if type(value) is functools.partial:  # as the printers of matplotlib's figures are
        given = [*value.args, *value.keywords.values()]
        return installed(value.func) and all(type(one) in _PLAIN for one in given)
    kind = value if isinstance(value, type) else type(value)
    code = [v.__code__ for v in vars(kind).values() if isinstance(v, types.FunctionType)]
    return bool(code) and all(map(_in_its_file, code))


def _in_its_file(code):
    path = os.path.realpath(code.co_filename)
    folders = {os.path.realpath(sysconfig.get_path(n)) for n in ("stdlib", "purelib", "platlib")}
    if not path.startswith(tuple(folder + os.sep for folder in folders)):
        return False
    try:
        with open(path, "rb") as file:
            return _holds(builtins.compile(file.read(), code.co_filename, "exec"), code)
    except (OSError, SyntaxError, ValueError):
        return False


def _holds(whole, code):
    return whole == code or any(
        _holds(part, code) for part in whole.co_consts if isinstance(part, types.CodeType)
    )
