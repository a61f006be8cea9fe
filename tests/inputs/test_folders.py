"""A folder has its text files, each read as it is on its own, and names what it leaves out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rlm_kernel.errors import ContextError, UsageError
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.contexts import detect, folders

FRENCH = "Le café est fermé à côté de l’hôtel. Voilà où ça mène, garçon.\n" * 9


@pytest.fixture
def make(tmp_path):
    """Make a folder of files by path and content."""

    def make(files: dict[str, bytes | str], root: Path = tmp_path / "p") -> Path:
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return make


def names(folder: Path, *exclude: str) -> list[str]:
    return folders.listing(folder, exclude).names


@pytest.mark.parametrize(
    "data",
    [
        FRENCH.encode("cp1252"),
        FRENCH.encode("utf-16"),
        FRENCH.encode("utf-32"),
        FRENCH.encode("utf-8-sig"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy.\n" * 20).encode("cp1250"),
        ("これは日本語の文章です。\n" * 20).encode("cp932"),
        b"<meta charset=iso-8859-2>" + "žluťoučký".encode("iso-8859-2"),
        b"text with a \0 in it",
        b"a" * 70_000 + "é".encode("cp1252"),
    ],
)
def test_a_file_in_a_folder_is_read_as_it_is_alone(make, tmp_path, data):
    folder = make({"a.txt": data, "b.txt": "b"})
    alone = contexts.from_path(folder / "a.txt")
    first = folders.listing(folder).files[0]
    assert first.encoding == alone.encoding
    assert first.characters == len(data.decode(alone.encoding, alone.errors))
    assert first.notice == alone.notice


def test_files_that_are_not_plain_utf8_are_named(make):
    source = contexts.from_path(make({"a.txt": FRENCH.encode("cp1252"), "b.txt": "b"}))
    assert source.notes == (
        "Files that are not plain UTF-8: a.txt (The text is not UTF-8; it was read as cp1252.).",
    )


def test_what_tools_make_and_gitignore_names_is_left_out_and_said(make):
    folder = make(
        {
            "node_modules/a/index.js": "x", "web/node_modules/b": "x", "pkg/__pycache__/c.py": "x",
            "env/pyvenv.cfg": "x", "env/lib/d.py": "x", "cache/CACHEDIR.TAG": "x", "cache/e": "x",
            ".gitignore": "*.log\n!keep.log\n/build/\n", "a.log": "x", "keep.log": "x",
            "build/f.txt": "x", "src/build/g.txt": "x", "src/.gitignore": "h.txt\n!a.log\n",
            "src/h.txt": "x", "h.txt": "x", "src/a.log": "x", "i.png": b"\x89PNG\r\n\x1a\n\0\xff",
        }
    )  # fmt: skip
    source = contexts.from_path(folder)
    assert names(folder) == ["h.txt", "keep.log", "src/a.log", "src/build/g.txt"]
    assert source.notice == ("Skipped: 1 binary, 2 hidden, 5 made by tools, 3 named by .gitignore.")
    said = source.notes[0]
    assert "made by tools: node_modules/, cache/, env/, pkg/__pycache__/, web/node" in said
    assert "named by .gitignore: build/, a.log, src/h.txt" in said
    assert "--exclude '!NAME'" in source.notes[1]


def test_what_is_left_out_by_default_can_be_had_and_more_left_out(make):
    files = {"node_modules/a.js": "x", ".env": "x", "a.log": "x", ".gitignore": "*.log", "b.md": "",
             "data/c.csv": "x", "venv/pyvenv.cfg": "x", "venv/d.py": "x"}  # fmt: skip
    folder = make(files)
    assert names(folder) == ["b.md", "data/c.csv"]
    assert names(folder, "!node_modules", "data/") == ["b.md", "node_modules/a.js"]
    assert names(folder, "!*.log", "!.env", "*.csv") == [".env", "a.log", "b.md"]
    assert "venv/d.py" in names(folder, "!venv/")
    assert names(folder, "*", "!b.md") == ["b.md"]
    assert folders.listing(folder, ["*.md"]).skipped["named by --exclude"] == ["b.md"]


def test_the_rules_of_a_repository_hold_for_a_folder_in_it(make):
    root = make({".git/config": "x", ".gitignore": "*.log\nsub/out/\n", "sub/a.log": "x",
                 "sub/out/b": "x", "sub/c": "x"})  # fmt: skip
    assert names(root / "sub") == ["c"]
    shutil.rmtree(root / ".git")
    assert names(root / "sub") == ["a.log", "c", "out/b"]


def test_what_is_left_out_is_not_looked_into(make, monkeypatch):
    folder = make({"a.txt": "x", **{f"node_modules/{n}/x.js": "x" for n in range(30)}})
    monkeypatch.setattr(folders, "MAX_FILES", 2)
    assert names(folder) == ["a.txt"]
    with pytest.raises(ContextError, match="--exclude"):
        contexts.from_path(folder, exclude=["!node_modules"])


def test_a_pattern_that_is_none_is_refused_and_a_bad_line_of_gitignore_passed_over(make):
    folder = make({".gitignore": "!\n*.log\nend\\\n", "a.log": "x", "b": "x"})
    assert names(folder) == ["b"]
    with pytest.raises(UsageError, match="exclude=!"):
        contexts.from_path(folder, exclude=["!"])


def test_a_file_that_vanishes_meanwhile_is_left_out_alone(make, monkeypatch):
    folder = make({"a.txt": "x", "b.txt": "x", "c.txt": "x"})
    real = detect.detect

    def slow(chunks):
        (folder / "b.txt").unlink(missing_ok=True)
        return real(chunks)

    monkeypatch.setattr(detect, "detect", slow)
    found = folders.listing(folder)
    assert found.names == ["a.txt", "c.txt"]
    assert found.notice == "Skipped: 1 gone."


def test_a_file_that_may_not_be_looked_at_is_not_said_to_be_gone(make, monkeypatch):
    folder = make({"a.txt": "x", "listed/b.txt": "x"})
    real = os.stat

    def refusing(path, *more, **how):
        if str(path).endswith("b.txt"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more, **how)

    monkeypatch.setattr(os, "stat", refusing)
    monkeypatch.setattr(os, "lstat", refusing)
    assert contexts.from_path(folder).notes == ("Skipped are: unreadable: listed/b.txt.",)


def test_a_folder_that_cannot_be_opened_is_named(make, monkeypatch):
    folder = make({"a.txt": "x", "secret/b.txt": "x", "gone/c.txt": "x"})
    real = os.scandir

    def refusing(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        if str(path).endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    source = contexts.from_path(folder)
    assert source.notice == "Skipped: 1 gone, 1 unreadable folders."
    assert source.notes == ("Skipped are: gone: gone/; unreadable folders: secret/.",)


def test_a_folder_that_itself_cannot_be_read_is_refused(make, monkeypatch):
    folder = make({"a.txt": "x"})

    def refusing(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ContextError, match="cannot be read: Permission denied"):
        contexts.from_path(folder)


def test_a_recorded_folder_is_found_again_by_the_rules_it_was_read_by(make, tmp_path):
    folder = make({"a.txt": "x", "b.log": "x", "node_modules/c.js": "x"})
    spec = contexts.from_path(folder, exclude=["*.log"]).spec()
    again, _ = contexts.find(spec, tmp_path)
    assert again is not None
    assert (again.spec(), b"b.log" in (again.data or b"")) == (spec, False)
    (folder / "b.log").write_text("other")
    assert contexts.find(spec, tmp_path)[0] is not None
    (folder / "a.txt").write_text("other")
    assert contexts.find(spec, tmp_path)[0] is None


def test_a_folder_of_an_older_record_is_found_by_the_rules_of_its_time(make, tmp_path):
    folder = make({"a.txt": FRENCH.encode("cp1252"), "node_modules/c.js": "x", ".env": "x"})
    old = folders.listing(folder, reading=1)
    assert old.names == ["a.txt", "node_modules/c.js"]
    spec = contexts.from_path(folder).spec()
    for later in ("reading", "exclude"):
        del spec[later]
    again, _ = contexts.find({**spec, "sha256": old.sha256}, tmp_path)
    assert again is not None
    assert (again.reading, again.data) == (1, old.packed())
    assert b'"utf-8-sig"' in old.packed()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("https://example.test/a.txt", "is a URL, and nothing is downloaded"),
        ("s3://bucket/a.txt", "is a URL"),
        ("file:///tmp/a.txt", "give the path alone"),
        (Path("https://example.test/a.txt"), "is a URL"),
    ],
)
def test_a_url_is_told_to_be_one(path, says):
    with pytest.raises(ContextError, match=says):
        contexts.from_path(path)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("<html><meta charset=iso-8859-2>", "iso8859-2"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-2">', "iso8859-2"),
        ('<?xml version="1.0" encoding="iso-8859-2"?>', "iso8859-2"),
        ("#!/usr/bin/python\n# -*- coding: iso-8859-2 -*-\n", "iso8859-2"),
    ],
)
def test_a_text_that_says_what_encoding_it_has_is_read_in_it(tmp_path, head, name):
    path = tmp_path / "a.html"
    path.write_bytes(head.encode() + "žluťoučký kůň".encode("iso-8859-2"))
    source = contexts.from_path(path)
    assert source.encoding == name
    assert source.notice == f"The text is not UTF-8; it was read as {name}, which it says it is."


@pytest.mark.parametrize("says", ["utf-16", "nope", "utf-8", "base64", "ascii"])
def test_a_text_that_is_wrong_about_its_encoding_is_not_believed(tmp_path, says):
    path = tmp_path / "a.html"
    path.write_bytes(f"<meta charset={says}>".encode() + FRENCH.encode("cp1252"))
    assert contexts.from_path(path).encoding == "cp1252"


def test_a_text_that_is_a_url_alone_is_noticed():
    assert "nothing is downloaded" in contexts.from_value("https://example.test/a.txt").notes[0]
    assert contexts.from_value("see https://example.test/a.txt").notes == ()
