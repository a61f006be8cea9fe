"""Which cell a call belongs to."""

import concurrent.futures
import contextvars
import threading

cell_now = contextvars.ContextVar("rlm_cell", default=None)


def current_cell():
    """The cell this code was started by, also in threads and tasks that outlive it."""
    cell = cell_now.get()
    return cell if cell is not None else getattr(threading.current_thread(), "_rlm_cell", None)


def _run_in_cell(cell, function, args, kwargs):
    token = cell_now.set(cell)
    try:
        return function(*args, **kwargs)
    finally:
        cell_now.reset(token)


def mark_threads():
    """Make threads and pool jobs remember the cell that started them.

    A new thread starts with an empty context (Python before 3.14), and a pool's worker serves
    jobs of later cells, so both need a mark of their own.
    """
    start = threading.Thread.start
    submit = concurrent.futures.ThreadPoolExecutor.submit

    def marked_start(self):
        self._rlm_cell = current_cell()
        start(self)

    def marked_submit(self, fn, /, *args, **kwargs):
        return submit(self, _run_in_cell, current_cell(), fn, args, kwargs)

    threading.Thread.start = marked_start  # type: ignore[method-assign]
    concurrent.futures.ThreadPoolExecutor.submit = marked_submit  # type: ignore
