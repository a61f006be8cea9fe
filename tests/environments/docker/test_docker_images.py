"""The image a kernel runs in: built once for the same content, and its faults named."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sandboxes import Opener

from rlm_kernel.environments.docker.images import ImageRecipe, ready_image
from rlm_kernel.errors import UsageError

pytestmark = pytest.mark.needs("docker")
SITE = "/usr/local/lib/python3.11/site-packages"
OLD_PYTHON = """
import sys
sys.version_info = (3, 8, 18, "final", 0)
if "def take" in str(sys.orig_argv):  # what the relay is brought by
    sys.exit("TypeError: 'type' object is not subscriptable")
"""

Builder = Callable[[str], str]


@pytest.fixture
def built(engine: Any, image: str) -> Iterator[Builder]:
    """An image by the lines of a Dockerfile after its FROM; removed after the test."""
    tags = []

    def build(lines: str, base: str = image, **files: str) -> str:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, text in {"Dockerfile": f"FROM {base}\n{lines}\n", **files}.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        tags.append(f"rlm-kernel-tests-bad:{len(tags)}")
        packed.seek(0)
        engine.images.build(fileobj=packed, custom_context=True, tag=tags[-1], rm=True)
        return tags[-1]

    yield build
    for tag in tags:
        engine.images.remove(tag, force=True)


@pytest.fixture
def removed(engine: Any) -> Iterator[list[str]]:
    """Tags to remove after the test."""
    tags: list[str] = []
    yield tags
    for tag in tags:
        engine.images.remove(tag, force=True)


def test_packages_are_there_without_a_network_inside(
    engine: Any, image: str, opened: Opener, removed: list[str]
) -> None:
    recipe = ImageRecipe(image=image, packages=("rlm_tiny",))
    removed.append(recipe.tag)
    with opened(packages=["rlm_tiny"]) as place:
        assert place.run("import rlm_tiny; print(rlm_tiny.ANSWER)") == "42"
    with opened() as place:
        assert place.run("import rlm_tiny").startswith("ModuleNotFoundError")


def test_the_same_content_is_built_once(engine: Any, image: str, removed: list[str]) -> None:
    recipe = ImageRecipe(base=image, packages=("rlm_tiny",))
    removed.append(recipe.tag)
    lines: list[str] = []
    first = ready_image(engine, recipe, lines.append)
    assert lines[0].startswith(f"building the image {recipe.tag}: ipykernel==")
    assert any("Successfully installed rlm_tiny" in line for line in lines)
    lines.clear()
    assert (ready_image(engine, recipe, lines.append), lines) == (first, [])


def test_other_content_has_another_tag() -> None:
    recipes = [
        ImageRecipe(),
        ImageRecipe(packages=("numpy",)),
        ImageRecipe(packages=("numpy>2", "pandas")),
        ImageRecipe(base="python:3.12-slim"),
        ImageRecipe(image="mine:1", packages=("numpy",)),
    ]
    assert len({recipe.tag for recipe in recipes}) == len(recipes)
    assert ImageRecipe(packages=("a", "b")).tag == ImageRecipe(packages=("b", "a")).tag
    assert ImageRecipe(image="mine:1").tag == "mine:1"


def test_a_base_that_changed_is_built_on_again(
    engine: Any, built: Builder, removed: list[str]
) -> None:
    base = built("ENV MADE=first")
    recipe = ImageRecipe(base=base)
    removed.append(recipe.tag)
    lines: list[str] = []
    ready_image(engine, recipe)
    engine.images.get(built("ENV MADE=second")).tag(base)
    ready_image(engine, recipe, lines.append)
    assert lines[0].startswith("building the image")
    assert "MADE=second" in engine.images.get(recipe.tag).attrs["Config"]["Env"]


def test_a_package_that_does_not_exist_shows_what_pip_said(engine: Any, image: str) -> None:
    with pytest.raises(UsageError, match="No matching distribution found for no-such-thing"):
        ready_image(engine, ImageRecipe(base=image, packages=("no-such-thing",)))


def test_an_image_that_cannot_be_had_says_how_to_name_another(opened: Opener) -> None:
    with (
        pytest.raises(UsageError, match=r"localhost:1/nothing is not on this machine .* --image"),
        opened(image="localhost:1/nothing"),
    ):
        pass


def test_an_image_without_python_is_named(built: Builder, opened: Opener) -> None:
    tag = built("COPY note /note", base="scratch", note="nothing else")
    with pytest.raises(UsageError, match="has no python3 on its PATH"), opened(image=tag):
        pass


@pytest.mark.parametrize("lacking", ["ipykernel", "zmq"])
def test_an_image_without_ipykernel_says_how_to_get_it(
    built: Builder, opened: Opener, lacking: str
) -> None:
    tag = built(f"RUN rm -r {SITE}/{lacking}")
    said = f"No module named '{lacking}'.*packages="
    with pytest.raises(UsageError, match=said), opened(image=tag):
        pass


def test_an_old_python_is_named(built: Builder, opened: Opener) -> None:
    tag = built(f"COPY old {SITE}/sitecustomize.py", old=OLD_PYTHON)
    said = r"has Python 3\.8; a kernel needs 3\.9 or later"
    with pytest.raises(UsageError, match=said), opened(image=tag):
        pass
