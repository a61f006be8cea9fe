"""Interrupts that reach a cell which awaits."""

import asyncio
import contextlib
import signal


def reach_what_awaits(shell):
    """Let SIGINT end a cell of asyncio code at once, whatever it does at that moment.

    ipykernel's own handler only notes that the cell is to be cancelled: a loop that waits looks at
    that when the next message comes, and code that does not return to the loop never ends.
    """
    kernel = shell.kernel
    cancelling = getattr(kernel, "_cancel_on_sigint", None)
    if cancelling is None:
        return

    @contextlib.contextmanager
    def cancel_on_sigint(cell):
        with cancelling(cell):
            loop = asyncio.get_running_loop()

            def interrupted(number, frame):
                task = asyncio.current_task()
                if task is None or not _in_cell(frame, shell.user_ns):
                    cell.cancel()  # at once: its next step may be one that does not return
                    loop.call_soon_threadsafe(lambda: None)  # wakes it
                elif task is cell:
                    raise KeyboardInterrupt
                else:  # a KeyboardInterrupt in a task that the cell made would end the kernel
                    cell.cancel()
                    raise asyncio.CancelledError

            signal.signal(signal.SIGINT, interrupted)
            yield

    kernel._cancel_on_sigint = cancel_on_sigint


def _in_cell(frame, names):
    """Return whether code that a cell defined runs, or was called from there."""
    while frame is not None and frame.f_globals is not names:
        frame = frame.f_back
    return frame is not None
