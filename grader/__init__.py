"""Judges: what a challenge is, which seeds its trials have, what a journal is worth, and whether it is true.

No account, database or request is known here: `gymserve.web` brings these together with what this room says.
"""
