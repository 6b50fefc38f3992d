"""Where a server's processes keep the UNIX sockets by which they find each other."""

import os
import tempfile

LONGEST = 50  # bytes of a directory's path; a socket's whole path has at most 107


def directory() -> str:
    """The directory for temporary files, or `/tmp` where that one's path is too long for a socket below it."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= LONGEST else "/tmp"
