"""Where a kernel runs, and how it is reached there."""
