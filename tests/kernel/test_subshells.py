"""Subshells of the kernel RLM: consoles and sliders that answer while a question is asked."""

from __future__ import annotations

from harness import LM, Front, Withheld, block

SLIDER = (
    "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
    "slider.observe(lambda change: print('moved to', change['new']), 'value')\n"
)


def _ask_and_wait(lm: LM, front: Front, *turns: str) -> tuple[str, Withheld]:
    waits = Withheld(turns[0])
    lm.say(waits, *turns[1:])
    asked = front.start("%%rlm\nHow many?")
    waits.wait_asked()
    return asked, waits


def _move(front: Front, comm: str, to: int) -> str:
    state = {"method": "update", "state": {"value": to}, "buffer_paths": []}
    return front.send("comm_msg", {"comm_id": comm, "data": state})


def test_a_slider_and_a_subshell_answer_while_the_lm_thinks_and_while_its_cell_runs(
    lm: LM, front: Front
) -> None:
    comm = str(front.run(f"{SLIDER}slider.comm.comm_id").result)[1:-1]
    front.run("context = 'one two'\nimport time, threading\ngo = threading.Event()")
    subshell = front.subshell()
    waits = Withheld("<reply>")
    asked, thinks = _ask_and_wait(
        lm,
        front,
        block("print('sub:', llm_query('wait')); n = len(context.split())"),
        block("FINAL_VAR(n)"),
    )
    lm.sub = lambda prompt: waits

    front.hear(_move(front, comm, 3), "moved to 3")
    seen = front.finish(front.start("slider.value, 'n' in globals()", subshell=subshell))
    assert seen.result == "(3, False)"
    thinks.release()
    waits.wait_asked()  # by the LM's cell, which runs now
    front.hear(_move(front, comm, 4), "moved to 4")
    seen = front.finish(front.start("slider.value", subshell=subshell))
    assert (seen.result, seen.error) == ("4", ("", ""))
    refused = front.finish(front.start("FINAL_VAR(5)", subshell=subshell))
    assert refused.error[0] == "CallRefused"
    failed = front.finish(front.start("1 / 0", subshell=subshell))
    assert failed.error[0] == "ZeroDivisionError"
    waits.release()
    assert front.finish(asked).result == "2"
    front.hear(_move(front, comm, 5), "moved to 5")


def test_a_subshell_tells_and_stops_and_asks_nothing_itself(lm: LM, front: Front) -> None:
    subshell = front.subshell()
    front.run("context = 'one two'")
    asked, thinks = _ask_and_wait(lm, front, block("x = 1"), block("FINAL_VAR(2)"))
    refused = front.finish(front.start("%%rlm\nAnd this?", subshell=subshell))
    assert refused.error[1].startswith("in a subshell %rlm stop, tell and watch can be used")
    told = front.finish(front.start("%rlm tell count twice", subshell=subshell))
    assert "The LM reads it before its next turn." in told.stream()
    thinks.release()
    assert front.finish(asked).result == "2"
    assert "count twice" in str(lm.endpoint.log[-1].request)
    asked, thinks = _ask_and_wait(lm, front, block("x = 1"))
    front.finish(front.start("%rlm stop", subshell=subshell))
    assert front.finish(asked).error[0] == "KeyboardInterrupt"
    thinks.release()


def test_subshells_are_listed_and_deleted_and_outlive_the_inner_kernel(front: Front) -> None:
    def asked(kind: str, **content: str) -> dict[str, object]:
        reply: dict[str, object] = front.ask(kind, content, channel="control")["content"]
        return reply

    features = front.ask("kernel_info_request", {})["content"]["supported_features"]
    assert features == ["kernel subshells"]
    subshell = front.subshell()
    assert subshell in str(asked("list_subshell_request")["subshell_id"])
    assert front.finish(front.start("6 * 7", subshell=subshell)).result == "42"
    assert front.run("import os; os._exit(3)").error[0] == "KernelDied"
    assert front.finish(front.start("6 * 8", subshell=subshell)).result == "48"
    completed = front.send(
        "complete_request", {"code": "os.pat", "cursor_pos": 6}, subshell=subshell
    )
    assert front.finish(completed).status == "ok"
    assert asked("delete_subshell_request", subshell_id=subshell)["status"] == "ok"
    gone = front.finish(front.start("6 * 7", subshell=subshell))
    assert "there is no subshell" in gone.error[1]
    assert asked("delete_subshell_request", subshell_id=subshell)["status"] == "error"
