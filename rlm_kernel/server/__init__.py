"""The extension of the Jupyter server: it tells pages of the runs in its folders.

It reads, and writes nothing; what it gives of a record is plain text of bounded length.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "rlm_kernel.server"}]


def _load_jupyter_server_extension(app: Any) -> None:
    from .handlers import routes  # a server that loads no extension of ours needs none of it

    app.web_app.add_handlers(".*$", routes(app.web_app.settings["base_url"]))
