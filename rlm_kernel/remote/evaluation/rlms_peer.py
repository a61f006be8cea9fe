"""Answer one question by ``rlms``, the paper's own implementation.

Standard input has ``{"question", "context", "base_url", "api_key", "author", "sub", "turns"}``;
``{"answer"}`` is printed.
"""

from __future__ import annotations

import json
import sys

from rlm import RLM


def main() -> None:
    """Answer what standard input asks."""
    given = json.load(sys.stdin)
    shown, sys.stdout = sys.stdout, sys.stderr
    at = {"base_url": given["base_url"], "api_key": given["api_key"]}
    rlm = RLM(
        backend="openai",
        backend_kwargs={"model_name": given["author"], **at},
        other_backends=["openai"],
        other_backend_kwargs=[{"model_name": given["sub"], **at}],
        environment="local",
        max_iterations=given["turns"],
    )
    done = rlm.completion(given["context"], root_prompt=given["question"])
    print(json.dumps({"answer": str(done.response)}), file=shown, flush=True)


if __name__ == "__main__":
    main()
