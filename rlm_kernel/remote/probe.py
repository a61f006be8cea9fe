"""Says, as JSON, which Python an image has and what it lacks of what a kernel needs.

``python -c`` gets this text whole.
"""

import importlib
import json
import sys

NEEDED = ("zmq", "ipykernel")


def lacks() -> list[str]:
    """Return why each needed module cannot be imported."""
    found = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            found.append(str(error))
    return found


if __name__ == "__main__":
    print(json.dumps([sys.version_info[:2], lacks()]))
