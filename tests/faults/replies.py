"""Replies that are no clean cell."""

from __future__ import annotations

from .running import END, Case, cell

LENGTH = cell("print(len(context))")
UNCLOSED = "I look at it first.\n```python\nprint('unclosed', len(context))"
FENCE_INSIDE = "````python\nprint('''a list:\n```python\nx = 1\n```\nits end''')\n````"
SAME_FENCE_INSIDE = "```python\ntext = '''a list:\n```\nx = 1\n```\nits end'''\nprint(text)\n```"
FIFTY = "\n".join(cell(f"print('block', {n})") for n in range(50))
CASES = [
    Case("no code", "no Python block", "LM", turns=("It is a text about nothing.", END),
         quick=False),
    Case("another language", "no Python block", "LM", turns=("```bash\nls\n```", END)),
    Case("an unclosed fence", "unclosed 2", "LM", turns=(UNCLOSED, END), quick=False),
    Case("a fence inside a string", "its end", "LM", turns=(SAME_FENCE_INSIDE, END), quick=False),
    Case("a longer fence around it", "its end", "LM", turns=(FENCE_INSIDE, END), quick=False),
    Case("50 blocks", "Only the first 16 blocks", "LM", turns=(FIFTY, END), quick=False),
    Case("a cell that is no Python", "SyntaxError", "LM", turns=(cell("print 1"), END),
         quick=False),
    Case("the same cell again", "unchanged", "LM", turns=(LENGTH, LENGTH, END), quick=False),
    Case("nothing but blanks", "no Python block", "LM", turns=(" \n\n ", END), quick=False),
]  # fmt: skip
