"""Pictures: for sub-LMs that see, of what a cell has; and of cells, for authors that see."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pytest
from asking import ask, ask_here, calls, check_whole, events, script

from rlm_kernel import RLM, Result
from rlm_kernel.events import Prompted
from rlm_kernel.lm.model import image_part, seen, text_of
from rlm_kernel.record import trajectory
from rlm_kernel.remote.guest.errors import CallRefused
from rlm_kernel.remote.guest.images import LONGEST_SIDE, MOST, MOST_BYTES, measured, pictures
from rlm_kernel.replay.replay import replay
from rlm_kernel.rlm import history, prompts, vision
from rlm_kernel.session.event_loop import engine
from rlm_kernel.testing import FakeEndpoint, ScriptedLM, images_of

MIME_JPEG = "image/jpeg"
# 2 × 1 pixels of red and blue, as the cells and the tests make it
PIXELS = "import numpy\npixels = numpy.array([[[255, 0, 0], [0, 0, 255]]], 'uint8')\n"


def _decoded(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and raw lines of a PNG that was not filtered."""
    width, height = struct.unpack_from(">II", png, 16)
    start = png.index(b"IDAT")
    size = struct.unpack_from(">I", png, start - 4)[0]
    return width, height, zlib.decompress(png[start + 4 : start + 4 + size])


def _asked(lm_source: str, out: Path, **more: object) -> tuple[Result, list[list[bytes]]]:
    lm = script(f"print(context)\n{lm_source}")
    return ask_here(lm, out, **more), lm.images  # type: ignore[arg-type]


def test_a_sub_lm_gets_the_pixels_that_a_cell_has(tmp_path: Path) -> None:
    source = f"{PIXELS}FINAL_VAR(llm_query('What is it?', images=[pixels, pixels[:, :, 0]]))"
    result, [[colour, grey]] = _asked(source, tmp_path / "run")
    assert result.response == "<What is it?>"
    assert _decoded(colour) == (2, 1, b"\0\xff\0\0\0\0\xff")
    assert _decoded(grey) == (2, 1, b"\0\xff\0")


def test_pictures_are_recorded_by_their_digest_for_the_owner_only(tmp_path: Path) -> None:
    source = f"{PIXELS}FINAL_VAR(llm_query('What is it?', images=[pixels]))"
    result = ask(script(f"print(context)\n{source}"), tmp_path / "run")
    [call] = calls(result)
    [about] = call.images
    kept = tmp_path / "run" / "blobs" / about["sha256"]
    assert (about["mime"], about["size"]) == ("image/png", kept.stat().st_size)
    assert kept.stat().st_mode & 0o777 == 0o600
    check_whole(result)
    assert "· 1 image" in (tmp_path / "run" / "trajectory.ipynb").read_text()
    verdict = engine().run(replay(trajectory.load(tmp_path / "run"), lambda text: None))
    assert (verdict.differences, verdict.calls) == ([], 1)


def test_each_prompt_of_a_batch_has_its_own_pictures(tmp_path: Path) -> None:
    source = (
        f"{PIXELS}said = llm_query_batched(['a', 'b', 'c'], images=[[pixels], None, pixels])\n"
        "FINAL_VAR(said)"
    )
    result, images = _asked(source, tmp_path / "run")
    assert sorted(len(own) for own in images) == [0, 1, 1]
    assert {c.prompt: len(c.images) for c in calls(result)} == {"a": 1, "b": 0, "c": 1}


def test_the_same_prompt_about_another_picture_is_another_call(tmp_path: Path) -> None:
    source = (
        f"{PIXELS}for image in (pixels, pixels + 1):\n    llm_query('What?', images=[image])\n"
        "llm_query('What?')\nFINAL_VAR('that is all')"
    )
    result, _ = _asked(source, tmp_path / "run")
    assert len({call.key for call in calls(result)}) == 3


def test_an_endpoint_gets_data_urls_and_their_tokens_are_estimated(tmp_path: Path) -> None:
    source = f"{PIXELS}FINAL_VAR(llm_query('What is it?', images=[pixels]))"
    turns = iter([f"```python\nprint(context)\n{source}\n```"])

    def reply(request: dict[str, object]) -> str:
        messages = request["messages"]
        assert isinstance(messages, list)
        return next(turns) if messages[0]["role"] == "system" else "two pixels"

    with FakeEndpoint(reply) as endpoint:
        settings = {"base_url": endpoint.base_url, "api_key": "k" * 10, "model": "fake-model"}
        result = ask_here(None, tmp_path / "run", **settings)
        asked = endpoint.log[-1].request["messages"][0]["content"]
    assert result.response == "two pixels"
    assert [part["type"] for part in asked] == ["text", "image_url"]
    assert asked[1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


# what is a picture
class _Figure:
    """As matplotlib's are."""

    def savefig(self, file: object, format: str) -> None:
        file.write(_png(3, 2))  # type: ignore[attr-defined]


class _Axes:
    figure = _Figure()


class _Pyplot(_Figure):
    """As matplotlib's module is, whose figures are closed when they are shown."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers

    def get_fignums(self) -> tuple[int, ...]:
        return self._numbers


def _png(width: int, height: int, size: int = 0) -> bytes:
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)
    return head + b"\0" * max(size - len(head), 20)


JPEG = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08" + struct.pack(">HH", 20, 30) + b"\0" * 20
LOSSY = b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 30, 20)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 29 | 19 << 14)
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + b"\x1d\0\0\x13\0\0"


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (_png(30, 20), "image/png"),
        (b"GIF89a" + struct.pack("<HH", 30, 20), "image/gif"),
        (JPEG, MIME_JPEG),
        (LOSSY, "image/webp"),
        (LOSSLESS, "image/webp"),
        (EXTENDED, "image/webp"),
    ],
    ids=["png", "gif", "jpeg", "webp lossy", "webp lossless", "webp extended"],
)
def test_a_picture_is_known_by_its_first_bytes(data: bytes, mime: str) -> None:
    assert measured(data) == (mime, 30, 20)
    for end in range(20):  # one that ends too early is none, or is known already
        assert measured(data[:end]) in (None, (mime, 30, 20))


def test_what_a_cell_may_hand_in(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(3, 2))
    given = [_png(3, 2), bytearray(_png(3, 2)), path, str(path), _Figure(), _Axes(), _Pyplot(1)]
    made = pictures(given)  # type: ignore[no-untyped-call]
    assert [measured(data) for data in made] == [("image/png", 3, 2)] * len(given)
    assert pictures(_png(1, 1)) == [_png(1, 1)]  # type: ignore[no-untyped-call]


def test_figures_that_are_closed_are_no_empty_picture() -> None:
    with pytest.raises(CallRefused, match="no figure is open"):
        pictures([_Pyplot()])  # type: ignore[no-untyped-call]


def test_one_that_is_too_large_is_made_smaller_where_pil_is_there() -> None:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    wide = numpy.zeros((30, 3000), "uint8")
    noise = numpy.random.default_rng(1).integers(0, 256, (1900, 1900, 3), "uint8")
    small, packed = pictures([wide, noise])  # type: ignore[no-untyped-call]
    assert measured(small) == ("image/png", 2048, 20)
    assert measured(packed) == ("image/jpeg", 1900, 1900)
    assert len(packed) <= MOST_BYTES


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("[b'no picture']", "images[0]: it is no PNG, JPEG, GIF or WebP"),
        ("[None]", "a NoneType is no picture"),
        ("[pixels.astype(float)]", "give uint8"),
        ("[pixels] * 17", "17 pictures; a prompt takes 16"),
        (f"[{_png(5000, 3000)!r}]", "images[0]: it has 5000 × 3000 pixels, and 2,048 a side"),
        (f"[{_png(9, 9)!r} + bytes({MOST_BYTES})]", "5,242,880 is the most"),
        ("['no-such.png']", "No such file"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused_in_words(
    tmp_path: Path, images: str, words: str
) -> None:
    source = (
        f"{PIXELS}try:\n    llm_query('What?', images={images})\n"
        "except Exception as e:\n    FINAL_VAR(str(e) + ' ')"
    )
    result, sent = _asked(source, tmp_path / "run")
    assert words in str(result.response)
    assert sent == []


def test_a_batch_with_lists_for_other_prompts_is_refused(tmp_path: Path) -> None:
    source = (
        f"{PIXELS}try:\n    llm_query_batched(['a', 'b'], images=[pixels])\n"
        "except ValueError as e:\n    FINAL_VAR(str(e) + ' ')"
    )
    result, _ = _asked(source, tmp_path / "run")
    assert "2 prompts but 1 lists of images" in str(result.response)


def test_the_host_holds_pictures_to_the_same_bounds(tmp_path: Path) -> None:
    source = f"""\
import gc
client = next(o for o in gc.get_objects() if type(o).__name__ == "BrokerClient")
cell = get_ipython().kernel.get_parent("shell")["metadata"]["rlm"]["cell"]
def raw(sizes, payload):
    header = {{"op": "llm_query", "cell": cell, "prompts": ["x"], "model": None, "main": True}}
    return client.ask(dict(header, images=sizes), payload)["error"]["message"]
png = {_png(9, 9)!r}
large = {_png(LONGEST_SIDE + 1, 9)!r}
said = [
    raw([[4]], b"none"),
    raw([[len(large)]], large),
    raw([[{MOST_BYTES} + 1]], png + bytes({MOST_BYTES})),
    raw([[len(png)]] * 2, png * 2),
    raw([[len(png)] * {MOST + 1}], png * {MOST + 1}),
    raw([["x"]], png),
    raw(None, png),
]
print(context)
FINAL_VAR("\\n".join(said))"""
    lm = script(source)
    said = str(ask(lm, tmp_path / "run").response).splitlines()
    assert "an image: it is no PNG" in said[0]
    assert "an image: it has 2049 × 9 pixels" in said[1]
    assert all("a malformed call" in each for each in said[2:6]), said
    assert "takes no contexts now" in said[6]
    assert lm.prompts == []


# authors that see
DRAW = f"""\
print(context)
{PIXELS}class Drawn:
    def _repr_png_(self):
        from rlm_guest.images import pictures
        return pictures(pixels)[0]
"""


def _author(saw: list[list[bytes]]) -> ScriptedLM:
    """An LM that draws, and answers with what it sees."""
    turns = iter([f"```python\n{DRAW}Drawn()\n```"])

    def turn(messages: list[dict[str, object]]) -> str:
        saw.append(images_of(messages[-1]))
        if not saw[-1]:
            return next(turns)
        width, height, lines = _decoded(saw[-1][-1])
        return f"```python\nFINAL_VAR('{width} x {height}: {lines.hex()}')\n```"

    return ScriptedLM(turn)


def test_an_author_that_sees_gets_the_pixels_that_its_cell_drew(tmp_path: Path) -> None:
    saw: list[list[bytes]] = []
    lm = _author(saw)
    result = ask(lm, tmp_path / "run", vision="on")
    assert result.response == "2 x 1: 00ff00000000ff"
    assert "(image/png)" in lm.asked[1][-1]["content"][0]["text"]
    assert prompts.FIGURES_SEEN in lm.asked[0][0]["content"]
    check_whole(result)
    loaded = [e for e in events(result) if isinstance(e, Prompted)][-1]
    assert images_of(loaded.messages[-1]) == saw[-1]
    verdict = engine().run(replay(trajectory.load(tmp_path / "run"), lambda text: None))
    assert verdict.differences == []


def test_a_fork_tells_an_author_the_same_pictures_again(tmp_path: Path) -> None:
    saw: list[list[bytes]] = []
    first = ask(_author(saw), tmp_path / "run", vision="on")
    again: list[list[dict[str, object]]] = []

    def turn(messages: list[dict[str, object]]) -> str:
        again.append(messages)
        return "```python\nFINAL_VAR('the same')\n```"

    with RLM(model=ScriptedLM(turn), out=tmp_path / "fork") as rlm:
        result = rlm.fork(first.trajectory, note="Look again.")
    assert result.response == "the same"
    told = [image for message in again[0] for image in images_of(message)]
    assert told == saw[-1]
    check_whole(result)


def test_without_the_setting_an_author_is_told_of_a_figure_only(tmp_path: Path) -> None:
    lm = script(f"{DRAW}Drawn()", "FINAL_VAR('that is all')")
    ask(lm, tmp_path / "run")
    told = lm.asked[1][-1]["content"]
    assert isinstance(told, str)
    assert "(image/png)" in told


def _output(data: bytes, mime: str = "image/png") -> dict[str, object]:
    text = base64.b64encode(data).decode()
    return {"output_type": "display_data", "data": {mime: text, "text/plain": "<Figure>"}}


def test_the_last_pictures_of_a_turn_are_shown_and_the_others_named() -> None:
    pictures_made = [_output(_png(n + 1, 1)) for n in range(vision.MOST + 2)]
    broken = {"output_type": "display_data", "data": {"image/png": "no base64!"}}
    large = _output(_png(LONGEST_SIDE + 1, 1))
    parts, notices = vision.of_outputs([broken, *pictures_made, large, _output(JPEG, MIME_JPEG)])
    message = {"role": "user", "content": parts}
    assert len(parts) == vision.MOST
    assert [measured(data) for data in images_of(message)][-1] == (MIME_JPEG, 30, 20)
    assert "2 of the images above are not shown to you: it is no base64" in notices[0]
    assert "3 of the images above" in notices[1]


def test_a_history_with_pictures_is_counted_by_their_number_and_compacted_to_its_texts() -> None:
    picture = image_part("image/png", "A" * 5_000_000)
    told = {"role": "user", "content": seen("Output:\na figure", [picture])}
    reply = {"role": "assistant", "content": "a cell"}
    messages = [prompts.message("system", "s"), prompts.message("user", "q")] + [reply, told] * 4
    assert history.tokens(messages) < 6_000
    for shorter in (
        history.shortened(messages, []),
        history.compacted(messages, [], 8_000, most=2),
    ):
        assert len(str(shorter[1])) < 2_000
        assert "a figure" in str(shorter[1])
        assert images_of(shorter[-1])
    [*_, cut] = history.compacted(messages, [], 1_000, most=2)
    assert "a figure" in text_of(cut)
    last = prompts.with_words(told, "Go on.")
    assert text_of(last) == "Output:\na figure\n\nGo on."
