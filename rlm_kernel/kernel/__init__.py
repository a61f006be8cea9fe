"""The RLM kernel for Jupyter."""
