"""Seeds for ``random`` and numpy, so that a question that is run again draws the same numbers.

Not promised: generators that a cell makes for itself without a seed.
"""

import importlib.machinery
import random
import sys

NUMPY = "numpy.random"


class Seeds:
    """Seeds the modules' own generators, for the time of one question."""

    def __init__(self):
        self._before = {}  # states by module
        self._hook = None

    def begin(self, seed):
        """Seed both; numpy when it is imported, if it is not yet there."""
        self._before["random"] = random.getstate()
        random.seed(seed)
        numpy = sys.modules.get(NUMPY)
        if numpy is not None:
            self._before[NUMPY] = numpy.get_state()
            numpy.seed(seed)
        else:
            self._hook = _OnImport(seed)
            sys.meta_path.insert(0, self._hook)

    def end(self):
        """Let both go on from where they were before."""
        if "random" in self._before:
            random.setstate(self._before["random"])
        numpy = sys.modules.get(NUMPY)
        if numpy is not None and NUMPY in self._before:
            numpy.set_state(self._before[NUMPY])
        elif numpy is not None and self._hook is not None:
            numpy.seed(None)  # it came meanwhile, and would have been random
        if self._hook in sys.meta_path:
            sys.meta_path.remove(self._hook)
        self._before, self._hook = {}, None


class _OnImport:
    """Finds ``numpy.random`` as the usual finder does, and seeds it once it is imported."""

    def __init__(self, seed):
        self._seed = seed
        self._found = False

    def find_spec(self, name, path=None, target=None):
        if name != NUMPY or self._found:
            return None
        self._found = True
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            self._seed_after(spec.loader)
        return spec

    def _seed_after(self, loader):
        execute, seed = loader.exec_module, self._seed

        def exec_module(module):
            execute(module)
            module.seed(seed)

        loader.exec_module = exec_module
