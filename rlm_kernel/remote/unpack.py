"""Becomes the gateway, whose source is its first argument: compressed, since arguments are short.

``python -c`` gets this text whole; the arguments behind the first are the gateway's.
"""

import sys


def main() -> None:
    # Before any import: a cell may have put modules into the working folder.
    sys.path[:] = [folder for folder in sys.path if folder]
    import base64
    import zlib

    source = zlib.decompress(base64.b85decode(sys.argv.pop(1)))
    exec(compile(source, "gateway.py", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
