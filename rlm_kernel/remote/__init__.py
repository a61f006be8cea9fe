"""Programs that run elsewhere, each alone: in a kernel, in a sandbox, beside this process.

Nothing of ours is imported here, and but for the guest the standard library is enough. What talks
to these programs is in ``environments`` and ``repl``.
"""
