"""The command line of a sandbox: what of this machine is in it, and what bounds it.

An ordinary user has a user namespace of its own. For root another user is made up first, since in
any namespace root's files, those below /proc/sys among them, would still be its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UsageError

WORK = "/work"
USER = "65534"
"""User and group inside."""
MADE_UP = range(0x60000000, 0x70000000)
"""Users that no system gives to anybody; root's sandboxes take one each."""
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin", "/nix/store", "/gnu/store")
ETC = (
    *("alternatives", "ca-certificates", "fonts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "pki/tls/certs", "ssl/certs", "ssl/openssl.cnf"),
)
ETC_OF_NETWORK = ("gai.conf", "hosts", "nsswitch.conf", "resolv.conf")
PROGRAMS = ("bwrap", "prlimit", "setpriv", "sh")
FILTER_FD = 9


@dataclass(frozen=True)
class BwrapSpec:
    """The reach of a sandbox and what it may use."""

    network: str = "none"
    """``none``, or ``bridge``: this machine's own."""
    memory: int = 2 << 30
    """Bytes of all processes. What lies in folders that are in memory comes to it."""
    pids: int = 1024
    """Processes and threads."""
    tmpfs: int = 1 << 30
    """Bytes of the work folder, of /tmp and of /dev/shm, each."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Folder or file to path inside; none can be written to."""


def command(spec: BwrapSpec, program: Sequence[str], filter_file: Path) -> list[str]:
    """Return what runs a program in a new sandbox, with the calls that ``filter_file`` allows.

    Raises ``UsageError`` where this machine lacks what it takes.
    """
    found = _programs()
    sources = {**_python(), **spec.mounts}
    first: list[str] = []
    if os.geteuid() == 0:
        # The new user cannot follow every path that root can: it finds all of it in one place.
        placed = {source: f"/tmp/{number}" for number, source in enumerate(sources)}
        first = [found["bwrap"], "--dev-bind", "/", "/", "--tmpfs", "/tmp"]
        for source, place in placed.items():
            first += ["--ro-bind", source, place]
        user = str(secrets.choice(MADE_UP))
        first += ["--", found["setpriv"], f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        first += ["--bounding-set=-all", "--inh-caps=-all", "--"]
        sources = {placed[source]: inside for source, inside in sources.items()}
    opened = [found["sh"], "-c", f'exec {FILTER_FD}<"$1"; shift; exec "$@"', "sh", str(filter_file)]
    bounds = [found["prlimit"], f"--nproc={spec.pids}", "--core=0", "--"]
    return [*opened, *first, found["bwrap"], *_options(spec, sources), "--", *bounds, *program]


def _programs() -> dict[str, str]:
    """Return where they are. Raises ``UsageError`` for one that is not there."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    for name, path in found.items():
        if path is None:
            package = {"bwrap": "bubblewrap", "sh": "dash"}.get(name, "util-linux")
            raise UsageError(f"`{name}` is not installed: it is in your system's {package}")
    return {name: path for name, path in found.items() if path is not None}


def _python() -> dict[str, str]:
    """Return the folders of this Python and of its packages that are not the system's.

    Raises ``UsageError`` where the user's home would be among them.
    """
    named = [sys.base_prefix, sys.prefix, os.path.realpath(sys.base_prefix), *_user_site()]
    folders = sorted({path for path in named if not _within(path, SYSTEM)})
    home = os.path.realpath(Path.home())
    for folder in folders:
        if _within(home, [folder]):
            raise UsageError(
                f"this Python is installed in {folder}, which has your home in it: a sandbox would "
                "show all of that to cells. Install rlm_kernel in a virtual environment."
            )
    return {folder: folder for folder in folders}


def _user_site() -> list[str]:
    """Return the folder of the user's own packages, where this Python uses one."""
    folder = site.getusersitepackages()
    return [folder] if site.ENABLE_USER_SITE and os.path.isdir(folder) else []


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _options(spec: BwrapSpec, sources: Mapping[str, str]) -> list[str]:
    """Return bubblewrap's own. ``sources`` are what is read-only, and where it is inside."""
    given = ["--unshare-all", "--unshare-user", "--disable-userns", "--new-session"]
    # The program is the first process: cells could trace one of bubblewrap's, and so take the pipe.
    given += [
        "--as-pid-1",
        "--die-with-parent",
        "--hostname",
        "sandbox",
        "--uid",
        USER,
        "--gid",
        USER,
    ]
    given += ["--seccomp", str(FILTER_FD), "--clearenv", *_variables()]
    given += ["--share-net"] if spec.network != "none" else []
    given += _system(networked=spec.network != "none")
    given += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/dev/shm", "/tmp", WORK):
        given += ["--size", str(spec.tmpfs), "--tmpfs", folder]
    for source, inside in sources.items():
        given += ["--ro-bind", source, inside]
    return [*given, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORK]


def _variables() -> Iterator[str]:
    path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
    ours = {"PATH": path, "HOME": WORK, "USER": "sandbox", "LANG": "C.UTF-8"}
    if packages := _user_site():
        ours["PYTHONPATH"] = packages[0]
    for name, value in ours.items():
        yield from ("--setenv", name, value)


def _system(*, networked: bool) -> Iterator[str]:
    """Yield the system as it is here, read-only, and of its settings what programs need."""
    for path in SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for name in (*ETC, *(ETC_OF_NETWORK if networked else ())):
        yield from ("--ro-bind-try", os.path.realpath(f"/etc/{name}"), f"/etc/{name}")
