"""Where a kernel runs, and how it is reached there: a folder for each environment.

What is in the kernel, our globals and the context, is ``repl``.
"""
