"""The LM's cells as cells of the human's own notebook: kept here, written there by its pages.

A page is a front end that opened the comm ``rlm.ui``. What it is sent are operations, each of them
all that is new of one cell, keyed by run and turn: the page finds the cell by its key and makes it
so, or inserts it. A page that opens is sent the state of every cell that is kept.
"""
