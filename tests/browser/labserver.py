"""JupyterLab as a process that ends when its standard input does, however its parent ended.

Its first line on standard output is its address, printed once it listens.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from jupyterlab.labapp import LabApp


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)  # the server then shuts its kernels down


def main() -> None:
    server = LabApp.initialize_server(sys.argv[1:])
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    # The loop runs its callbacks in order, and the server's first one opens the port.
    server.io_loop.add_callback(print, f"http://127.0.0.1:{server.port}", flush=True)
    server.start()


if __name__ == "__main__":
    main()
