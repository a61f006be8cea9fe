"""A trajectory that runs again in the notebook that it is: ``%rlm replay`` to ``%rlm verdict``."""
