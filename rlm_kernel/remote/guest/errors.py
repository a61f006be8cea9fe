"""Errors as the code in a cell sees them."""

FAILED_TEXTS: "set[str]" = set()
"""The texts of replies that failed, ``MAX_TEXTS`` at most: code makes plain texts of them."""
MAX_TEXTS = 1000


class LMError(RuntimeError):
    """A sub-LM or child gave no reply. ``cause`` is a word, ``attempts`` the requests made."""

    def __init__(self, message, cause="unknown", attempts=0):
        super().__init__(message)
        self.cause = cause
        self.attempts = attempts


class LimitReached(RuntimeError):
    """The run reached a limit; no further call will be served."""


class CallRefused(ValueError, RuntimeError):  # the second as every error of a call
    """The call cannot be served as it was written; the text says what to do instead."""


class ToolError(RuntimeError):
    """A tool raised on the host; the text is its error."""


class UsageError(RuntimeError):
    """Something handed in cannot be used here; the host raises its own error of this name."""


class AnswerRefused(TypeError):
    """Raised by ``FINAL_VAR`` for a value that is not of the form that is wanted; ``wrong`` is what
    is wrong with it."""

    def __init__(self, message, wrong):
        super().__init__(message)
        self.wrong = wrong


class FailedReply(str):
    """The slot of a batch whose prompt failed: a str beginning ``Error:``; see ``.error``."""

    error: Exception

    def __new__(cls, error):
        reply = super().__new__(cls, "Error: %s" % error)
        reply.error = error
        if len(FAILED_TEXTS) < MAX_TEXTS:
            FAILED_TEXTS.add(reply.strip())
        return reply


def from_host(data):
    """The exception for an error that the host sent."""
    message = data["message"]
    if data["type"] == "LMError":
        return LMError(message, data.get("cause", "unknown"), data.get("attempts", 0))
    known = {"LimitReached": LimitReached, "CallRefused": CallRefused, "ToolError": ToolError}
    return known.get(data["type"], RuntimeError)(message)
