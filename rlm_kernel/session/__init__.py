"""The surroundings of a question: others before it, run folders, open LMs, the human's own calls.

The way from a question to its answer is in ``rlm``.
"""
