"""What all sandboxes share: a kernel that is reached over one byte pipe.

``carrier`` is the host's end of the pipe, ``remote.relay`` the other; ``provisioner`` makes of them
a kernel provisioner, which lacks only how a sandbox is made and its pipe opened. ``waking`` has a
frozen fork of the kernel take its place behind the same pipe.
"""
