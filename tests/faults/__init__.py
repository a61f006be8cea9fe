"""Bad input, given to ``rlm run`` as a user would, and a table of what came of it.

``python -m tests.faults`` prints the table, ``python -m tests.faults --kill`` what is left of runs
that were ended by ``kill -9``. With ``--messages`` odd messages and requests are sent to live
kernels, 200 of each, and always the same ones for a seed.
"""
