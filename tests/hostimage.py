"""An image for tests where no registry answers: this machine's own Python, from scratch.

``python -m tests.hostimage [PACKAGE ...]`` makes it of that interpreter and prints its tag. The
same interpreter and packages give the same tag, and an image that is there is not made again.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import IO, Any

from filelock import FileLock
from packaging.requirements import Requirement

REPOSITORY = "rlm-kernel-tests"
ROOTS = ("ipykernel", "pandas", "pip")
TOOLS = [
    "sh", "ls", "cat", "echo", "env", "id", "mkdir", "rm", "cp", "sleep", "tail", "dd", "df",
    "true",
]  # fmt: skip
LEFT_OUT = {"test", "tests", "idlelib", "ensurepip", "tkinter", "turtledemo"}
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
LIBRARY = f"usr/local/lib/{VERSION}"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
WHEELS = "wheels"
SECONDS = 110
CHANGES = [
    "ENV PATH=/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1",
    f"ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/{WHEELS} PIP_NO_CACHE_DIR=1",
]


def host_image(client: Any, packages: Sequence[str] = ROOTS) -> str:
    """The tag of the image, which is made where this engine has none.

    ``packages`` are names of what this interpreter has; what they need comes too. Whoever else
    wants the same image at the same time waits for it.
    """
    distributions = _distributions(packages)
    tag = f"{REPOSITORY}:{_digest(distributions)}"
    with FileLock(Path(tempfile.gettempdir()) / f"{tag.replace(':', '-')}.lock", timeout=SECONDS):
        if not any(tag in image["RepoTags"] for image in client.api.images(REPOSITORY)):
            _import(client, tag, distributions)
    return tag


def _import(client: Any, tag: str, distributions: list[Distribution]) -> None:
    with tempfile.TemporaryFile() as packed:
        _pack(packed, distributions)
        packed.seek(0)
        repository, _, version = tag.partition(":")
        client.api.import_image_from_data(
            packed, repository=repository, tag=version, changes=CHANGES
        )


def _digest(distributions: list[Distribution]) -> str:
    parts = [Path(__file__).read_bytes(), sys.version.encode(), sys.base_prefix.encode()]
    parts += [f"{dist.name} {dist.version}".encode() for dist in distributions]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _distributions(packages: Sequence[str]) -> list[Distribution]:
    """The packages and all that they need, by name."""
    found: dict[str, Distribution] = {}
    names = list(packages)
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        found[name] = distribution(name)
        needed = (Requirement(line) for line in found[name].requires or [])
        names += [
            each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return [found[name] for name in sorted(found)]


def _pack(into: IO[bytes], distributions: list[Distribution]) -> None:
    with tarfile.open(fileobj=into, mode="w") as tar:
        for folder in ("proc", "sys", "dev", "root", "work"):
            _add_folder(tar, folder, 0o755)
        for folder in ("tmp", "var/tmp"):
            _add_folder(tar, folder, 0o1777)
        _add_text(tar, "etc/passwd", PASSWD)
        _add_text(tar, "etc/group", "root:x:0:\nnogroup:x:65534:\n")
        for inside, source in sorted(_files(distributions).items()):
            _add_file(tar, inside, source)
        for name in ("python3", "python"):
            _add_link(tar, f"usr/local/bin/{name}", VERSION)
        _add_bytes(tar, f"{WHEELS}/rlm_tiny-1.0-py3-none-any.whl", tiny_wheel())


def _files(distributions: list[Distribution]) -> dict[str, Path]:
    """Path inside, without the leading slash, to path here."""
    files = dict(_standard_library())
    for dist in distributions:
        for path in dist.files or []:
            source = Path(str(dist.locate_file(path)))
            if not {"..", "tests"} & set(path.parts) and source.is_file():
                files[f"{LIBRARY}/site-packages/{path}"] = source
    python = Path(os.path.realpath(sys.executable))
    tools = [Path(found) for name in TOOLS if (found := shutil.which(name))]
    shared = [source for source in files.values() if ".so" in source.suffixes]
    files[f"usr/local/bin/{VERSION}"] = python
    files |= {f"bin/{tool.name}": tool for tool in tools}
    known = set(files.values())
    needed = _libraries([python, *tools, *shared])
    return files | {str(path).lstrip("/"): path for path in needed if path not in known}


def _standard_library() -> Iterator[tuple[str, Path]]:
    home = Path(sysconfig.get_path("stdlib"))
    left_out = {*LEFT_OUT, "site-packages", "dist-packages"}
    for folder, folders, names in os.walk(home):
        folders[:] = [
            name for name in folders if name not in left_out and not name.startswith("config-")
        ]
        inside = Path(LIBRARY) / Path(folder).relative_to(home)
        yield from ((str(inside / name), Path(folder, name)) for name in names)


def _libraries(programs: list[Path]) -> set[Path]:
    """What the loader takes for these, itself included."""
    done = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, timeout=120, check=False
    )
    found = re.findall(r"(?:=> |^\t)(/\S+)", done.stdout, re.MULTILINE)
    return {Path(os.path.normpath(path)) for path in found}


def tiny_wheel() -> bytes:
    """A package of one module, for tests of packages that must be installed."""
    info = "rlm_tiny-1.0.dist-info"
    files = {
        "rlm_tiny.py": "ANSWER = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: rlm_tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    return _zipped(files)


def _zipped(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    _add_bytes(tar, name, text.encode())


def _add_file(tar: tarfile.TarFile, name: str, source: Path) -> None:
    """As root's and readable by all."""
    entry = tarfile.TarInfo(name)
    entry.size = source.stat().st_size
    entry.mtime = int(source.stat().st_mtime)  # or its bytecode does not count
    entry.mode = 0o755 if os.access(source, os.X_OK) and source.stat().st_mode & 0o111 else 0o644
    with source.open("rb") as data:
        tar.addfile(entry, data)


if __name__ == "__main__":
    import docker

    print(host_image(docker.from_env(), sys.argv[1:] or ROOTS))
