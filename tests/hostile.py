"""A run in which every text tries to act in the page that shows it."""

from __future__ import annotations

import base64
from typing import Any

from stories import call, cell, prompted, replied, run_started, started

from rlm_kernel.events import ContextInfo, Event, KernelRestarted, NodeEnded, RunEnded, Usage

ACT = "window.acted=1;alert(1)"
TEXTS = (
    f"<script>{ACT}</script>",
    f"</script><script>{ACT}</script>",
    f"</style></title></textarea></pre></details><script>{ACT}</script>",
    f"--><script>{ACT}</script><!--",
    f"<img src=x onerror='{ACT}'>",
    f"<svg onload='{ACT}'><script>{ACT}</script></svg>",
    f"<details open ontoggle='{ACT}'>x</details><input autofocus onfocus='{ACT}'>",
    f"<iframe srcdoc='<script>parent.{ACT}</script>'></iframe>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'><base href='http://evil.test/'>",
    "<link rel=stylesheet href=http://evil.test/x.css><style>*{display:none!important}</style>",
    f"<a href='javascript:{ACT}'>go</a> [go](javascript:{ACT}) <javascript:{ACT}>",
    f'![i](http://evil.test/x.png) [l](http://evil.test/ "t") [x]: javascript:{ACT}',
    f"\" onmouseover='{ACT}' x=\" ' autofocus onfocus={ACT} tabindex=1 '",
    f"\x1b]8;;javascript:{ACT}\x1b\\link\x1b]8;;\x1b\\ \x1b[31mred\x1b[0m\x00\x07",
    "\u202egnp.exe \u2066x\u2069 \ud800 \u2028 \ufeff",
    "$x$ ${1+1} {{7*7}} $style $data %s {0}",
    "<div class=turn id=answer style='position:fixed;inset:0;background:red'>cover</div>",
)
HOSTILE = "\n".join(TEXTS)
HUGE = "x" * 300_000
PNG = base64.b64encode(b"\x89PNG no picture").decode()
DISPLAYS: tuple[dict[str, Any], ...] = (
    {"text/html": HOSTILE},
    {"text/html": f"<table><tr><td onclick='{ACT}' style='color:red'>cell</td></tr></table>"},
    {"text/html": "<b>gnp\u202eexe</b>"},
    {"text/markdown": HOSTILE},
    {"text/latex": HOSTILE},
    {"application/json": {HOSTILE: [HOSTILE]}},
    {"application/javascript": ACT, "text/plain": HOSTILE},
    {"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg'><script>{ACT}</script></svg>"},
    {"image/png": f'"><script>{ACT}</script>'},
    {"image/png": PNG, "text/plain": HOSTILE},
    {HOSTILE: HOSTILE},
    {"text/plain": HUGE},
)


def hostile_run() -> list[Event]:
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": HOSTILE, "text": HOSTILE},
        {"output_type": "stream", "name": "stdout", "text": f"{HUGE}\n\r{HOSTILE}"},
        {"output_type": "error", "ename": HOSTILE, "evalue": HOSTILE, "traceback": [HOSTILE]},
        {"output_type": HOSTILE, "x": HOSTILE},
        *({"output_type": "display_data", "data": data, "metadata": data} for data in DISPLAYS),
    ]
    about = ContextInfo("str", 5, 1, HOSTILE, HOSTILE, HOSTILE, {"name": HOSTILE, "kind": HOSTILE})
    node = "0.1"  # an id is of its pattern, or the record is refused
    source = f"x = llm_query('''{HOSTILE}''')\nFINAL_VAR(x)"
    ended = "answered", HOSTILE, True, HOSTILE
    return [
        run_started(run=HOSTILE, question=HOSTILE, versions={HOSTILE: HOSTILE}),
        started("0", question=HOSTILE, model=HOSTILE, context=about),
        prompted("0", 1, HOSTILE),
        replied("0", 1, HOSTILE, model=HOSTILE),
        started(node, parent="0", depth=1, question=HOSTILE, model=HOSTILE),
        replied(node, 1, HOSTILE),
        cell(node, 1, source=HOSTILE, answer=HOSTILE),
        NodeEnded(node, *ended, 14.0),
        call("0", 0, prompt=HOSTILE, reply=HOSTILE, model=HOSTILE),
        call("0", 1, prompt=HUGE, reply={HOSTILE: HOSTILE}, call=2),
        call("0", 0, op="rlm_query", call=3, prompt=HOSTILE, child=node, reply=HOSTILE),
        call("0", 0, call=4, reply=None, error={"type": HOSTILE, "message": HOSTILE}),
        cell("0", 1, source=source, outputs=outputs, notices=[HOSTILE], answer=HOSTILE),
        prompted("0", 2, HOSTILE),
        KernelRestarted("0", 1, HOSTILE, [HOSTILE], 15.0),
        NodeEnded("0", *ended, 18.0),
        RunEnded(*ended, Usage(), 1, 4, 9.0, 18.0),
    ]
