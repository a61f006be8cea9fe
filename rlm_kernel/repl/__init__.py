"""One live kernel with our globals in it, and the calls that its cells make.

What answers those calls is in ``rlm``; where the kernel runs, in ``environments``.
"""
