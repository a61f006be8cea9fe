"""What the input of a run becomes: the bytes, and how the guest must read them.

Nothing here holds a file in memory but JSON, which is parsed to see whether it can be. All of it
blocks: a caller on the event loop runs it in a thread.
"""

from .files import from_path, url_problem
from .recorded import find
from .source import Source
from .standing import standing
from .values import from_value

__all__ = ["Source", "find", "from_path", "from_value", "standing", "url_problem"]
