"""Becomes the relay, whose source comes through the pipe; ``python -c`` gets this text whole.

First come the names of modules that the kernel needs, with blanks between, then the source, each
behind its size in four bytes. Where a module is missing this ends, so that the start fails as one.
"""

import os
import sys


def take(size: int) -> bytes:
    """Return the next bytes of standard input, unbuffered: what follows is the relay's."""
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit("the pipe ended before the relay had come")
        data += more
    return data


def take_piece() -> bytes:
    return take(int.from_bytes(take(4), "big"))


def main() -> None:
    # Before any import: a cell may have put modules into the working folder.
    sys.path[:] = [folder for folder in sys.path if folder]
    import importlib.util
    import types

    for name in take_piece().decode().split():
        if importlib.util.find_spec(name) is None:
            sys.exit("no " + name)
    source = take_piece()
    relay = sys.modules["relay"] = types.ModuleType("relay")
    exec(compile(source, "relay.py", "exec"), relay.__dict__)
    relay.main()


if __name__ == "__main__":
    main()
