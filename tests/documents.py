"""The texts that users read: the README, and the pages of the guide by topic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlm_kernel import guide
from rlm_kernel.record.notebooks import ipynb

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
NOTEBOOKS: dict[str, dict[str, Any]] = {
    topic: ipynb.loads(guide.file_of(topic).read_bytes()) for topic in (*guide.TOPICS, "index")
}
GUIDE = {
    topic: "\n\n".join(cell["source"] for cell in notebook["cells"]) + "\n"
    for topic, notebook in NOTEBOOKS.items()
}
ALL = "\n".join([README, *GUIDE.values()])
