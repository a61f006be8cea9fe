import codecs
import gzip
import hashlib
import io
import json
import os
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.errors import ContextError, RecordError
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.contexts import detect, files, folders
from rlm_kernel.remote.guest import values

FRENCH = "Le café est fermé à côté de l’hôtel. Voilà où ça mène, garçon.\n"
POLISH = "„Dzień dobry” – powiedział Paweł. „Gdzie są książki?” – spytała Małgorzata…\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. Dnes je hezké počasí.\n"
RUSSIAN = "Это русский текст, в котором есть несколько слов.\n"
JAPANESE = "これは日本語の文章です。漢字とカタカナも含まれています。\n"
any_text = st.text(st.characters(codec=None, exclude_categories=[]))
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | any_text | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def put(tmp_path):
    def put(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return put


def loaded(source, folder):
    """The value as the guest reads it from the source's bytes."""
    path, spec = source.path, json.loads(json.dumps(source.spec()))
    if source.data is not None:
        held = folder.parent / f"{folder.name}-data"
        held.write_bytes(source.data)
        path, spec = path or held, {**spec, "files": str(held)}
    return values.load(spec, str(path))


def read(path, **options):
    source = contexts.from_path(path, **options)
    return source, loaded(source, path.parent)


@pytest.mark.parametrize(
    "text",
    ["a\r\nb\rc\nd", "a nul \0 in a text", "'''\"\"\"\\", "é😀\U0010ffff", " \u2028\x85 \f",
     "\ufffe"],
)  # fmt: skip
def test_a_utf8_file_arrives_as_its_exact_text(put, text):
    source, value = read(put("a.txt", text.encode()))
    assert (source.kind, value) == ("text", text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding_and_is_taken_off(put, encoding):
    source, value = read(put("a.txt", "né\r\n😀".encode(encoding)))
    assert value == "né\r\n😀"
    assert source.notice is None


def test_big_endian_utf16_is_read_by_its_mark(put):
    assert read(put("a", codecs.BOM_UTF16_BE + "né".encode("utf-16-be")))[1] == "né"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", FRENCH), ("cp1252", "le café est là, à côté\n"), ("cp1252", "“Quotes”—5 €\n"),
     ("cp1252", "Größe und Straße, schön\n"), ("cp1250", CZECH), ("cp1250", POLISH),
     ("cp1250", "Mąż poszedł do młyna.\n"), ("cp1252", "Öösel jõudis õunapuu õitseaeg.\n"),
     ("cp1252", "12 m³ l·m, ¿qué más? «voilà» l’été\n"), ("koi8_r", RUSSIAN),
     ("cp1251", RUSSIAN), ("cp932", JAPANESE), ("euc_jp", JAPANESE)],
)  # fmt: skip
def test_a_legacy_encoding_is_found_and_named(put, encoding, text):
    source, value = read(put("a.txt", (text * 20).encode(encoding)))
    assert value == text * 20
    assert encoding in (source.notice or "")


def test_a_legacy_letter_that_ends_the_file_is_found(put):
    assert read(put("a.txt", "one\nun café".encode("cp1252")))[1] == "one\nun café"


def test_one_legacy_letter_far_into_a_long_ascii_text_is_found(put):
    text = "plain words\n" * 100_000 + "a café here\n" + "more\n" * 1000
    assert read(put("a.txt", text.encode("cp1252")))[1] == text


def test_a_few_bad_bytes_stand_escaped_and_are_counted(put):
    data = b"x" * 1204 + b"\xff ok \xfe\n" + b"y" * 100 + b"\xff"
    source, value = read(put("a.txt", data))
    assert value == data.decode("utf-8", "backslashreplace")
    assert "3 bytes are not UTF-8 (first at byte 1,204)" in (source.notice or "")


def test_bad_bytes_among_other_utf8_do_not_make_it_a_legacy_encoding(put):
    data = RUSSIAN.encode() * 9 + b"\xe9" + RUSSIAN.encode()
    source, value = read(put("a.txt", data))
    assert value.count(RUSSIAN.strip()) == 10
    assert r"\xe9" in value
    assert "1 byte is not UTF-8" in (source.notice or "")


def test_a_character_split_between_two_chunks_is_one_character(put):
    text = "x" + "😀" * 200_000
    source, value = read(put("a.txt", text.encode()))
    assert (value, source.notice) == (text, None)


def test_a_bad_byte_in_a_later_chunk_is_reported_at_its_offset(put):
    data = "x😀".encode() * 200_000
    source = contexts.from_path(put("a.txt", data + b"\xff" + data))
    assert f"first at byte {len(data):,}" in (source.notice or "")


@pytest.mark.parametrize(
    "data",
    [b"\x00\x01\x02\xff", gzip.compress(b"text" * 9, mtime=0), b"PK\x03\x04 ascii",
     b"%PDF-1.4 ascii", bytes(range(256)) * 9, bytes(range(1, 9)) * 9, b"\x89PNG\r\n\x1a\n"],
)  # fmt: skip
def test_binary_files_arrive_as_their_bytes(put, data):
    source, value = read(put("a.txt", data))
    assert (source.kind, value) == ("bytes", data)


@pytest.mark.parametrize("data", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.csv"])
def test_an_empty_file_is_an_empty_text_and_said(put, name, data):
    source, value = read(put(name, data))
    assert value == ""
    assert source.notice == "The context is empty."


@pytest.mark.parametrize("data", [b'{"a": [1, null]}', b"[1, 2]", '\ufeff{"é": 1}'.encode()])
def test_a_json_file_arrives_parsed(put, data):
    source, value = read(put("a.json", data))
    assert (source.kind, value) == ("json", json.loads(data.decode("utf-8-sig")))


@pytest.mark.parametrize("data", [b"{oops", b'"one"', b"[" * 100_000, b"9" * 5000])
def test_json_that_cannot_be_taken_stands_as_text_and_says_why(put, data):
    source, value = read(put("a.JSON", data))
    assert value == data.decode()
    assert "stands as text" in (source.notice or "")


def test_json_over_the_limit_stands_as_text(put, monkeypatch):
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 5)
    source, value = read(put("a.json", b'{"a": 1}'))
    assert value == '{"a": 1}'
    assert "not parsed" in (source.notice or "")


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_json_lines_become_a_list_and_bad_lines_stay_text(put, name):
    data = '{"a": 1}\r\n\n{oops\r\n"x\u2028y"\n[2]'.encode()
    source, value = read(put(name, data))
    assert value == [{"a": 1}, "{oops", "x\u2028y", [2]]
    assert "line 3 (1 in all)" in (source.notice or "")


def test_json_lines_longer_than_a_chunk_are_checked_whole(put):
    item = {"a": "é" * 300_000}
    source, value = read(put("a.jsonl", (json.dumps(item) + "\n").encode() * 2))
    assert value == [item, item]
    assert source.notice is None


def test_a_jsonl_file_without_json_is_text(put):
    source, value = read(put("a.jsonl", b"one\ntwo\n"))
    assert (source.kind, value) == ("text", "one\ntwo\n")


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t"), ("b.csv", ";")])
def test_a_table_becomes_a_dataframe(put, name, mark):
    source, value = read(put(name, f"name{mark}n\nZoé{mark}1\nBo{mark}2\n".encode()))
    assert source.kind == "csv"
    assert value.to_dict("list") == {"name": ["Zoé", "Bo"], "n": [1, 2]}


def test_a_table_without_pandas_becomes_a_list_of_dicts(put, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    _, value = read(put("a.csv", b'name,n\r\n"a\r\nb",1\r\n'))
    assert value == [{"name": "a\r\nb", "n": 1}]


def test_bytes_that_may_be_a_text_of_an_unknown_encoding_are_said_to_be(put):
    source, value = read(put("a.txt", b"caf\xe9 \xfc"))
    assert (source.kind, value) == ("bytes", b"caf\xe9 \xfc")
    assert "name its encoding if it is a text" in (source.notice or "")


def test_standard_input_is_read_as_bytes(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\r\n\xc3\xa9")))
    source = contexts.from_path("-")
    assert (source.name, source.path, loaded(source, tmp_path)) == ("<stdin>", None, "a\r\né")


def test_the_encoding_that_the_caller_names_wins(put):
    path = put("a.txt", "é".encode())
    assert read(path, encoding="cp1252")[1] == "Ã©"
    assert read(put("b", b"\x00\xff"), encoding="latin-1")[1] == "\x00ÿ"


def test_utf16_named_by_the_caller_needs_no_byte_order_mark(put):
    assert read(put("a.txt", "né".encode("utf-16-le")), encoding="utf-16")[1] == "né"


def test_utf8_named_by_the_caller_still_loses_its_byte_order_mark(put):
    assert read(put("a.txt", codecs.BOM_UTF8 + b"x"), encoding="utf-8")[1] == "x"


@pytest.mark.parametrize(
    ("encoding", "says"),
    [("ascii", "byte 2 does not fit"), ("utf-16", "byte 4"), ("nope", "'nope' is no text enc"),
     ("hex", "'hex'"), ("a\0b", "no text encoding")],
)  # fmt: skip
def test_a_wrong_encoding_is_refused(put, encoding, says):
    with pytest.raises(ContextError, match=says):
        contexts.from_path(put("a.txt", "abé!".encode()), encoding=encoding)


def test_a_missing_file_is_named_with_its_neighbours(put, tmp_path):
    put("report.txt", b"x")
    with pytest.raises(ContextError, match=r"reprot\.txt.*near it: report\.txt"):
        contexts.from_path(tmp_path / "reprot.txt")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ContextError, match="nor the folder"):
        contexts.from_path(tmp_path / "none" / "a.txt")


def test_a_path_that_cannot_be_is_a_context_error(put):
    for path in ("a\0b", "x" * 5000, str(put("file", b"x")) + "/inside"):
        with pytest.raises(ContextError):
            contexts.from_path(path)


def test_devices_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(ContextError, match="device"):
            contexts.from_path(path)


def test_a_relative_path_is_recorded_whole(put, tmp_path, monkeypatch):
    put("a.txt", b"x")
    monkeypatch.chdir(tmp_path)
    assert contexts.from_path("a.txt").spec()["path"] == str(tmp_path / "a.txt")


def test_the_hash_and_size_are_of_the_bytes_as_stored(put):
    source = contexts.from_path(put("a.txt", codecs.BOM_UTF8 + b"abc\r\n"))
    assert source.sha256 == hashlib.sha256(codecs.BOM_UTF8 + b"abc\r\n").hexdigest()
    assert source.size == 8


def test_a_large_file_is_judged_without_being_held(put):
    path = put("big.txt", "é0123456789\n".encode() * 3_000_000)
    tracemalloc.start()
    try:
        contexts.from_path(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@given(any_text)
def test_every_text_survives(text):
    source = contexts.from_value(text)
    assert (source.kind, source.data.decode(source.encoding, source.errors)) == ("text", text)


@given(st.lists(plain_json) | st.dictionaries(any_text, plain_json))
def test_every_plain_list_and_dict_survives(tmp_path_factory, value):
    source = contexts.from_value(value)
    back = loaded(source, tmp_path_factory.getbasetemp())
    assert repr(back) == repr(value)


def test_two_lone_surrogates_stay_two(tmp_path):
    for value in ("\ud83d\ude00", ["\ud83d\ude00"], {"\ud83d\ude00": "\ud83d\ude00"}):
        back = loaded(contexts.from_value(value), tmp_path)
        assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [[(1, 2)], {1: "a"}, [float("inf")], [10**5000], (1,), {"a", "b"}, 5, [True, b"x"]],
)  # fmt: skip
def test_what_json_would_change_goes_by_pickle(tmp_path, value):
    source = contexts.from_value(value)
    back = loaded(source, tmp_path)
    assert (source.kind, type(back), back) == ("pickle", type(value), value)


def test_cycles_and_shared_parts_keep_their_shape(tmp_path):
    cycle: list = []
    cycle.append(cycle)
    shared: list = [[]] * 2
    back = loaded(contexts.from_value(cycle), tmp_path)
    assert back[0] is back
    back = loaded(contexts.from_value(shared), tmp_path)
    assert back[0] is back[1]


def test_a_dataframe_survives(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    source = contexts.from_value(frame)
    assert (source.kind, source.name) == ("pickle", "DataFrame")
    assert loaded(source, tmp_path).equals(frame)


@pytest.mark.parametrize("value", [b"\0\xff", bytearray(b"x"), memoryview(b"x")])
def test_bytes_arrive_as_bytes(tmp_path, value):
    back = loaded(contexts.from_value(value), tmp_path)
    assert (type(back), back) == (bytes, bytes(value))


def test_what_cannot_be_pickled_is_refused():
    here = type("Here", (), {"__module__": "__main__"})
    for value in (lambda: 0, (x for x in "ab"), here(), [here]):
        with pytest.raises(ContextError, match="cannot be handed to a kernel"):
            contexts.from_value(value)


def test_a_path_object_is_not_taken_for_a_text(tmp_path):
    with pytest.raises(ContextError, match="from_path"):
        contexts.from_value(tmp_path)


@pytest.fixture
def project(put, tmp_path):
    put("p/b/deep.md", b"deep \xff")
    put("p/a.py", codecs.BOM_UTF8 + "é\r\n".encode())
    put("p/.git/config", b"x")
    put("p/.hidden", b"x")
    put("p/c.bin", b"\0\1")
    put("secret.txt", b"secret")
    (tmp_path / "p/link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "p/up").symlink_to(tmp_path)
    (tmp_path / "p/same.py").symlink_to("a.py")
    (tmp_path / "p/gone").symlink_to("nowhere")
    return tmp_path / "p"


def test_a_folder_is_a_mapping_of_its_text_files(project):
    source, value = read(project)
    assert dict(value) == {"a.py": "é\r\n", "b/deep.md": r"deep \xff", "same.py": "é\r\n"}
    assert source.notice == (
        "Skipped: 1 binary, 2 hidden, 1 links that leave the folder, 1 links to folders, "
        "1 not files."
    )


def test_the_guest_has_the_files_of_a_folder_that_the_host_has_listed(project):
    assert folders.listing(project).names == list(read(project)[1])


def test_the_hash_of_a_folder_is_of_what_it_holds(project, put):
    before = contexts.from_path(project).sha256
    put("p/.hidden", b"other")
    assert contexts.from_path(project).sha256 == before
    put("p/a.py", b"other")
    assert contexts.from_path(project).sha256 != before


def test_a_folder_of_too_many_files_is_refused(project, monkeypatch):
    monkeypatch.setattr(folders, "MAX_FILES", 2)
    with pytest.raises(ContextError, match="more than 2 files"):
        contexts.from_path(project)


def test_a_folder_takes_no_encoding(project):
    with pytest.raises(ContextError, match="one file only"):
        contexts.from_path(project, encoding="utf-8")


def found(spec, near):
    source, reason = contexts.find(spec, near)
    return source and source.path, reason


def test_a_context_is_found_again_at_its_path_beside_the_record_or_in_blobs(put, tmp_path):
    path = put("was/a.txt", b"abc")
    spec = contexts.from_path(path).spec()
    near = tmp_path / "run"
    assert found(spec, near)[0] == path
    beside = put("run/a.txt", b"abc")
    path.unlink()
    assert found(spec, near)[0] == beside
    blob = put(f"run/blobs/{spec['sha256']}", b"abc")
    assert found(spec, near)[0] == blob


def test_a_context_embedded_in_its_record_is_found_there(tmp_path):
    source = contexts.from_value("a\ud83d\ude00\0")
    again, _ = contexts.find({**source.spec(), "text": "a\ud83d\ude00\0"}, tmp_path)
    assert again is not None
    assert (again.data, again.spec()) == (source.data, source.spec())


def test_a_context_whose_content_changed_is_not_the_one(put, tmp_path):
    path = put("a.txt", b"abc")
    spec = contexts.from_path(path).spec()
    put("a.txt", b"abd")
    again, reason = contexts.find({**spec, "text": "abd"}, tmp_path)
    assert again is None
    assert "the text in the record was changed" in reason
    assert f"{path} has other content" in reason


def test_a_context_that_is_nowhere_says_so(tmp_path):
    again, reason = contexts.find(contexts.from_value("x").spec(), tmp_path)
    assert again is None
    assert "neither in the record nor on this machine" in reason


def test_a_folder_is_found_again_by_its_files(project):
    source = contexts.from_path(project)
    assert found(source.spec(), project.parent / "run")[0] == project


@pytest.mark.parametrize("change", [{"sha256": "../../etc/passwd"}, {"kind": "x"}, {"size": "1"}])
def test_a_spec_that_is_none_is_refused(change, tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        contexts.find({**contexts.from_value("x").spec(), **change}, tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_judged_and_arrive_whole(data):
    judged = detect.detect(lambda: iter([data[:100], data[100:]] if data else []))
    assert judged.size == len(data)
    if judged.encoding is not None:
        text = data.decode(judged.encoding, judged.errors)
        assert judged.errors != "strict" or judged.encoding != "utf-8" or text.encode() == data


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', ["1 object has a key more than once, the first 'c': "]),
        ('[{"a": 1, "a": 2}, {"b": 1, "b": 2}]', ["2 objects have keys more than once, the first"]),
        ("[12345678901234567.89, 0.1, 1e999]", ["1 number has more digits than a float keeps, "]),
        ("[0.1, 1.10, 1e5, 0.30000000000000004, 123456789012345678901234567890, NaN]", []),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_what_json_does_not_keep_is_said(put, name, text, notes):
    source, _ = read(put(name, text.encode()))
    assert len(source.notes) == len(notes)
    assert all(note.startswith(said) for note, said in zip(source.notes, notes, strict=True))
