"""A human's cells give the same messages as in a plain ipykernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import PLAIN, Front, Outcome, RunningKernel, running_kernel

# ruff: noqa: E501 - cells stand as a person would write them
CELLS = {
    "nothing": "",
    "blank": "\n\n",
    "a comment": "# nothing",
    "a print": "print('a'); print('b', end='')",
    "stderr": "import sys\nprint('out'); print('err', file=sys.stderr); print('out again')",
    "a result": "[1, 2, 3]",
    "a result twice": "Out[max(Out)], _",
    "no result": "1;",
    "unicode": "print('åäö 😀 \\x00 \\x1b[31mred'); '\\udcff'",
    "a display": "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'), metadata={'a': 1})",
    "an updated display": "h = display('one', display_id='here')\nh.update('two')",
    "an update of an earlier cell's display": "from IPython.display import update_display\n"
    "update_display('three', display_id='here')",
    "cleared output": "from IPython.display import clear_output\nprint(1)\nclear_output()\nprint(2)\n"
    "clear_output(wait=True)\nprint(3)",
    "raw display data": "from IPython.display import publish_display_data\n"
    "publish_display_data({'application/x.own': {'a': [1, None]}, 'text/plain': 'p'})",
    "png": "from IPython.display import Image\nImage(data=b'\\x89PNG\\r\\n\\x1a\\n', format='png')",
    "javascript": "from IPython.display import Javascript\nJavascript('1 + 1')",
    "an error": "def f():\n    1 / 0\nf()",
    "an error in an error": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('v') from e",
    "an exception group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])",
    "a syntax error": "x = = 1",
    "an indentation error": "if 1:\nx",
    "SystemExit": "import sys\nsys.exit(3)",
    "KeyboardInterrupt by hand": "raise KeyboardInterrupt",
    "an assert": "assert 1 == 2, 'no'",
    "a warning": "import warnings\nwarnings.warn('careful')",
    "shell": "!echo one; echo two >&2; exit 3",
    "shell to a variable": "x = !echo one\nx",
    "%%bash": "%%bash\necho from bash",
    "%%bash that fails": "%%bash\nfalse",
    "%time": "%time 1\nNone",
    "%%capture": "%%capture got\nprint('hidden')",
    "%%capture shown": "got.stdout",
    "%%writefile": "%%writefile a.txt\ntext",
    "%run": "open('s.py', 'w').write('print(6 * 7)')\n%run s.py",
    "%who": "zz = 1\n%who int",
    "%pwd": "import os\nos.path.basename(%pwd)",
    "%xmode": "%xmode Minimal\n1 / 0",
    "%xmode back": "%xmode Context",
    "%config": "%config InlineBackend.figure_format",
    "%env": "%env NO_SUCH_VARIABLE=1",
    "%load": "%load s.py",
    "%recall": "%recall",
    "%no_such_magic": "%no_such_magic",
    "%%no_such_magic": "%%no_such_magic\nx",
    "%lsmagic runs": "str(type(get_ipython().run_line_magic('lsmagic', ''))) != ''",
    "help": "zip?",
    "help with source": "import textwrap\ntextwrap.dedent??",
    "set_next_input": "get_ipython().set_next_input('next = 1')",
    "await": "import asyncio\nawait asyncio.sleep(0)\n'awaited'",
    "a task left behind": "t = asyncio.create_task(asyncio.sleep(0, 'later'))\nNone",
    "a task awaited later": "await t",
    "a fork": "import os\npid = os.fork()\nif not pid:\n    os._exit(0)\nos.waitpid(pid, 0)[1]",
    "a subprocess": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'print(1)'], check=True, capture_output=True).stdout",
    "a thread": "import threading\nt = threading.Thread(target=print, args=('from a thread',))\n"
    "t.start(); t.join()",
    "exit that keeps the kernel": "exit(keep_kernel=True)",
    "__file__ and __name__": "__name__, '__file__' in dir()",
    "the names in use": "sorted(n for n in dir() if n in ('In', 'Out', 'exit', 'quit', 'get_ipython'))",
    "the number in the prompt": "get_ipython().execution_count - len(In) + 1",
    "matplotlib": "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
    "logging": "import logging\nlogging.warning('logged')",
    "a pandas frame": "import pandas\npandas.DataFrame({'a': [1]})",
    "a display hook's error": "class Bad:\n    def __repr__(self): raise ValueError('no repr')\nBad()",
    "an own mime bundle": "class Own:\n    def _repr_mimebundle_(self, **k): "
    "return {'text/plain': 'own', 'text/html': '<i>own</i>'}, {'text/html': {'m': 1}}\nOwn()",
    "a question mark in text": "'what?'",
    "rlm as a name": "rlm = 3\nrlm",
    "%rlm below Python": "x = 1\nprint('%rlm is only text here')",
}


@dataclass
class Pair:
    plain: Front
    rlm: Front

    def same(self, act: Callable[[Front], Any]) -> Any:
        """What both give, after seeing that it is the same."""
        expected, found = act(self.plain), act(self.rlm)
        assert found == expected
        return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    with running_kernel(tmp_path_factory.mktemp("plain"), argv=PLAIN) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def pair(plain: RunningKernel, kernel: RunningKernel) -> Pair:
    return Pair(plain.front(), kernel.front())


VARYING = [
    (re.compile(r"/tmp/ipykernel_\d+/\d+\.py"), "<cell>"),
    (re.compile(r"ipykernel_\d+"), "ipykernel_N"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0xN"),
    (re.compile(r"/\S*/(rlm|plain)\d+/"), "<folder>/"),
    (re.compile(r"/tmp/rk-\w+/"), "<tmp>/"),
    (re.compile(r"\b\d+(\.\d+)?(e[+-]?\d+)? [nµμm]?s\b"), "N s"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
]


def steady(value: Any) -> Any:
    """A content without what differs between two runs of one kernel."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k != "engine_info"}
    if isinstance(value, list):
        return [steady(v) for v in value]
    if isinstance(value, str):
        for pattern, instead in VARYING:
            value = pattern.sub(instead, value)
    return value


def messages(outcome: Outcome) -> list[tuple[str, Any]]:
    """Types and contents; neighbouring pieces of one stream are one, as timing cuts them."""
    found: list[tuple[str, Any]] = []
    for message in outcome.iopub:
        kind, content = message["msg_type"], dict(message["content"])
        last = found[-1][1] if found and found[-1][0] == kind == "stream" else None
        if last is not None and last["name"] == content["name"]:
            last["text"] += content["text"]
        else:
            found.append((kind, content))
    return [(kind, steady(content)) for kind, content in found]


def everything(outcome: Outcome) -> tuple[Any, ...]:
    reply = outcome.reply
    metadata = {
        k: v
        for k, v in reply["metadata"].items()
        if k not in ("started", "engine", "dependencies_met")
    }
    return reply["msg_type"], steady(reply["content"]), metadata, messages(outcome)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_gives_the_same_messages(pair: Pair, name: str) -> None:
    pair.same(lambda front: everything(front.run(CELLS[name])))


def test_what_is_written_to_the_descriptor_is_shown(pair: Pair) -> None:
    def act(front: Front) -> Any:
        # The cell waits: a thread of the kernel reads the descriptor in its own time.
        identity = front.start("import os\nos.write(1, b'low level\\n')\ninput();")
        front.hear(identity, "low level")
        front.asked_input()
        front.type("")
        return everything(front.finish(identity))

    pair.same(act)


@pytest.mark.parametrize(
    "flags",
    [
        {"silent": True},
        {"silent": True, "code": "1 / 0"},
        {"store_history": False},
        {"user_expressions": {"a": "1 + 1", "b": "no_such_name"}},
        {"user_expressions": {"a": "1"}, "code": "1 / 0"},
        {"allow_stdin": False, "code": "input()"},
        {"code": "1 / 0", "stop_on_error": False},
    ],
    ids=str,
)
def test_the_flags_of_a_request_mean_the_same(pair: Pair, flags: dict[str, Any]) -> None:
    sent = {"code": "print('said'); 1", **flags}
    pair.same(lambda front: everything(front.run(**sent)))
    pair.same(lambda front: everything(front.run("'the count goes on'")))


@pytest.mark.parametrize(
    ("code", "password"), [("input('name? ')", False), ("import getpass\ngetpass.getpass()", True)]
)
def test_a_line_of_input_is_asked_for_and_given(pair: Pair, code: str, password: bool) -> None:
    def act(front: Front) -> Any:
        identity = front.start(code)
        asked = front.asked_input()
        assert asked["parent_header"]["msg_id"] == identity
        front.type("a line")
        return asked["content"], everything(front.finish(identity))

    asked, _ = pair.same(act)
    assert asked["password"] is password


def test_several_lines_of_input_in_one_cell(pair: Pair) -> None:
    def act(front: Front) -> Any:
        identity = front.start("[input(f'{n}? ') for n in range(3)]")
        asked = []
        for number in range(3):
            asked.append(front.asked_input()["content"])
            front.type(f"line {number}")
        return asked, everything(front.finish(identity))

    pair.same(act)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("kernel_info_request", None),
        ("complete_request", {"code": "impo", "cursor_pos": 4}),
        ("complete_request", {"code": "import os\nos.pat", "cursor_pos": 16}),
        ("complete_request", {"code": "%ti", "cursor_pos": 3}),
        ("inspect_request", {"code": "zip", "cursor_pos": 3, "detail_level": 0}),
        ("inspect_request", {"code": "no_such", "cursor_pos": 3, "detail_level": 0}),
        ("is_complete_request", {"code": "for x in y:"}),
        ("is_complete_request", {"code": "1"}),
        ("is_complete_request", {"code": "import = 7"}),
        ("comm_info_request", {}),
        ("comm_info_request", {"target_name": "none"}),
        (
            "history_request",
            {"hist_access_type": "tail", "n": 3, "raw": True, "output": False},
        ),
        (
            "history_request",
            {"hist_access_type": "search", "n": 2, "pattern": "import*", "raw": True,
             "output": False, "unique": True},
        ),
        (
            "history_request",
            {"hist_access_type": "range", "session": 0, "start": 1, "stop": 3, "raw": True,
             "output": True},
        ),
        ("no_such_request", None),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_request_that_runs_nothing_gets_the_same_reply(
    pair: Pair, kind: str, content: dict[str, Any] | None
) -> None:
    def act(front: Front) -> Any:
        identity = front.send(kind, content or {})
        if kind == "no_such_request":  # which nobody answers: the next one is answered
            return everything(front.run("1"))
        outcome = front.finish(identity)
        if kind == "kernel_info_request":
            return outcome.reply["content"]["language_info"]["name"]
        return outcome.reply["msg_type"], steady(outcome.reply["content"]), messages(outcome)

    pair.same(act)


COMM = """
from comm import create_comm, get_comm_manager
def opened(comm, message):
    def heard(message):
        back = bytes(message['buffers'][0])[::-1]
        comm.send({'echo': message['content']['data']}, buffers=[back])
    comm.on_msg(heard)
    comm.on_close(lambda message: print('closed'))
    buffers = [bytes(b) for b in message['buffers']]
    comm.send({'opened': message['content']['data']}, buffers=buffers)
get_comm_manager().register_target('echo', opened)
"""


def comm_messages(front: Front, identity: str) -> list[Any]:
    return [
        (m["msg_type"], m["content"], [bytes(b) for b in m["buffers"]])
        for m in front.caused_by(identity)
    ]


def test_a_comm_of_the_front_end_carries_binary_buffers_both_ways(pair: Pair) -> None:
    binary = bytes(range(256)) * 100

    def act(front: Front) -> Any:
        front.run(COMM)
        heard = []
        for kind, content in (
            ("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {"a": 1}}),
            ("comm_msg", {"comm_id": "c1", "data": {"b": 2}}),
            ("comm_close", {"comm_id": "c1", "data": {}}),
            ("comm_open", {"comm_id": "c2", "target_name": "nobody", "data": {}}),
        ):
            identity = front.send(kind, content, buffers=[binary, b""])
            front.until(lambda identity=identity: front.is_idle(identity), kind)
            heard.append([m for m in comm_messages(front, identity)])
        return steady(heard)

    opened, told, closed, _ = pair.same(act)
    assert opened[1][2] == [binary, b""]
    assert told[1][2] == [binary[::-1]]
    assert "closed" in str(closed)


def test_a_comm_of_the_kernel_carries_binary_buffers(pair: Pair) -> None:
    def act(front: Front) -> Any:
        identity = front.start(
            "from comm import create_comm\n"
            "c = create_comm(target_name='t', comm_id='k1', data={'d': 1}, metadata={'m': 2}, "
            "buffers=[bytes(range(256))])\n"
            "c.send({'e': 1}, buffers=[b'\\x00\\xff', b'two'])"
        )
        front.finish(identity)
        info = front.ask("comm_info_request", {"target_name": "t"})["content"]
        metadata = [m["metadata"] for m in front.caused_by(identity)]
        return comm_messages(front, identity), info, [m for m in metadata if m]

    found, info, _ = pair.same(act)
    assert info["comms"] == {"k1": {"target_name": "t"}}
    assert [m[2] for m in found if m[0].startswith("comm")] == [
        [bytes(range(256))], [b"\x00\xff", b"two"],
    ]  # fmt: skip


def test_a_widget_is_made_and_changed_from_both_sides(pair: Pair) -> None:
    def act(front: Front) -> Any:
        made = front.run("import ipywidgets\ns = ipywidgets.IntSlider(3)\ns")
        model = made.of("comm_open")[-1]["content"]["comm_id"]
        assert f"'model_id': '{model}'" in str(made.of("display_data", "execute_result"))
        update = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
        identity = front.send("comm_msg", {"comm_id": model, "data": update})
        front.until(lambda: front.is_idle(identity), "the widget's answer")
        changed = front.run("s.value += 1; s.value")
        kinds = [m["msg_type"] for m in made.iopub + front.caused_by(identity) + changed.iopub]
        return changed.result, kinds

    value, _ = pair.same(act)
    assert value == "8"


def test_what_a_thread_puts_out_between_cells_comes_as_in_a_plain_kernel(
    pair: Pair, tmp_path: Path
) -> None:
    def act(front: Front) -> Any:
        sign = tmp_path / front.session.session
        first = front.start(
            "import pathlib, threading, time\n"
            "def late():\n"
            f"    while not pathlib.Path({str(sign)!r}).exists(): time.sleep(0.01)\n"
            "    print('la' + 'te', flush=True)\n"
            "    display('la' + 'ter')\n"
            "threading.Thread(target=late).start()"
        )
        front.finish(first)
        last = front.start("'one more cell'")
        front.finish(last)
        before = len(front.heard)
        sign.touch()
        front.hear_any("later", since=before)
        cells = {first: "first", last: "last"}
        return [
            (cells[m["parent_header"]["msg_id"]], m["msg_type"], m["content"])
            for m in front.heard[before:]
        ]

    assert len(pair.same(act)) == 2


def test_headers_of_what_a_cell_causes_name_its_request(pair: Pair) -> None:
    def act(front: Front) -> Any:
        identity = front.start("print(1)\n2")
        outcome = front.finish(identity)
        parents = [m["parent_header"] for m in [*outcome.iopub, outcome.reply]]
        return {(p["msg_id"] == identity, p["session"] == front.session.session) for p in parents}

    assert pair.same(act) == {(True, True)}


def test_cells_after_an_error_are_aborted(pair: Pair) -> None:
    def act(front: Front) -> Any:
        front.run("import time")
        first = front.start("time.sleep(0.3)\n1 / 0")
        rest = [front.start(f"print({n})") for n in range(3)]
        outcomes = [front.finish(identity) for identity in [first, *rest]]
        after = front.run("'and then?'")
        return [everything(o) for o in outcomes], everything(after)

    outcomes, _ = pair.same(act)
    assert [o[1]["status"] for o in outcomes] == ["error", "aborted", "aborted", "aborted"]


def test_ten_megabytes_of_print_come_whole(pair: Pair) -> None:
    def act(front: Front) -> Any:
        return front.run("for n in range(100_000): print(f'{n:099d}')").stream()

    text = pair.same(act)
    assert len(text) == 10_000_000


def test_five_thousand_displays_come_in_order(pair: Pair) -> None:
    def act(front: Front) -> Any:
        shown = front.run("for n in range(5_000): display(n)").of("display_data")
        return [m["content"]["data"]["text/plain"] for m in shown]

    assert pair.same(act) == [str(n) for n in range(5_000)]


def test_a_result_of_fifty_megabytes_comes_whole(pair: Pair) -> None:
    def act(front: Front) -> int:
        result = front.run("from IPython.display import Pretty\nPretty('x' * 50_000_000)").result
        return len(result or "")

    assert pair.same(act) == 50_000_000


def test_prints_and_displays_keep_their_order(pair: Pair) -> None:
    def act(front: Front) -> Any:
        return messages(front.run("for n in range(50):\n    print(n)\n    display(n)"))

    pair.same(act)
