"""A fork of a kernel made a kernel of its own: another connection file, another session, streams,
channels and threads; the same shell, with all that its cells have made."""

import asyncio
import atexit
import os
import signal
import sys

from ..cells.hardening import harden
from ..cells.interrupts import reach_what_awaits
from ..cells.writers import lose_no_output
from .history import begin_anew

ONCE = (
    "init_crash_handler", "init_poller", "init_path", "init_pdb", "init_gui_pylab",
    "init_extensions", "init_code", "patch_io", "configure_tornado_logger",
)  # fmt: skip
"""Steps of a kernel's start that were taken in the process that was forked."""


def be_kernel(guest, order, mask, anew):
    """Serve as the kernel of the connection file that the order names, with ``mask`` for its
    signals. ``anew`` is told of the broker's address before its first cell. Never returns."""
    shell = guest.shell
    old = shell.kernel
    _leave_loop()
    old._restore_input()
    if shell.builtin_trap._nested_level:  # we are in the middle of a request
        shell.builtin_trap.__exit__(None, None, None)
    app = _app(old, order["connection_file"])
    shown = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    app.initialize([])
    _renew(guest, (sys.stdout, sys.stderr))
    sys.stdout, sys.stderr = shown
    shell.kernel = shell.parent = app.kernel
    for comm in getattr(app.kernel.comm_manager, "comms", {}).values():
        comm.kernel = app.kernel
    begin_anew(shell.history_manager)
    guest.broker.renew(order["address"], order["token"])
    _surround(shell, old)
    anew(order["address"])
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    app.start()
    atexit._run_exitfuncs()
    os._exit(0)


def _renew(guest, streams):
    """Let the streams that cells know, and perhaps keep, write where those of this kernel do."""
    for stream, new in zip(guest._streams, streams):
        stream.__dict__.update(vars(new))
        stream._rlm_keeps = new  # it closes what it writes to once it is collected


def _surround(shell, old):
    """Put around the new kernel what is around one that was booted."""
    old.session.key = b""
    harden(shell.kernel.session)
    lose_no_output(shell.kernel)
    reach_what_awaits(shell)
    noted = sys.modules["rlm_guest"].__dict__.get("_before")
    if noted is not None:  # a question goes on
        noted.kernel_anew()


def _leave_loop():
    """Forget the event loop that ran when this process was forked."""
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(asyncio.new_event_loop())
    signal.set_wakeup_fd(-1)


def _app(old, connection_file):
    """Return the application of another kernel; the one of ``old`` must not be closed here."""
    import zmq

    before = old.parent
    for done in (before.close, before.cleanup_connection_file):
        atexit.unregister(done)
    zmq.Context._instance = None
    for single in (type(before), type(old)):
        single.clear_instance()
    app = type(before).instance(connection_file=connection_file, parent_handle=1)
    for step in ONCE:
        setattr(app, step, _nothing)
    return app


def _nothing(*given):
    pass
