"""What ``%rlm`` and ``%%rlm`` mean inside of a kernel: nothing, or a word on where to write them.

They are the human's words to the host, which reads them before a cell runs and says in the
request how many it took. A cell cannot give the host orders by calling them.
"""

from IPython.core.error import UsageError


class _Words:
    def __init__(self, shell):
        self._shell = shell
        self._request = None
        self._left = 0

    def line(self, line):
        """A command to the RLM kernel; ``%rlm help`` lists them."""
        request = self._shell.kernel.get_parent("shell")
        if request is not self._request:
            self._request = request
            self._left = request.get("metadata", {}).get("rlm", {}).get("commands", 0)
        if not self._left:
            raise UsageError(
                "%rlm lines stand at the top of a human's cell in a notebook with the kernel RLM"
            )
        self._left -= 1

    def cell(self, line, cell):
        """Ask the LM: ``%%rlm [NAME] [options]``, and below it the question."""
        request = self._shell.kernel.get_parent("shell")
        if not request.get("metadata", {}).get("rlm", {}).get("question"):
            raise UsageError(
                "%%rlm begins a human's cell in a notebook with the kernel RLM; in code, "
                "rlm_query(question, context) asks"
            )


def register(shell):
    words = _Words(shell)
    shell.register_magic_function(words.line, "line", "rlm")
    shell.register_magic_function(words.cell, "cell", "rlm")
