"""Recorded runs executed again, in whole or up to a point."""
