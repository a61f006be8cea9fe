"""A cell that starts processes until it is stopped."""

from __future__ import annotations

FORK_BOMB = """
import os, signal, time
children = []
try:
    while len(children) < {most}:
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
        children.append(pid)
except OSError as error:
    print(type(error).__name__, end=" ")
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(len(children))
"""
"""``most`` is how many it is content with. It prints the error that stopped it before, if one did,
and how many there were; then it has ended them.
"""
