"""IPython's history over a fork: a thread of the kernel's own writes it to a database."""

import contextlib
import threading

WRITTEN_S = 0.2
"""So long a fork waits for what is being written."""
LOCKS = ("db_input_cache_lock", "db_output_cache_lock")
"""Held while there is a transaction, and a lock of SQLite's on the file."""


@contextlib.contextmanager
def at_rest(history):
    """Let nothing be written meanwhile, where that can be had in ``WRITTEN_S``."""
    with contextlib.ExitStack() as held:
        for lock in (getattr(history, name, None) for name in LOCKS):
            if lock is not None and lock.acquire(timeout=WRITTEN_S):
                held.callback(lock.release)
        yield


def begin_anew(history):
    """Begin a session of the history in a kernel that has woken: the thread that writes it is gone,
    and what waited to be written is written by the process that was forked."""
    if history is None or not history.enabled:
        return
    for name in LOCKS:
        setattr(history, name, threading.Lock())
    history.db_input_cache, history.db_output_cache = [], []
    history.init_db()
    history.new_session()
    saves = type(history.save_thread)
    if history.save_thread is not None:
        history.save_thread = saves(history)
        history.save_thread.start()
