"""The record of a run, its view as notebooks, and what can be read back from both."""
