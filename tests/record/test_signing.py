"""Records, notebooks and pages that carry a signature by an ssh key, and what is told of them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import ask_here, script

from rlm_kernel import cli
from rlm_kernel.record import trajectory
from rlm_kernel.replay.replay import replay
from rlm_kernel.session.event_loop import engine

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not there: apt install openssh-client"
)
Rlm = Callable[..., tuple[int, str]]
LONG = "x = 'a long text' * 5_000; print(x)\nFINAL_VAR(context)"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two private keys; a public one lies beside each."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ann", "bob"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
        subprocess.run(words, check=True, timeout=20)
    return folder / "ann", folder / "bob"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """The folder of a run with a page, all signed by the first key."""
    folder = tmp_path_factory.mktemp("made") / "run"
    ask_here(script(LONG), folder)
    assert cli.main(["export", str(folder), "-o", str(folder / "page.html")]) == 0
    assert cli.main(["seal", str(folder), "--sign", str(keys[0])]) == 0
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def rlm(capsys: pytest.CaptureFixture[str]) -> Rlm:
    def called(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        status = cli.main(list(map(str, words)))
        told = capsys.readouterr()
        return status, " ".join((told.out + told.err).split())

    return called


def _public(key: Path) -> Path:
    return key.with_suffix(".pub")


def test_all_of_a_run_is_signed_and_verified_by_the_public_key(
    run: Path, keys: tuple[Path, Path], rlm: Rlm
) -> None:
    status, told = rlm("verify", run, "--by", _public(keys[0]))
    assert status == 0
    for name in ("journal.jsonl", "trajectory.ipynb", "page.html"):
        assert f"{name}: signed by ED25519 SHA256:" in told
    status, told = rlm("verify", run, "--by", _public(keys[1]))
    assert status == 1
    assert "it is not signed by" in told


@pytest.mark.parametrize("name", ["journal.jsonl", "trajectory.ipynb", "page.html"])
def test_a_file_is_verified_with_nothing_beside_it_and_each_change_is_found(
    run: Path, keys: tuple[Path, Path], rlm: Rlm, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    file = Path(shutil.move(run / name, folder))
    if name == "journal.jsonl":
        shutil.move(run / "blobs", folder)  # long texts are of the record
    assert rlm("verify", file, "--by", _public(keys[0]))[0] == 0
    data = file.read_bytes()
    at = data.index(b"some text")
    file.write_bytes(data[:at] + b"sane" + data[at + 4 :])
    status, told = rlm("verify", file, "--by", _public(keys[0]))
    assert status == 1
    assert "changed" in told or "its signature is not of what it says now" in told


def test_a_long_text_of_the_record_that_was_changed_is_found(run: Path, rlm: Rlm) -> None:
    for blob in (run / "blobs").iterdir():
        blob.write_bytes(blob.read_bytes().replace(b"a long", b"o long"))
    assert rlm("verify", run / "journal.jsonl")[0] == 1


def test_a_notebook_that_says_the_same_in_another_layout_is_signed_still(
    run: Path, keys: tuple[Path, Path], rlm: Rlm
) -> None:
    path = run / "trajectory.ipynb"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=3))
    assert rlm("verify", path, "--by", _public(keys[0]))[0] == 0


def test_show_why_and_page_say_what_the_seal_is_worth(run: Path, rlm: Rlm, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    ask_here(script("FINAL_VAR(context)"), plain)
    for folder, words in ((run, "signed by ED25519 SHA256:"), (plain, "not signed")):
        assert words in rlm("show", folder)[1]
        assert words in rlm("why", folder)[1]
        rlm("export", folder, "-o", tmp_path / f"{folder.name}.html")
        assert words in (tmp_path / f"{folder.name}.html").read_text()
    status, told = rlm("seal", plain)
    assert status == 0
    assert "a check against accidents" in told


def test_why_says_that_a_record_was_changed(run: Path, rlm: Rlm) -> None:
    path = run / "journal.jsonl"
    path.write_text(path.read_text().replace("some text", "same text"))
    assert "was changed after it was written" in rlm("why", run)[1]
    assert "not sealed" in rlm("why", run)[1]


def test_a_signed_record_replays_and_takes_another_signature(
    run: Path, keys: tuple[Path, Path], rlm: Rlm
) -> None:
    verdict = engine().run(replay(trajectory.load(run / "trajectory.ipynb"), lambda text: None))
    assert verdict.result == "equal"
    assert rlm("seal", run, "--sign", keys[1])[0] == 0
    assert rlm("verify", run, "--by", _public(keys[1]))[0] == 0
    assert rlm("show", run)[0] == 0


def test_what_was_changed_is_not_signed(run: Path, keys: tuple[Path, Path], rlm: Rlm) -> None:
    path = run / "journal.jsonl"
    path.write_text(path.read_text().replace("some text", "same text"))
    before = path.read_bytes()
    status, told = rlm("seal", run, "--sign", keys[0])
    assert status == 1
    assert "it was not signed: line" in told
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "signature", ["", "none", 7, None, ["x"], "x" * 100_000, "-----BEGIN SSH SIGNATURE-----\n"]
)
def test_a_strange_signature_is_nobodys(run: Path, rlm: Rlm, signature: object) -> None:
    journal, notebook, page = (run / n for n in ("journal.jsonl", "trajectory.ipynb", "page.html"))
    lines = journal.read_text().splitlines()
    lines[-1] = json.dumps({**json.loads(lines[-1]), "signature": signature})
    journal.write_text("\n".join(lines) + "\n")
    about = json.loads(notebook.read_text())
    about["metadata"]["rlm_signature"] = signature
    notebook.write_text(json.dumps(about))
    begin = page.read_bytes().rindex(b"<!-- rlm-signature: ")
    inside = base64.b64encode(str(signature).encode())
    page.write_bytes(page.read_bytes()[:begin] + b"<!-- rlm-signature: " + inside + b" -->\n")
    for path in (journal, notebook, page):
        status, told = rlm("verify", path)
        assert "signed by" not in told
        assert status == (0 if signature is None and path != page else 1)
    assert rlm("show", run)[0] == 0


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["seal", "RUN", "--sign", "nokey"], "nokey: nothing was signed: "),
        (["verify", "RUN", "--by", "nokey.pub"], "nokey.pub: no public key can be read"),
        (["verify", "RUN", "--by", "RUN/page.html"], "name the file of one public ssh key"),
        (["verify", "RUN/files"], "it is no run's folder"),
        (["verify", "there-is-none"], "there is no such file or folder"),
        (["verify", "KEY"], "name a run's folder, its journal.jsonl, one of its notebooks"),
    ],
)
def test_wrong_use_is_told(
    run: Path, keys: tuple[Path, Path], rlm: Rlm, words: list[str], phrase: str
) -> None:
    (run / "files").mkdir(exist_ok=True)
    named = [word.replace("RUN", str(run)).replace("KEY", str(keys[0])) for word in words]
    status, told = rlm(*named)
    assert status in (1, 2)
    assert phrase in told
