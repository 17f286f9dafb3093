"""Tells pytest, which looks for doctests everywhere, what it cannot import."""

collect_ignore = ["bytewax.py", "evidently.py", "nannyml.py", "quix.py"]  # they have environments of their own
