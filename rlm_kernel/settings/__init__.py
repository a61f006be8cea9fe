"""What can be set, where a value came from, and what a run may cost."""
