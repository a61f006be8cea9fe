"""The kernelspec: what the wheel brings, and what ``rlm install`` writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from rlm_kernel.errors import UsageError
from rlm_kernel.kernel.install import install

ROOT = Path(__file__).resolve().parents[2]
FILES = {"kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}
OURS = {file.name: file.read_bytes() for file in (ROOT / "kernelspec").iterdir()}
INSTALL = """
from rlm_kernel import guide
from rlm_kernel.cli import main
from rlm_kernel.kernel import install
print(install.__file__)
print(install.install(prefix="there"))
print(guide.PAGES)
main(["help", "forks"])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    return zipfile.ZipFile(next(WheelBuilder(str(ROOT)).build(directory=str(folder))))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], KernelSpecManager]:
    """A manager that looks below ``tmp_path`` only, beside where the environment's own are."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "prefix" / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    return KernelSpecManager


def _in(wheel: zipfile.ZipFile, folder: str) -> dict[str, bytes]:
    """The files in a folder of the wheel, by their names."""
    return {
        name.rpartition("/")[2]: wheel.read(name) for name in wheel.namelist() if folder in name
    }


def test_the_wheel_puts_the_spec_where_jupyter_looks(wheel: zipfile.ZipFile) -> None:
    assert set(OURS) == FILES
    assert _in(wheel, ".data/data/share/jupyter/kernels/rlm/") == OURS


def test_the_wheel_has_the_guide_where_help_looks(wheel: zipfile.ZipFile) -> None:
    pages = {file.name: file.read_bytes() for file in (ROOT / "notebooks" / "guide").iterdir()}
    assert _in(wheel, "rlm_kernel/guide/pages/") == pages


def test_jupyter_starts_the_kernel_with_the_python_of_its_environment() -> None:
    assert json.loads(OURS["kernel.json"]) == {
        "argv": ["python", "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}"],
        "display_name": "RLM",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"debugger": False, "supported_encryption": ["curve"]},
        "kernel_protocol_version": "5.3",
    }


@pytest.mark.parametrize("size", [32, 64])
def test_a_logo_has_the_size_that_its_name_says(size: int) -> None:
    data = OURS[f"logo-{size}x{size}.png"]
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (size, size)


def test_an_installed_spec_is_found_and_starts_this_interpreter(
    manager: Callable[[], KernelSpecManager], tmp_path: Path
) -> None:
    folder = install(prefix=tmp_path / "prefix", name="Mine", display_name="RLM of mine")
    assert folder == tmp_path / "prefix" / "share" / "jupyter" / "kernels" / "mine"
    assert {file.name for file in folder.iterdir()} == FILES
    spec = manager().get_kernel_spec("mine")
    assert spec.argv == [sys.executable, "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}"]
    assert Path(spec.argv[0]).is_absolute()
    assert (spec.display_name, spec.interrupt_mode) == ("RLM of mine", "message")


def test_a_spec_for_one_user_goes_to_the_users_folder(
    manager: Callable[[], KernelSpecManager], tmp_path: Path
) -> None:
    assert install(user=True, name="mine") == tmp_path / "user" / "kernels" / "mine"
    assert install(name="other") == tmp_path / "user" / "kernels" / "other"
    assert manager().get_kernel_spec("mine").argv[0] == sys.executable


def test_a_spec_can_be_read_by_others_where_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = install(prefix=tmp_path)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}


def test_a_second_install_replaces_the_first(
    manager: Callable[[], KernelSpecManager], tmp_path: Path
) -> None:
    install(prefix=tmp_path / "prefix", display_name="first")
    install(prefix=tmp_path / "prefix", display_name="second")
    assert manager().get_kernel_spec("rlm").display_name == "second"


def test_a_wheel_without_its_checkout_can_install_and_help(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", INSTALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    module, folder, pages = map(Path, done.stdout.splitlines()[:3])
    assert pages == tmp_path / "site" / "rlm_kernel" / "guide" / "pages"
    assert "# Going on and going back" in done.stdout
    assert module.is_relative_to(tmp_path / "site")
    assert folder == tmp_path / "there" / "share" / "jupyter" / "kernels" / "rlm"
    assert {file.name for file in folder.iterdir()} == FILES


@pytest.mark.parametrize("name", ["", "a b", "../up", ".", "..", "käse", "a/b", "-"])
def test_a_bad_name_is_refused_and_nothing_is_removed(tmp_path: Path, name: str) -> None:
    kept = install(prefix=tmp_path)
    with pytest.raises(UsageError, match="cannot be a kernel's name"):
        install(prefix=tmp_path, name=name)
    assert kept.is_dir()


def test_another_kernel_is_not_replaced(tmp_path: Path) -> None:
    theirs = tmp_path / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"argv": ["python", "-m", "ipykernel_launcher"]}')
    with pytest.raises(UsageError, match="holds another kernel: choose another --name"):
        install(prefix=tmp_path, name="python3")
    assert "ipykernel_launcher" in theirs.read_text()


def test_a_folder_that_cannot_be_written_to_is_named_with_what_to_say(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match=r"file/share.*--user.*--prefix FOLDER"):
        install(prefix=tmp_path / "file")


def test_two_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        install(user=True, prefix=tmp_path)


def test_the_kernelspec_says_which_protocol_and_encryption_the_kernel_speaks(
    tmp_path: Path,
) -> None:
    shutil.copytree(ROOT / "kernelspec", tmp_path / "rlm")
    manager = KernelManager(
        kernel_name="rlm",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(tmp_path)]),
        transport_encryption="required",
    )
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(60)
        told = client.kernel_info(reply=True, timeout=60)["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    spec = json.loads((tmp_path / "rlm" / "kernel.json").read_text())
    assert spec["kernel_protocol_version"] == told["protocol_version"]
    assert manager.curve_publickey
