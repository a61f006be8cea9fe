"""The paths of a folder that are left out by rule: hidden ones, what tools make, what a
``.gitignore`` names, what the user names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

from ...errors import UsageError

HIDDEN = (".*",)
MADE = ("node_modules/", "__pycache__/", "bower_components/", "*.egg-info/")
"""Names of folders that tools make, beside those that say so themselves."""
MARKERS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""Files by which a folder says that it is a virtual environment or a cache."""
_RULES = ".gitignore"


class Exclusion:
    """The rules for one folder, by relative posix paths; those of folders end in ``/``.

    ``patterns`` are the user's, in the language of ``.gitignore``. What one of them says counts,
    the last one first: ``!name`` takes in what is left out otherwise. Raises ``UsageError``.
    """

    def __init__(self, folder: Path, patterns: Sequence[str] = ()) -> None:
        self._folder = folder
        self._own = _spec(patterns)
        self._defaults = {"hidden": _spec(HIDDEN), "made by tools": _spec(MADE)}
        self._ignored: dict[str, list[tuple[str, GitIgnoreSpec]]] = {"": _above(folder)}

    def enter(self, relative: str, names: Collection[str]) -> bool:
        """Learn the rules of a folder that has these files; return whether it is to be left out."""
        chain = self._ignored.get(relative) or self._ignored[_parent(relative)]
        if _RULES in names:
            prefix = f"{relative}/" if relative else ""
            chain = [*chain, (prefix, _read(self._folder / relative / _RULES))]
        self._ignored[relative] = chain
        marked = bool(relative) and any(marker in names for marker in MARKERS)
        return marked and self._own.check_file(f"{relative}/").include is None

    def reason(self, relative: str) -> str | None:
        """Return the rule by which a path is left out, None if none does."""
        said = self._own.check_file(relative).include
        if said is not None:
            return "named by --exclude" if said else None
        for reason, spec in self._defaults.items():
            if spec.check_file(relative).include:
                return reason
        return "named by .gitignore" if self._is_ignored(relative) else None

    def _is_ignored(self, relative: str) -> bool:
        for prefix, spec in reversed(self._ignored[_parent(relative.rstrip("/"))]):
            inside = f"{prefix[1:]}{relative}" if prefix[:1] == "/" else relative[len(prefix) :]
            said = spec.check_file(inside).include
            if said is not None:
                return said
        return False


def _parent(relative: str) -> str:
    return relative.rpartition("/")[0]


def _above(folder: Path) -> list[tuple[str, GitIgnoreSpec]]:
    """Return the rules of the folders above one that is inside of a git repository. The place of
    the folder, seen from the one that has the rules, stands behind a slash as their prefix."""
    above = next((n for n, up in enumerate(folder.parents, 1) if (up / ".git").exists()), 0)
    found = []
    for up in reversed(folder.parents[:above] if not (folder / ".git").exists() else ()):
        if (up / _RULES).is_file():
            found.append((f"/{folder.relative_to(up).as_posix()}/", _read(up / _RULES)))
    return found


def _read(path: Path) -> GitIgnoreSpec:
    """Return the rules of a file; lines that are none are passed over, as git does."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return GitIgnoreSpec.from_lines([line for line in lines if _is_rule(line)])


def _is_rule(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UsageError(
            f"exclude={', '.join(patterns)}: {error}; give patterns as in .gitignore"
        ) from error
