"""OpenSSH's ``ssh-keygen``, which makes and checks signatures."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from ...errors import UsageError
from ..markdown import one_line, shorten

NAMESPACE = "rlm_kernel"
"""The use that the signatures are for: one for another does not count."""
SIGNING_SECONDS = 120.0
"""So long a passphrase may be typed, or a key be touched."""
CHECKING_SECONDS = 20.0
_SIGNER = "signer"
_GOOD = re.compile(r'Good "rlm_kernel" signature .*?with (\S+) key (SHA256:[A-Za-z0-9+/]{43})')


def sign(statement: bytes, key: Path) -> str:
    """Return the signature by a private key, or by the agent's where the public one is named. Its
    passphrase is asked for at the terminal. Raises ``UsageError``. Blocks."""
    done = _run(["sign", "-f", str(key.expanduser())], statement, SIGNING_SECONDS)
    text = done.stdout.decode("ascii", "replace")
    if done.returncode or not text.startswith("-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(f"{key}: nothing was signed: {_said(done) or 'there is no signature'}")
    return text


def signer(statement: bytes, signature: str) -> str | None:
    """Return the kind and the fingerprint of the key that has signed; None where the signature is
    none of this statement. Blocks."""
    if not signature:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        done = _run(["check-novalidate", "-s", file.name], statement, CHECKING_SECONDS)
    good = _GOOD.search(done.stdout.decode("utf-8", "replace"))
    return f"{good[1]} {good[2]}" if good and not done.returncode else None


def is_by(statement: bytes, signature: str, public_key: Path) -> bool:
    """Return whether the key of a ``.pub`` file has signed. Raises ``UsageError`` for a file that
    has none. Blocks."""
    line = _public(public_key)
    with tempfile.TemporaryDirectory() as folder:
        signed, allowed = Path(folder, "signature"), Path(folder, "allowed")
        signed.write_text(signature, encoding="utf-8")
        allowed.write_text(f"{_SIGNER} {line}\n", encoding="utf-8")
        words = ["verify", "-f", str(allowed), "-I", _SIGNER, "-s", str(signed)]
        return _run(words, statement, CHECKING_SECONDS).returncode == 0


def _public(path: Path) -> str:
    try:
        line = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path}: no public key can be read: {why}") from error
    if "\n" in line or not re.match(r"(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( |$)", line):
        raise UsageError(f"{path}: name the file of one public ssh key, such as id_ed25519.pub")
    return line


def _run(words: list[str], statement: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", words[0], "-n", NAMESPACE, *words[1:]]
    try:
        return subprocess.run(command, input=statement, capture_output=True, timeout=seconds)
    except FileNotFoundError as error:
        raise UsageError(
            "ssh-keygen is not there, which makes and checks signatures: install OpenSSH's client"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"ssh-keygen did not end within {seconds:g} s") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return shorten(one_line(done.stderr[-2000:].decode("utf-8", "replace")), 300)
