"""The publisher's hub, by ``huggingface_hub`` where that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .weights import Progress, Weights

PROBE_SECONDS = 5.0


class HubFailed(Exception):
    """The hub did not give the file. Caught in ``download``, which has another source."""


def can_reach(weights: Weights) -> bool:
    """One short request, tried once: is the file there for us?

    hf_hub_download itself retries for 23 s where there is no network, so it is not the probe.
    """
    if find_spec("huggingface_hub") is None:
        return False
    import huggingface_hub as hf

    url = hf.hf_hub_url(weights.hub_repo, weights.file)
    try:
        hf.get_hf_file_metadata(url, timeout=PROBE_SECONDS)
    except _failures():
        return False
    return True


def download(weights: Weights, folder: Path, progress: Progress) -> Path:
    """The file as the hub gives it, not yet verified; a cut download goes on where it was."""
    if find_spec("huggingface_hub") is None:
        raise HubFailed('huggingface_hub is not installed: pip install "rlm_kernel[local]"')
    import huggingface_hub as hf

    try:
        path = hf.hf_hub_download(
            weights.hub_repo,
            weights.file,
            local_dir=folder,
            etag_timeout=PROBE_SECONDS,
            tqdm_class=_bar(progress, weights.size),
        )
    except _failures() as error:
        raise HubFailed(str(error)) from error
    return Path(path)


def _failures() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library under the hub's client has changed its name twice; its base error is here.
    http_error: type[Exception] = HfHubHTTPError.__bases__[0]
    return (http_error, OSError)


def _bar(progress: Progress, total: int) -> type[Any]:
    """A tqdm class that draws nothing and passes the bytes on."""
    from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

    class Silent(tqdm):  # type: ignore[misc,type-arg,unused-ignore]
        def display(self, *_args: Any, **_kwargs: Any) -> None:
            """Nothing is drawn: the caller has a bar of its own."""

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            progress(min(int(self.n), total), total)

    return Silent
