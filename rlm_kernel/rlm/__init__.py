"""The RLM itself: the loop, what its LM is told, the calls of its cells, the check of its answer.

It knows no face and no folder of runs: what surrounds a question is ``session``.
"""
