"""``python -m tests.faults [--kill [COUNT [ENVIRONMENT]]] [--resume [COUNT]]
[--batch [COUNT [FOLDER TO KEEP]]] [--chaos [COUNT [ENVIRONMENT [SEED [STROKE]]]]]
[WORDS OF CASES]``."""

from __future__ import annotations

import sys

from . import kills, table

if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--kill"]:
        where = kills.Where(*words[2:3])
        sys.exit(0 if kills.write(int(words[1]) if words[1:] else 20, where) else 1)
    if words[:1] == ["--resume"]:
        from . import resumes

        sys.exit(0 if resumes.write(int(words[1]) if words[1:] else 20) else 1)
    if words[:1] == ["--batch"]:
        from . import batches

        sys.exit(0 if batches.write(int(words[1]) if words[1:] else 200, *words[2:3]) else 1)
    if words[:1] == ["--chaos"]:
        from . import chaos

        count, seed = int(words[1]) if words[1:] else 54, int(words[3]) if words[3:] else None
        where = kills.Where(*words[2:3])
        sys.exit(0 if chaos.write(count, where, seed, " ".join(words[4:])) else 1)
    sys.exit(0 if table.write(" ".join(words)) else 1)
