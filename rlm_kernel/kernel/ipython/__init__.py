"""``%load_ext rlm_kernel``: the words of the kernel RLM in a plain IPython.

Questions are asked in the process of the human's own cells, which has the keys. The LM's cells run
in an inner kernel, in another process; values go there and come back as copies.
"""
