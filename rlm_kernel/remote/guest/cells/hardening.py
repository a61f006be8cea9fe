"""What keeps a kernel usable whatever its cells do to it, and our frames out of its tracebacks."""

import json
import os
import sys
import threading


def hide_our_frames(shell):
    """Let tracebacks leave our own frames out.

    They say nothing to an LM, and their temporary paths would differ in a replay.
    """
    show, thread_hook = shell.InteractiveTB.structured_traceback, threading.excepthook

    def shown(etype, evalue, *args, **kwargs):
        _trim(evalue)
        return show(etype, evalue, *args, **kwargs)

    def of_thread(args):
        _trim(args.exc_value)
        thread_hook(args)

    shell.InteractiveTB.structured_traceback = shown
    threading.excepthook = of_thread


def _trim(error):
    ours, seen = os.path.dirname(os.path.dirname(__file__)), set()  # the whole guest
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kept, frame = None, error.__traceback__
        while frame is not None:
            if not frame.tb_frame.f_code.co_filename.startswith(ours):
                kept = frame
            elif kept is None:
                error.__traceback__ = frame.tb_next
            else:
                kept.tb_next = frame.tb_next
            frame = frame.tb_next
        error = error.__cause__ or error.__context__


def harden(session):
    """Let the kernel's own channels survive what cells do to them.

    ipykernel cannot send a lone surrogate, and a closed stdout stays closed for every later cell.
    """
    pack_message = session.pack

    def pack_any(message):
        try:
            return pack_message(message)
        except UnicodeEncodeError:
            return json.dumps(message, default=str).encode("ascii")

    session.pack = pack_any
    for stream in (sys.stdout, sys.stderr):
        stream.close = stream.flush  # type: ignore[method-assign]
