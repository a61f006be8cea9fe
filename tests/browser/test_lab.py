"""The kernel "RLM" in JupyterLab, as a human's browser shows it."""

from __future__ import annotations

import pytest
from asking import block
from lab import SECONDS, SHIFTS, Lab, Notebook, Shoot
from playwright.async_api import Page, expect
from replies import Turns

pytestmark = [pytest.mark.anyio, pytest.mark.needs("browser")]

TEXT = "one two three four five six seven"
CONTEXT = "%rlm cells off\n%rlm context words.txt"  # what the kernel shows without its extension
QUESTION = "%%rlm\nHow many words are there?"
COUNT = block("n_words = len(context.split())\nprint('counted', n_words)")
FINISH = block("FINAL_VAR(f'There are {n_words} words.')")


async def test_the_launcher_has_a_tile_that_opens_a_notebook(
    lab: Lab, page: Page, shoot: Shoot
) -> None:
    await page.goto(lab.address())
    tile = page.locator('.jp-LauncherCard[data-category="Notebook"][title^="RLM"]')
    await expect(tile).to_be_visible(timeout=SECONDS * 1000)
    logo = tile.locator("img")
    await expect(logo).to_have_js_property("complete", True)
    assert await logo.evaluate("image => image.naturalWidth") > 0
    await shoot("launcher")
    await tile.click()
    book = Notebook(page)
    await book.status("Idle")
    await book.run(0, "6 * 7")
    await book.shows(0, "42")


async def test_a_question_is_seen_at_work_and_goes_on_by_hand(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("question.ipynb", CONTEXT, QUESTION, "len(context), n_words")
    turns = Turns(COUNT, FINISH, free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "question.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await book.shows(1, "n_words = len(context.split())")
    await book.unfold(1, "Turn 1")
    await book.shows(1, "counted 7")
    await expect(book.prompt(1)).to_have_text("[*]:")
    await shoot("question-at-work")
    turns.gate.set()
    await book.shows(1, "There are 7 words.")
    await book.done(1)
    await book.run(2)
    await book.shows(2, f"({len(TEXT)}, 7)")
    await shoot("question-answered")
    await book.run(3, "answer_")
    await book.shows(3, "There are 7 words.")


async def test_nothing_moves_while_a_run_goes_on_and_a_reloaded_page_shows_its_end(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    cells = [f"'cell {number}'" for number in range(30)]
    lab.write("calm.ipynb", CONTEXT, QUESTION, *cells)
    looks = [block(f"for n in range({n}):\n    print('line', n, context)") for n in (3, 30, 9)]
    turns = Turns(*looks, FINISH, free=2)
    turns.replies[2] = COUNT
    replies.append(turns)
    book = await Notebook(page).open(lab, "calm.ipynb")
    await book.run(0)
    await book.done(0)
    await book.run(1)
    await book.shows(1, "RLM · fake-model")
    await page.evaluate(SHIFTS)
    await turns.wait_until_withheld()
    await book.shows(1, "Turn 2")
    assert await page.evaluate("window.shifted") < 0.1
    await book.reload("Busy")
    await book.run(2, "%rlm watch")
    await book.shows(2, "Turn 2 · cell 3")
    await shoot("watched")
    turns.gate.set()
    await book.shows(2, "There are 7 words.")
    await book.shows(2, "4 turns: code, outputs and sub-calls")
    await book.status("Idle")


async def test_a_restart_from_the_menu_ends_a_run(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("restart.ipynb", CONTEXT, QUESTION, "'n_words' in globals()")
    turns = Turns(COUNT, FINISH, free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "restart.ipynb")
    await book.run(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await book.status("Busy")
    await book.menu("Kernel", "Restart Kernel…")
    await page.locator(".jp-Dialog .jp-mod-accept").click()
    await book.status("Idle")
    await shoot("restarted")
    await book.run(2)
    await book.shows(2, "False")
    replies.append(Turns(COUNT, FINISH))
    await book.run(0)
    await book.run(1)
    await book.shows(1, "There are 7 words.")


async def test_the_human_stops_a_run_changes_something_and_lets_the_lm_go_on(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write(
        "hand.ipynb",
        CONTEXT,
        QUESTION,
        "n_words = n_words * 100\nprint('mine', n_words)",
        "%rlm continue\nsay it in hundreds",
    )
    turns = Turns(COUNT, FINISH, free=1)
    replies.append(turns)
    book = await Notebook(page).open(lab, "hand.ipynb")
    await book.run(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await book.menu("Kernel", "Interrupt Kernel")
    await book.shows(1, "KeyboardInterrupt")
    await book.run(2)
    await book.shows(2, "mine 700")
    replies.append(Turns(FINISH))
    await book.run(3)
    await book.shows(3, "There are 700 words.")
    await book.done(3)
    await shoot("continued")
    await book.run(4, "answer_, n_words")
    await book.shows(4, "('There are 700 words.', 700)")


KINDS = ("script", "handler", "link", "markdown", "javascript")


def _link(who: str) -> str:
    # JupyterLab would open a link that names no target in a page that has no way back to this one.
    return f'<a target="_self" href="javascript:void(window.{who}_link = 1)">press it</a>'


def _image(who: str, kind: str) -> str:
    return f'<img src="/none.png" onerror="window.{who}_{kind} = 1">'


def _hostile(who: str) -> str:
    """A cell whose outputs set ``window.<who>_<kind>`` where they are let run."""
    return "\n".join(
        [
            "from IPython.display import HTML, Javascript, Markdown, display",
            f"display(HTML('<script>window.{who}_script = 1</script>'))",
            f"display(HTML({_image(who, 'handler')!r}))",
            f"display(HTML({_link(who)!r}))",
            f"display(Markdown({_image(who, 'markdown')!r}))",
            f"display(Javascript('window.{who}_javascript = 1'))",
            "print('all shown')",
        ]
    )


def _marks(who: str) -> list[str]:
    return [f"{who}_{kind}" for kind in KINDS]


async def _press(book: Notebook, cell: int) -> None:
    for link in await book.output(cell).locator("a:visible", has_text="press it").all():
        await link.click()


async def test_what_an_lm_shows_does_not_run_in_the_page(
    lab: Lab, page: Page, shoot: Shoot, replies: list[Turns]
) -> None:
    shown = f"{_image('lm', 'handler')} {_link('lm')} <script>window.lm_script = 1</script>"
    first = f"I try. {shown}\n{block(_hostile('lm'), 'print(len(context))')}"
    turns = Turns(first, block(f"FINAL_VAR({f'Done. {shown}'!r})"), free=1)
    replies.append(turns)
    (lab.folder / "words.txt").write_text(TEXT)
    lab.write("hostile.ipynb", CONTEXT, QUESTION, _hostile("human"))
    book = await Notebook(page).open(lab, "hostile.ipynb")
    await book.run(0)
    await book.run(1)
    await turns.wait_until_withheld()
    await book.unfold(1, "Turn 1")
    await book.shows(1, "all shown")
    await _press(book, 1)
    turns.gate.set()
    await book.done(1)
    await book.shows(1, "Done.")
    await _press(book, 1)
    await shoot("hostile")
    # The control: the same from a human's cell runs, and by then the LM's would have run too.
    await book.run(2)
    await book.shows(2, "all shown")
    await _press(book, 2)
    await page.wait_for_function(
        "names => names.every(name => name in window)", arg=_marks("human"), timeout=SECONDS * 1000
    )
    ran = await page.evaluate("names => names.filter(name => name in window)", _marks("lm"))
    assert ran == []
