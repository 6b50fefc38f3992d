"""Prints `localsettings.py.example`; `python -m gymserve.settings docs` prints `docs/settings.md`."""

import sys

from gymserve.settings import pages

sys.stdout.write(pages.table() if sys.argv[1:] == ["docs"] else pages.example())
