"""One live kernel with our globals in it."""
