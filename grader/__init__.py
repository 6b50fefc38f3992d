"""The grader: defines challenges and their seeds, scores journals, and verifies them by replaying.

Only `gymserve.grader.server` knows accounts and the database. Nothing here knows HTTP, which is `gymserve.web`'s.
"""

from gymserve.system import aliases

if __name__ == "grader":  # imported by that name, as in a checkout
    aliases.alias("grader", "gymserve.grader")
