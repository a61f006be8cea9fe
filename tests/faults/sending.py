"""What a cell does to send a message of any form: this file's source is part of the cell."""

from __future__ import annotations


def send(channel: str, header: str, content: str, metadata: str) -> None:
    """Send the parts, which are JSON, signed as the kernel signs and caused by the running cell.

    In a text ``<<huge>>`` stands for a text of two million characters, ``<<deep N>>`` for lists
    that are nested so deep: as source they would take the cell long to compile.
    """
    import json
    import re

    def grown(part: str) -> bytes:
        part = part.replace("<<huge>>", "x" * 2_000_000)
        deep = lambda found: "[" * int(found[1]) + "]" * int(found[1])  # noqa: E731
        return re.sub('"<<deep ([0-9]+)>>"', deep, part).encode("utf-8", "surrogatepass")

    kernel = get_ipython().kernel  # type: ignore[name-defined]  # noqa: F821
    session = kernel.session
    kind = json.loads(header)["msg_type"]
    head = json.dumps({**session.msg_header(kind), "msg_type": kind}, default=str)
    parent = json.dumps(kernel.get_parent("shell")["header"], default=str)
    parts = [grown(part) for part in (head, parent, metadata, content)]
    frames = [b"<IDS|MSG>", session.sign(parts), *parts]
    ident = kernel._get_shell_context_var(kernel._shell_parent_ident)
    if channel == "iopub":
        kernel.iopub_socket.send_multipart([kind.encode("utf-8", "surrogatepass"), *frames])
    elif channel == "stdin":
        kernel.stdin_socket.send_multipart([*ident, *frames])
    else:
        manager = kernel.shell_channel_thread.manager
        manager.get_subshell_to_shell_channel_socket(None).send_multipart([*ident, *frames])
