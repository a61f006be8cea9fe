"""All that can be set, where a value came from, and what a run may cost.

Not how a face asks for it: that is the face's.
"""
