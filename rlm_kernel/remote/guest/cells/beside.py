"""Work beside a cell: in a subshell of the kernel, on a thread of its own."""

from ..errors import CallRefused

COMM = "rlm_comm_msg"
"""A widget's message that is to be taken in a subshell; by its own name ipykernel would keep it for
the thread that the widget spoke on last, which may run a cell for minutes."""
_ROUTE = "_reply_subshell_id"


def is_beside(shell):
    """Return whether this runs for a request to a subshell."""
    return bool(shell.kernel.get_parent("shell").get("header", {}).get("subshell_id"))


def unless_beside(shell, hook):
    """Return a hook of cells that is not called for those of a subshell."""

    def called(about):
        if not is_beside(shell):
            hook(about)

    return called


def refuse_beside(shell):
    """Raise ``CallRefused`` in a subshell: the cell that runs is not the one that calls."""
    if is_beside(shell):
        raise CallRefused("FINAL_VAR: a subshell answers nothing, use a cell of the notebook")


def take_comms(kernel):
    """Let the kernel take widgets' messages beside a cell."""
    manager = kernel.comm_manager

    def take(stream, ident, message):
        comm = manager.get_comm(message["content"].get("comm_id"))
        routed = hasattr(comm, _ROUTE)
        before = getattr(comm, _ROUTE, None)
        manager.comm_msg(stream, ident, message)
        if routed:  # the next one is for where the widget was
            setattr(comm, _ROUTE, before)
        elif hasattr(comm, _ROUTE):
            delattr(comm, _ROUTE)

    kernel.shell_handlers[COMM] = take
