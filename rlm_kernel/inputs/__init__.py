"""What the user hands in: contexts and tools."""
