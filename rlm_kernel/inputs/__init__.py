"""What the user hands in: contexts and tools.

Not how they get into a kernel: that is ``repl``.
"""
