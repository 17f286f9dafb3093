"""Programs that do the windowed part of the work, or less, each a process of its own: `python -m …contestants.NAME`.

They import nothing of Driftline, so that each runs in an environment that has its framework only.
"""
