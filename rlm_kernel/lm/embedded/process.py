"""Our end of the serving process: start it, warm it, wait for it, end it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import anyio.to_thread

from ... import remote
from ...errors import LMError, NoLM
from .weights import ALL, AUTHOR, AUTHOR_WINDOW, SUB, SUB_WINDOW, cache_dir, is_present, path_of

START_SECONDS = 120.0
REQUEST_SECONDS = 300.0
IDLE_POLL_SECONDS = 0.1
KEPT_STATES = 8
LOG_BYTES = 1 << 20

# Loopback must never go through the user's proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Endpoint:
    """The address of one model. ``window`` is the most tokens a prompt and its reply may have."""

    base_url: str
    api_key: str
    model: str
    window: int


def installed() -> bool:
    """Return whether the program that serves the models is there, if not their weights."""
    return find_spec("xllamacpp") is not None


def available() -> str | None:
    """None when the embedded LM can start, else a sentence that says what is missing."""
    if not installed():
        return 'the embedded LM is not installed: pip install "rlm_kernel[local]"'
    missing = [weights.file for weights in ALL if not is_present(weights)]
    if missing:
        return f"the embedded LM has no weights ({', '.join(missing)}): run `rlm local fetch`"
    return None


class EmbeddedServer:
    """Both models in one process of ours, which ends with us however we end.

    ``author`` and ``sub`` are set once ``start`` has returned.
    """

    author: Endpoint
    sub: Endpoint

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until both models answer.

        Raises ``NoLM`` when something is missing (see ``available``), ``LMError`` with the end of
        the server's log when it does not come up.
        """
        missing = await anyio.to_thread.run_sync(available)
        if missing is not None:
            raise NoLM(missing)
        states = _states()
        states.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _open_log() as log:
            began = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *_command(states),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                # By default OpenMP's threads spin while they wait for each other: with one other
                # busy process on two cores a batch took 28 s instead of 17.
                env={"OMP_WAIT_POLICY": "passive", **os.environ},
                process_group=0,  # Ctrl-C is ours to answer
            )
        try:
            await self._read_ready(began)
        except BaseException:
            await self.stop()
            raise

    async def _read_ready(self, log_began: int) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        line = b""
        with anyio.move_on_after(START_SECONDS):
            line = await self._process.stdout.readline()
        if not line:
            tail = _log_tail(log_began)
            raise LMError(f"the embedded LM did not start; its log ends:\n{tail}", cause="server")
        said = json.loads(line)
        self.author = Endpoint(
            base_url=said["author"],
            api_key=said["api_key"],
            model=AUTHOR.name,
            window=AUTHOR_WINDOW,
        )
        self.sub = Endpoint(
            base_url=said["sub"], api_key=said["api_key"], model=SUB.name, window=SUB_WINDOW
        )

    async def stop(self) -> None:
        """End the process at once, whatever it computes. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()

    async def idle(self, endpoint: Endpoint) -> None:
        """Wait until ``endpoint`` has a free slot.

        A client that hangs up does not stop a prefill: its slot stays busy until that is done.
        """
        while True:
            slots = await _request(endpoint, "/slots")
            if not all(slot["is_processing"] for slot in slots):
                return
            await anyio.sleep(IDLE_POLL_SECONDS)

    async def count_tokens(self, text: str) -> int:
        """Return the tokens of a text, as the author reads it."""
        said = await _request(self.author, "/tokenize", {"content": text})
        return len(said["tokens"])

    async def warm(self, prefix: Sequence[Mapping[str, str]]) -> bool:
        """Have the author know the start of a conversation before the first turn.

        ``prefix`` is its unchanging first messages. True when the state was read from the cache
        (milliseconds), False when it was computed (seconds) and saved for the next start.
        """
        messages = [dict(message) for message in prefix]
        rendered = await _request(self.author, "/apply-template", {"messages": messages})
        name = _state_name(rendered["prompt"])
        if (_states() / name).exists() and await self._restore(name):
            return True
        ask = {"messages": messages, "max_tokens": 1, "temperature": 0}
        await _request(self.author, "/v1/chat/completions", ask)
        # Two processes may save at once: each writes its own file, the last one counts.
        own = f"{os.getpid()}.{name}"
        await _request(self.author, "/slots/0?action=save", {"filename": own})
        os.replace(_states() / own, _states() / name)
        _forget_old_states()
        return False

    async def _restore(self, name: str) -> bool:
        """False when the file is of no use to this server; it is then made again."""
        try:
            await _request(self.author, "/slots/0?action=restore", {"filename": name})
        except LMError:
            return False
        return True


def _command(states: Path) -> list[str]:
    # -P: the script's own folder holds modules that must not hide others of the same name.
    command = [sys.executable, "-P", str(Path(remote.__file__).with_name("embedded_server.py"))]
    command += ["--author", str(path_of(AUTHOR)), "--author-name", AUTHOR.name]
    command += ["--author-window", str(AUTHOR_WINDOW)]
    command += ["--sub", str(path_of(SUB)), "--sub-name", SUB.name]
    return [*command, "--sub-window", str(SUB_WINDOW), "--states", str(states)]


async def _request(endpoint: Endpoint, path: str, body: object = None) -> Any:
    """GET, or POST where there is a body; raises ``LMError``."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {endpoint.api_key}", "content-type": "application/json"}
    url = endpoint.base_url.removesuffix("/v1") + path
    request = urllib.request.Request(url, data, headers)

    def send() -> Any:
        with _opener.open(request, timeout=REQUEST_SECONDS) as response:
            return json.load(response)

    try:
        return await anyio.to_thread.run_sync(send, abandon_on_cancel=True)
    except urllib.error.HTTPError as error:
        text = f"the embedded LM answered {path} with status {error.code}"
        raise LMError(text, cause="server", attempts=1, status=error.code) from error
    except OSError as error:
        text = f"the embedded LM did not answer {path}: {error}"
        raise LMError(text, cause="unreachable", attempts=1) from error


def _states() -> Path:
    return cache_dir() / "states"


def _state_name(rendered: str) -> str:
    # A state is of use only to the same weights, window and library.
    made_of = [AUTHOR.sha256, str(AUTHOR_WINDOW), version("xllamacpp"), rendered]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:32] + ".state"


def _forget_old_states() -> None:
    """Keep the newest; one is about 16 MB."""
    states = sorted(_states().glob("*.state"), key=os.path.getmtime, reverse=True)
    for old in states[KEPT_STATES:]:
        old.unlink(missing_ok=True)


def _log_path() -> Path:
    return cache_dir() / "server.log"


def _open_log() -> BinaryIO:
    log = _log_path().open("ab")
    if log.tell() > LOG_BYTES:
        log.truncate(0)
        log.seek(0)
    return log


def _log_tail(began: int, lines: int = 15) -> str:
    with _log_path().open("rb") as log:
        log.seek(began)
        text = log.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:])
