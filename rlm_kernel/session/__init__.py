"""What surrounds a question: questions in a row, run folders, LMs kept open, the human's own calls.

How a question is answered is ``rlm``.
"""
