"""Mutants of tests/mutate.py that change nothing a user could see, with the reason."""

EQUIVALENT = {}
