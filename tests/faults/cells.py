"""Cells that fail, run wild, or leave things behind."""

from __future__ import annotations

from .running import END, Case, cell

SHORT = {"RLM_MAX_CELL_SECONDS": "2"}
HUNDRED_MB = "for _ in range(100):\n    print('x' * 1_000_000)"
DEAF = """while True:
    try:
        while True:
            pass
    except KeyboardInterrupt:
        print("I go on")"""
REBIND = """llm_query = FINAL_VAR = SHOW_VARS = None
context = "a placeholder"
del llm_query_batched
print("rebound", context[:4])"""
STILL = "print('still', context[:9], llm_query('x'), llm_query_batched(['y']))"
THREAD = """import threading
said = []
cell_over = threading.Event()
def late():
    cell_over.wait(60)
    try:
        said.append(llm_query("late"))
    except Exception as error:
        said.append(str(error))
thread = threading.Thread(target=late)
thread.start()
print(context[:4])"""
JOINED = "cell_over.set()\nthread.join(30)\nprint(said)"
THREAD_STAYS = """import threading, time
def forever():
    while True:
        time.sleep(0.01)
for _ in range(5):
    threading.Thread(target=forever).start()
print("threads run", context[:4])"""
PROCESS = """import subprocess, sys
wait = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(wait)
subprocess.Popen(wait, start_new_session=True)
subprocess.Popen("sleep 600 & nohup setsid sleep 600 &", shell=True)
print("processes run", context[:4])"""
DAEMON = """import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3, 1024):
            try:
                os.close(fd)
            except OSError:
                pass
        time.sleep(600)
    os._exit(0)
print("a daemon runs", context[:4])"""
FORKED = """import os, time
if os.fork() == 0:
    while True:
        time.sleep(1)
print("forked", context[:4])"""
CLOSED = "import os, sys\nsys.stdout.close()\nsys.stderr.close()\nos.close(1)\nos.close(2)"
UNNAMED = "summary = context[:4]\nFINAL_VAR('sumary')"
OVERLONG = "llm_query(context * 100_000)"
WRONG_BATCH = "llm_query_batched(context)"
LARGE_BATCH = "llm_query_batched(['x'] * 20_000)"
MEMORY = "x = []\nwhile True:\n    x.append(bytearray(1 << 28))"


def _then(name: str, phrase: str, *sources: str, **more: object) -> Case:
    """A case whose cells are these, and whose message goes to the LM."""
    turns = (*map(cell, sources), END)
    return Case(name, phrase, "LM", turns=turns, **more)  # type: ignore[arg-type]


CASES = [
    _then("raises", "ZeroDivisionError: division by zero", "1 / 0", quick=False),
    _then("prints 100 MB", "characters in all, cut to", HUNDRED_MB, quick=False),
    _then("loops for ever", "stopped after 2 seconds", "while True: pass", environ=SHORT),
    _then("swallows KeyboardInterrupt", "did not stop within 3 s", "x = 1", DEAF, environ=SHORT,
          quick=False),
    _then("calls os._exit", "The kernel ended during this cell", "x = 1", "import os; os._exit(3)"),
    _then("calls exit()", "still some text", "exit()", STILL, quick=False),
    _then("raises SystemExit", "still some text", "import sys; sys.exit(3)", STILL, quick=False),
    _then("kills its process group", "The kernel ended during this cell",
          "import os; os.killpg(0, 9)", quick=False),
    _then("%reset -f", "still some text", "%reset -f", STILL),
    _then("rebinds our names", "the assignment to `context` was ignored", REBIND),
    _then("rebinds our names, and then", "still some text", REBIND, STILL, quick=False),
    Case("a thread that outlives its cell and calls", "has ended", "code",
         turns=(cell(THREAD), cell(JOINED), END)),
    _then("threads that run for ever", "threads run", THREAD_STAYS, quick=False),
    _then("processes, also in sessions of their own", "processes run", PROCESS),
    _then("a daemon that closes all descriptors", "a daemon runs", DAEMON),
    _then("forks the kernel", "forked", FORKED, quick=False),
    _then("closes standard output", "still some text", CLOSED, STILL),
    _then("reads standard input", "StdinNotImplementedError", "input('name? ')", quick=False),
    _then("FINAL_VAR of what does not exist", "there is no variable 'sumary'", UNNAMED),
    _then("a sub-prompt that is too long", "cut the text into pieces", OVERLONG, quick=False),
    _then("a batch that is one str", "takes a list of prompts", WRONG_BATCH, quick=False),
    _then("a batch that is too large", "is the most in one call", LARGE_BATCH, quick=False),
    _then("an unknown name", "Names there are: context", "print(contxt)", quick=False),
    _then("an unknown module", "Modules there are", "import no_such_module", quick=False),
]  # fmt: skip
