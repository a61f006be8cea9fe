"""Make RULER's six tasks that need no download, by the generators of ``lm-eval``.

Standard input has ``{"tasks": [{"task", "seed", "chars"}, ...]}``; for each a line is printed,
``{"context", "question", "gold"}``. The published functions make the texts. Their search for the
number of parts that fill a window adds ten parts a step and counts the tokens of the whole each
time, which takes hours at a million tokens: here the number is computed from the size of a part.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
import types
from collections.abc import Callable
from importlib.metadata import distribution
from typing import Any

CHARS_A_TOKEN = 4
MARK = "\0"
WORD_CHARS = 14.5
"""The length of an entry in the list of common words, its number included."""
SHORT = 16_384
"""Characters below which the published generator takes other frequencies."""


def main() -> None:
    """Make what standard input asks for."""
    _stand_in()
    shown, sys.stdout = sys.stdout, sys.stderr  # the generators print as they work
    for wanted in json.load(sys.stdin)["tasks"]:
        random.seed(wanted["seed"])
        context, question, gold = MAKERS[wanted["task"]](wanted["seed"], wanted["chars"])
        made = {"context": context, "question": question, "gold": gold}
        print(json.dumps(made), file=shown, flush=True)


def _stand_in() -> None:
    """Put modules in the place of what is imported only to load data sets and tokenizers, neither
    of which these tasks need, and of the packages around the generators, whose own imports would
    need them."""
    names = ("datasets", "transformers", "lm_eval", "lm_eval.tasks", "lm_eval.tasks.ruler")
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules["transformers"].AutoTokenizer = None  # type: ignore[attr-defined]
    sys.modules["datasets"].Dataset = None  # type: ignore[attr-defined]
    os.environ["LOCAL_RANK"] = "none"  # or nltk's data would be downloaded, for essays


def _module(name: str) -> Any:
    """Return one of the published modules."""
    full = f"lm_eval.tasks.ruler.{name}"
    if full not in sys.modules:
        path = distribution("lm-eval").locate_file(f"lm_eval/tasks/ruler/{name}.py")
        spec = importlib.util.spec_from_file_location(full, str(path))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


Parts = tuple[str, str, list[str]]


def _needle(haystack: str, key: str, value: str) -> Callable[[int, int], Parts]:
    def make(seed: int, chars: int) -> Parts:
        _module("common_utils")
        niah = _module("prepare_niah")
        asked = _module("niah_utils").TEMPLATE.partition("{context}\n")[2]

        def made(parts: int) -> Parts:
            random.seed(seed)
            told, gold, _ = niah.generate_input_output(
                parts, niah.get_haystack(haystack), type_haystack=haystack,
                num_needle_k=1, type_needle_k=key, num_needle_v=1, type_needle_v=value,
                template="{context}" + MARK + asked, random_seed=seed,
            )  # fmt: skip
            context, question = told.split(MARK)
            return context, question, gold

        return made(max(chars * 40 // len(made(40)[0]), 4))

    return make


def _tracking(seed: int, chars: int) -> Parts:
    import numpy

    _module("common_utils")
    tracking = _module("vt_utils")
    numpy.random.seed(seed)
    told, gold = tracking.generate_input_output(max(chars // 92, 10), 1, 4)
    return *_split(told, tracking.CONFIG["variable_tracking"]["template"]), gold


def _common_words(seed: int, chars: int) -> Parts:
    _module("common_utils")
    common = _module("cwe_utils")
    common.RNG.seed(seed)
    entries = chars / WORD_CHARS
    often, seldom = (6, 1) if chars < SHORT else (30, 3)
    times = 1
    while (words := _words(entries, often * times, seldom * times)) > len(common.WORDS):
        times += 1  # the published list has too few words for a longer one
    length = chars // CHARS_A_TOKEN
    _, told, gold = common.generate_input_output(words, length, often * times, seldom * times)
    return *_split(told, common.CONFIG["template"]), gold


def _words(entries: float, often: int, seldom: int) -> int:
    return max(round((entries - 10 * often) / seldom) + 10, 11)


def _frequent_words(seed: int, chars: int) -> Parts:
    _module("common_utils")
    frequent = _module("fwe_utils")

    def tokenizer(text: str) -> Any:
        return types.SimpleNamespace(input_ids=())  # the number of words is given

    def made(words: int) -> Parts:
        random.seed(seed)
        told, gold, _ = frequent.generate_input_output(
            chars, tokenizer, num_words=words, vocab_size=max(chars // CHARS_A_TOKEN // 50, 20)
        )
        return *_split(told, frequent.CONFIG["template"]), gold

    few = min(max(chars // 50, 200), 20_000)
    return made(chars * few // len(made(few)[0]))


def _split(told: str, template: str) -> tuple[str, str]:
    """Return the context and the question of a prompt, without the words before and after."""
    start = len(template.partition("{context}")[0])
    end = told.rindex("\nQuestion: ")
    question = told[end + len("\nQuestion: ") :].rpartition(" Answer: ")[0]
    return told[start:end], question


MAKERS: dict[str, Callable[[int, int], Parts]] = {
    "niah_single_1": _needle("repeat", "words", "numbers"),
    "niah_multikey_2": _needle("needle", "words", "numbers"),
    "niah_multikey_3": _needle("needle", "uuids", "uuids"),
    "vt": _tracking,
    "cwe": _common_words,
    "fwe": _frequent_words,
}

if __name__ == "__main__":
    main()
