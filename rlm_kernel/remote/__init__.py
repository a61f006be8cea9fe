"""Programs that run elsewhere, each alone: they import nothing of ours."""
