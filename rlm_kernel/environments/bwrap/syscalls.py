"""The filter of system calls: what no program in a sandbox has a use for, and attacks have.

libseccomp writes it. It is Docker's list as far as that holds for a process without rights, and
the calls by which memory is had that belongs to no process.
"""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

from ...errors import UsageError

REFUSED = (
    *("acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module"),
    *("fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module"),
    *("io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp"),
    *("kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "memfd_create"),
    *("memfd_secret", "mount", "mount_setattr", "msgget", "shmget"),
    *("move_mount", "move_pages", "open_by_handle_at", "open_tree", "perf_event_open"),
    *("pivot_root", "quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname"),
    *("sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount", "umount2"),
    *("unshare", "userfaultfd", "vhangup"),
)
LIBRARY = "libseccomp.so.2"
SCMP_ACT_ALLOW = 0x7FFF0000
SCMP_ACT_ERRNO = 0x00050000
UNKNOWN = -1
"""The number of a call that this version of the library, or the machine, does not know."""


def write_filter(path: Path) -> None:
    """Write the filter as the kernel takes it. Raises ``UsageError`` without the library."""
    library = _library()
    rules = library.seccomp_init(SCMP_ACT_ALLOW)
    if rules is None:
        raise UsageError(f"{LIBRARY} makes no filter of system calls on this machine")
    try:
        for name in REFUSED:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != UNKNOWN:
                _check(library.seccomp_rule_add(rules, SCMP_ACT_ERRNO | errno.EPERM, number, 0))
        with path.open("wb") as file:
            _check(library.seccomp_export_bpf(rules, file.fileno()))
    finally:
        library.seccomp_release(rules)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        said = f"`{LIBRARY}` is not installed: it is in your system's libseccomp2"
        raise UsageError(said) from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint)
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    return library


def _check(result: int) -> None:
    if result < 0:
        raise UsageError(f"{LIBRARY} makes no filter of system calls: error {-result}")
