"""The RLM itself: the loop, its dialogue with the LM, its cells' calls, the check of its answer.

``loop`` is the algorithm; ``tree`` begins and ends the nodes. Nothing here knows a face or a folder
of runs (``session``), or a record that a run goes on from: ``memory`` is asked, ``replay`` answers.
"""
