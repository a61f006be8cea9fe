"""The RLM itself: the loop, what its LM is told, and what an answer must bear."""
