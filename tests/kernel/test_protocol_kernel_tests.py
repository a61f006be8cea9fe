"""jupyter_kernel_test's checks, on a new kernel, after a question, and while one goes on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jupyter_kernel_test
import pytest
from harness import LM, RLM, Front, RunningKernel, Withheld, block

HELLO_HTML = "from IPython.display import HTML, display; display(HTML('<b>t</b>'))"


class Samples:
    kernel_name = "rlm-under-test"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = ({"text": "zi", "matches": {"zip"}},)
    complete_code_samples = ("1", "print('hi')", "def f(x):\n  return x*2\n\n\n")
    incomplete_code_samples = ("print('''hi", "def f(x):\n  x*2")
    invalid_code_samples = ("import = 7q",)
    code_page_something = "zip?"
    code_generate_error = "raise ValueError"
    code_execute_result = ({"code": "1+2", "result": "3"},)
    code_display_data = ({"code": HELLO_HTML, "mime": "text/html"},)
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


@pytest.fixture(scope="module", autouse=True)
def installed(lm: LM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A kernelspec of that name, in an environment of its own."""
    home = tmp_path_factory.mktemp("home")
    spec = home / "data" / "kernels" / "rlm-under-test"
    spec.mkdir(parents=True)
    (home / "work").mkdir()
    written = {
        "argv": RLM, "display_name": "RLM", "language": "python", "interrupt_mode": "message",
    }  # fmt: skip
    (spec / "kernel.json").write_text(json.dumps(written))
    places = {
        "JUPYTER_PATH": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_CONFIG_DIR": home / "config",
        "IPYTHONDIR": home / "ipython",
    }
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**places, **lm.environment}.items():
            patch.setenv(name, str(value))
        os.chdir(home / "work")  # where questions put their records
        TestAKernelAfterAQuestion.lm = lm
        yield
    os.chdir(before)


class TestANewKernel(Samples, jupyter_kernel_test.KernelTests):
    pass


class TestAKernelAfterAQuestion(Samples, jupyter_kernel_test.KernelTests):
    lm: LM

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.lm.say(block("print(context)"), block("FINAL_VAR('the answer')"))
        for cell in ("context = 'abc'", "%%rlm\nwhat?"):
            reply = cls.kc.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
            assert reply["content"]["status"] == "ok", reply["content"]


@pytest.mark.skipif(sys.platform == "win32", reason="inner kernels are POSIX")
def test_completion_and_inspection_while_a_question_goes_on(
    front: Front, lm: LM, kernel: RunningKernel
) -> None:
    front.run("context = 'abc'; a_name_of_mine = 1")
    held = Withheld(block("FINAL_VAR('the answer')"))
    lm.say(block("made_by_the_lm = 5\nprint(context)"), held)
    asking = front.start("%%rlm\nwhat?")
    held.wait_asked()
    for code, found in (("a_name_of", "a_name_of_mine"), ("made_by", "made_by_the_lm")):
        reply = front.ask("complete_request", {"code": code, "cursor_pos": len(code)})
        assert reply["content"]["matches"] == [found]
    seen = front.ask("inspect_request", {"code": "zip", "cursor_pos": 3, "detail_level": 0})
    assert seen["content"]["found"]
    whole = front.ask("is_complete_request", {"code": "for x in y:"})
    assert whole["content"]["status"] == "incomplete"
    assert front.ask("kernel_info_request", {})["content"]["status"] == "ok"
    held.release()
    assert front.finish(asking).reply["content"]["status"] == "ok"
