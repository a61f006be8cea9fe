"""The record of a run: its events, the outputs that are kept, the rules by which they are equal.

Here are the notebooks made from a record and the one reader of both, too. What people are shown of
finished runs is in ``reports``; running them again is ``replay``.
"""
