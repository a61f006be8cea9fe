"""Programs of an evaluation, each run as a file by a Python that has what it imports.

They read one JSON object from standard input and print JSON; nothing of ours is imported.
"""
