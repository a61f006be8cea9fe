"""A socket in the network of a process that has one of its own (Linux, as root)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading

from .ports import tcp_socket

CLONE_NEWNET = 0x40000000


async def connect_inside(pid: int, port: int) -> socket.socket:
    """A socket connected to the port on the loopback interface that the process sees.

    A socket stays in the network where it was made, so only its making needs the other one.
    Raises ``OSError`` when nobody listens, ``PermissionError`` when this user may not enter.
    """
    made = await _in_a_thread_of_its_own(pid)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


async def _in_a_thread_of_its_own(pid: int) -> socket.socket:
    """The thread enters the network for good, so no pool may have it."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[socket.socket] = loop.create_future()

    def work() -> None:
        try:
            result = _socket_of(pid)
        except OSError as error:
            loop.call_soon_threadsafe(made.set_exception, error)
        else:
            loop.call_soon_threadsafe(made.set_result, result)

    threading.Thread(target=work, name="plane-namespace", daemon=True).start()
    return await made


def _socket_of(pid: int) -> socket.socket:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
        if libc.setns(descriptor, CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, f"cannot enter the network of process {pid}: {os.strerror(code)}")
        return tcp_socket()
    finally:
        os.close(descriptor)
