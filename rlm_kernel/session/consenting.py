"""The human's consent to cells, by the settings in force."""

from __future__ import annotations

from ..errors import UsageError
from ..rlm.consent import NOBODY, Consent, Decide
from ..settings.resolved import SANDBOX, Resolved


def consent_by(force: Resolved, decide: Decide | None) -> Consent:
    """Return the cells that a human is asked for by these settings, whom ``decide`` asks. Where an
    administrator wants consent, and lets a sandbox do without where nobody is, none is asked for.
    """
    cap = force.caps.of("confirm")
    by_cap = cap is not None and force.origins.get("confirm") == cap.origin
    if decide is None and by_cap and force.settings.environment in force.caps.unattended:
        return Consent()
    return Consent(force.settings.confirm, decide)


def check_consent(force: Resolved, decide: Decide | None) -> None:
    """Raise ``UsageError`` where the LM's cells need a consent that nobody can give."""
    if consent_by(force, decide).missing:
        said = f"confirm is {force.settings.confirm} ({force.origins['confirm']})"
        raise UsageError(f"{said}: {NOBODY}. {_remedy(force)}")


def _remedy(force: Resolved) -> str:
    """Return what lets cells run where nobody can be asked."""
    if force.caps.of("confirm") is None:
        return "--confirm off lets them run unasked"
    return (
        "An administrator may allow it in sandboxes: c.RLMCaps.unattended = "
        f"{[*SANDBOX]!r} beside the cap; then --env docker runs them"
    )
