"""What every sandbox keeps LM code from, whichever it is; ``local`` is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import SANDBOXES, Bench, Opener
from forkbomb import FORK_BOMB

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=SANDBOXES)
def environment(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_fork_bomb_ends_at_the_limit(opened: Opener) -> None:
    async with opened(options={"pids": 64}) as kernel:
        error, children = (await kernel.said(FORK_BOMB.format(most=100))).split()
        assert error == "BlockingIOError"
        assert int(children) < 64
        assert await kernel.said("llm_query('still')") == "'<still>'"


async def test_memory_ends_at_the_limit_and_the_kernel_comes_back(opened: Opener) -> None:
    async with opened() as kernel:
        await kernel.give("here")
        ran = await kernel.run("big = bytearray(b'x') * (3 << 30)")
        assert ran.status == "died"
        assert "out of memory" in str(ran.restarted)
        assert await kernel.said("context") == "'here'"


async def test_a_file_of_the_host_is_not_there(kernel: Bench, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_text("of the host")
    found = await kernel.said(f"import os\nos.path.exists({str(tmp_path / 'secret')!r})")
    assert found == "False"


async def test_there_is_no_network(kernel: Bench) -> None:
    said = await kernel.said(
        "import socket\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except TimeoutError:\n    print('no answer')\n"
        "except OSError as error:\n    print(error.strerror)"
    )
    assert said == "Network is unreachable"


async def test_only_the_work_folder_can_be_written_to(kernel: Bench) -> None:
    said = await kernel.said(
        "import errno\n"
        "for path in ('/usr/new', '/etc/new', '/new', 'new'):\n"
        "    try:\n        open(path, 'w').close(); print('written')\n"
        "    except OSError as error:\n"
        "        print('refused' if error.errno in (errno.EROFS, errno.EACCES) else error)"
    )
    assert said.split() == ["refused", "refused", "refused", "written"]
