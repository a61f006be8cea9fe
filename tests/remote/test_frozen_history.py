"""IPython's history over a fork: what its thread writes meanwhile."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from rlm_kernel.remote.guest.frozen.history import at_rest


def _history() -> SimpleNamespace:
    return SimpleNamespace(
        db_input_cache_lock=threading.Lock(), db_output_cache_lock=threading.Lock()
    )


def test_a_fork_waits_for_what_is_being_written_and_lets_nothing_be_written() -> None:
    history, written = _history(), list[str]()

    def write() -> None:
        written.append("a line")
        history.db_input_cache_lock.release()

    history.db_input_cache_lock.acquire()
    threading.Timer(0.02, write).start()
    with at_rest(history):
        assert written == ["a line"]
        assert history.db_input_cache_lock.locked()
        assert history.db_output_cache_lock.locked()
    assert not history.db_input_cache_lock.locked()


def test_a_fork_does_not_wait_for_ever_and_leaves_what_is_not_its_own() -> None:
    history = _history()
    history.db_output_cache_lock.acquire()
    with at_rest(history):
        assert history.db_input_cache_lock.locked()
    assert history.db_output_cache_lock.locked()
    with at_rest(None):
        pass
