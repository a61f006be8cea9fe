"""A kernel provisioner for a sandbox of a vendor, an engine or a service, that could outlive us."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from traitlets import Dict, List, Unicode

from ...errors import KernelStartError, UsageError
from .reaper import Reaper
from .sandboxed import Sandbox, SandboxProvisioner


class VendorProvisioner(SandboxProvisioner):
    """A subclass says by whom its sandboxes are reaped."""

    packages: List[str] = List(
        Unicode(), config=True, help="What pip installs besides, when the image is built."
    )
    labels: Dict[str, str] = Dict(
        key_trait=Unicode(), value_trait=Unicode(), config=True, help="More labels, or tags."
    )
    join = Unicode(
        "",
        config=True,
        help="Name of a sandbox of ours that runs: start in it, with its image and limits. That is"
        " quicker; the kernels in it can reach each other, and end together.",
    )
    reaper: ClassVar[Reaper]

    @property
    @abstractmethod
    def _selector(self) -> str:
        """Return the label or tag of all sandboxes of this process, for the reaper."""

    def _watch(self) -> None:
        """Have them removed if this process cannot."""
        self.reaper.watch(self._selector)

    async def _remove(self, sandbox: Sandbox) -> None:
        try:
            await super()._remove(sandbox)
            if not self.join:
                self.reaper.gone(self._selector)
        except (KernelStartError, UsageError) as error:
            # Its pipe is closed: it ends alone, or with whoever runs it.
            self.log.warning("%s; `rlm clean --env %s` removes what is left", error, self.vendor)
