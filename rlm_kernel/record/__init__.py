"""The record of a run, the notebooks made from it, and the one reader of both.

What people are shown of finished runs is in ``reports``; running them again is ``replay``.
"""
