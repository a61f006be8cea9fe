"""The first process of a Modal sandbox: it ends, and the sandbox with it, when nobody needs it.

It stays while a relay is connected to it, at first for ``patience`` seconds without any, and in the
end until the last relay's own end could be looked at. Arguments: the working folder, which it
makes, and the seconds. ``python -c`` gets this text whole.
"""

import os
import select
import socket
import sys

FOLDER = "~/.rlm"
"""Of its socket: in root's home no other user gets at it."""
LINGER_S = 6.0


def make_folder(folder: str, mode: int) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, mode)


def keep(listener: socket.socket, patience: float) -> None:
    """Return when no relay is left, or none came in time."""
    relays: list[socket.socket] = []
    while True:
        ready = select.select([listener, *relays], [], [], None if relays else patience)[0]
        if not ready:
            return
        for each in ready:
            if each is listener:
                relays.append(listener.accept()[0])
            elif not each.recv(1):
                relays.remove(each)
                each.close()
                patience = LINGER_S


def main() -> None:
    work, patience = sys.argv[1], float(sys.argv[2])
    own = os.path.expanduser(FOLDER)
    make_folder(work, 0o1777)
    make_folder(own, 0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(own + "/keeper")
    listener.listen(64)
    print("ready", flush=True)
    keep(listener, patience)


if __name__ == "__main__":
    main()
