"""Environments that run a kernel elsewhere, reached over one byte pipe.

``carrier`` is the host's end of the pipe, ``relay.py`` the other; ``base`` makes of them a kernel
provisioner, which lacks only how a place is made and its pipe opened.
"""
