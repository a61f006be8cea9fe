"""Bad input, given to ``rlm run`` as a user would, and a table of what came of it.

``python -m tests.faults`` prints the table, ``python -m tests.faults --kill`` what is left of runs
that were ended by ``kill -9``, ``--chaos`` what becomes of runs that are struck in the middle. With
``--messages`` odd messages and requests are sent to live kernels, always the same ones for a seed.
"""
