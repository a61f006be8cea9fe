"""The face for other agents: a Model Context Protocol server, over stdio or loopback HTTP.

The caller names a file and a question and is given the answer: never the input, never a key. What
answers is ``session``; what is shown of finished runs is ``reports``.
"""
