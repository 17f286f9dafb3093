"""The crash test: the whole pipeline under kills, against numbers that were worked out without it.

`python -m tests.chaos --help`, or `make chaos`; docs/chaos.md says what is killed and what is compared.
"""
