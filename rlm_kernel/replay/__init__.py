"""Recorded runs executed again, in whole or up to a point: replay, fork, rerun, resume.

No LM is asked here.
"""
