"""A Modal control plane for tests: the real SDK talks to it, and its sandboxes really run.

Made for modal 1.6.4, on the service definitions in its wheel (``modal_proto``): the calls that
``Sandbox.create`` and what hangs on it use, in both versions of the interface, and the command
router, through which processes are started, read and written. All else answers UNIMPLEMENTED and
is noted in ``ControlPlane.unimplemented``.

It proves that our code and the SDK understand each other, and what our code does when a call is
refused or slow, a connection drops or a sandbox ends. It cannot prove what only Modal's own side
does: gVisor's isolation, the building of images (a recipe is noted; every sandbox gets the one
image of the plane), outbound allowlists that are not empty, regions, GPUs, volumes, snapshots and
terminals, preemption as it really comes, real latencies and bandwidths, limits of an account, TLS
by a public authority, billing. Where an exact text or status of Modal's was not known, it is ours.
"""

from .latency import Latency
from .plane import ControlPlane

__all__ = ["ControlPlane", "Latency"]
