"""The Jupyter kernel "RLM": the face of notebooks.

It asks ``session``; the kernel in which cells run is in ``repl``.
"""
