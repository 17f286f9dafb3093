"""Tells pytest, which looks for doctests everywhere, what it cannot import."""

collect_ignore = ["bytewax.py", "evidently.py", "quix.py"]  # their frameworks are in environments of their own
