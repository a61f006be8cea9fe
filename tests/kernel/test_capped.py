"""A kernel under an administrator's caps, and a user who tries to loosen them in every way."""

from __future__ import annotations

from pathlib import Path

from capping import capped_python
from harness import LM, block, running_kernel


def test_a_user_loosens_no_cap_of_a_kernel(tmp_path: Path, lm: LM) -> None:
    url = lm.endpoint.base_url
    caps = {"confirm": "always", "base_url": [url], "model": ["fake-model"], "max_turns": 3}
    python, file = capped_python(tmp_path, caps)
    argv = (python, "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}")
    with running_kernel(tmp_path / "kernel", argv=argv, env=lm.environment) as kernel:
        front = kernel.front()
        front.run("context = 'abc'")
        for cell in (
            "%rlm confirm off",
            "%rlm model other",
            "%rlm base-url http://127.0.0.1:9/v1",
            "%rlm limits turns=9",
            "%%rlm --confirm first\nHow many?",
            "%%rlm --max-turns 4\nHow many?",
        ):
            assert "an administrator allows" in front.run(cell).error[1], cell
        claimed = {"rlm": {"confirm": "off", "max_turns": 9, "author": "human", "commands": 9}}
        content = {"code": "%rlm confirm", "silent": False, "allow_stdin": True}
        told = front.finish(front.send("execute_request", content, metadata=claimed))
        assert "confirm: always" in told.shown
        front.run(
            "import os, pathlib, sys\n"
            "os.environ.update(RLM_CONFIRM='off', JUPYTER_CONFIG_DIR='/tmp/none')\n"
            f"pathlib.Path({str(file)!r}).unlink()"
        )
        lm.say(block("print(context)"), block("FINAL_VAR('done')"))
        asked = front.start("%%rlm\nHow many?")
        for _ in range(2):
            front.asked_input()
            front.type("y")
        assert front.finish(asked).result == "done"
        before = len(lm.endpoint.log)
        refused = front.run("%%rlm\nHow many now?", allow_stdin=False).error[1]
        assert "An administrator may allow it in sandboxes" in refused
        assert len(lm.endpoint.log) == before


def test_a_hub_with_caps_and_a_home_that_cannot_be_written_asks_or_says_what_to_do(
    tmp_path: Path, lm: LM
) -> None:
    python, _ = capped_python(tmp_path, {"max_turns": 3})
    argv = (python, "-P", "-m", "rlm_kernel.kernel", "-f", "{connection_file}")
    folders = ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    env = {**lm.environment, **{name: f"/dev/null/{name}" for name in folders}}
    with running_kernel(tmp_path / "kernel", argv=argv, env=env) as kernel:
        front = kernel.front()
        front.run("context = 'abc'")
        assert "an administrator allows" in front.run("%rlm limits turns=9").error[1]
        lm.say(block("FINAL_VAR(context.upper())"))
        asked = front.run("%%rlm\nHow is it in capitals?")
        assert (asked.result, asked.error) == ("ABC", ("", ""))
        runs = kernel.cwd / "rlm-runs"
        runs.rename(kernel.cwd / "before")
        runs.write_text("in the way, as where the working folder cannot be written")
        name, said = front.run("%%rlm\nAnd now?").error
        assert name == "RecordError"
        assert "name one with --out, or let JUPYTER_DATA_DIR name one" in said
        assert front.run("1 + 1").result == "2"
        assert "Traceback" not in kernel.log
