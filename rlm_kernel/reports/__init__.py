"""What people read of finished runs: lists, comparisons, pages, and the gate to their terminal.

Reading the record itself is ``record``.
"""
