"""Every environment that kernels can run in, and what is asked of whichever a config names."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..endings import in_daemon_thread, within
from ..errors import KernelStartError, UsageError
from .bwrap.environment import BwrapEnvironment
from .docker.environment import DockerEnvironment
from .environment import Environment
from .kernel_config import KernelConfig
from .live_kernel import LiveKernel
from .local.environment import LocalEnvironment
from .modal.environment import ModalEnvironment

_ALL: tuple[Environment, ...] = (
    LocalEnvironment(),
    BwrapEnvironment(),
    DockerEnvironment(),
    ModalEnvironment(),
)
ENVIRONMENTS = {each.name: each for each in _ALL}
CHECK_SECONDS = 20.0
"""Modal's SDK alone would try for a minute to reach a service that is not there."""


async def check(config: KernelConfig) -> None:
    """Ask before anything is recorded: raise ``UsageError`` where no kernel can be had, and
    ``KernelStartError`` where whoever runs the environment does not answer."""
    environment = ENVIRONMENTS[config.environment]
    if config.shared and environment.options and "join" not in environment.options:
        raise UsageError(
            f"children='shared': a sandbox of {environment.name} has one kernel, which no child "
            "can join; leave it out, or take docker or modal"
        )
    silent = f"{config.environment} gave no answer within {CHECK_SECONDS:g} s"
    async with within(CHECK_SECONDS, lambda: KernelStartError(silent)):
        await in_daemon_thread(environment.check, config)


def open_live(config: KernelConfig) -> AbstractAsyncContextManager[LiveKernel]:
    """Open a kernel, as ``Environment.open`` of the config's environment."""
    return ENVIRONMENTS[config.environment].open(config)
