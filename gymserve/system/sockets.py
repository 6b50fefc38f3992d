"""The directory for the UNIX sockets that connect a server's processes."""

import os
import tempfile

MAX_PATH_BYTES = 50  # of the directory; the full path of a socket may have 107


def directory() -> str:
    """Returns the directory for temporary files, or `/tmp` if its path would be too long for a socket."""
    default = tempfile.gettempdir()
    return default if len(os.fsencode(default)) <= MAX_PATH_BYTES else "/tmp"
