"""``python -m tests.faults [--kill [COUNT [ENVIRONMENT]]] [--resume [COUNT]]
[--batch [COUNT [FOLDER TO KEEP]]] [--messages [COUNT [ENVIRONMENT [SEED]]]] [WORDS OF CASES]``."""

from __future__ import annotations

import sys

from . import table

if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--kill"]:
        from . import kills

        where = kills.Where(*words[2:3])
        sys.exit(0 if kills.write(int(words[1]) if words[1:] else 20, where) else 1)
    if words[:1] == ["--resume"]:
        from . import resumes

        sys.exit(0 if resumes.write(int(words[1]) if words[1:] else 20) else 1)
    if words[:1] == ["--batch"]:
        from . import batches

        sys.exit(0 if batches.write(int(words[1]) if words[1:] else 200, *words[2:3]) else 1)
    if words[:1] == ["--messages"]:
        from . import fuzz

        count, where, number = [*words[1:4], *["200", "local", "1"][len(words[1:4]) :]]
        sys.exit(0 if fuzz.write(int(count), where, int(number)) else 1)
    sys.exit(0 if table.write(" ".join(words)) else 1)
