"""The runs of a notebook's folder: listed, mended, and watched from their records."""
