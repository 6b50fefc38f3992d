"""The directory of the UNIX sockets through which a server's processes connect."""

import os
import tempfile

LONGEST = 50  # bytes of the directory's path; a socket's whole path has at most 107


def directory() -> str:
    """The directory for temporary files, or `/tmp` if its path is too long for a socket in it."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= LONGEST else "/tmp"
