"""A run as a person at a notebook sees it, live."""
