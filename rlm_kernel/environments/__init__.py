"""Where a kernel runs, and how it is reached there.

Each environment is a folder and an entry of ``registry``; ``environment`` says what it offers, and
``pipe`` has what those with sandboxes share. What is in the kernel, our globals and the context,
is ``repl``.
"""
