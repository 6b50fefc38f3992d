"""Prints `localsettings.py.example`; with `docs` behind it, `docs/settings.md`: `python -m gymserve.settings docs`."""

import sys

from gymserve.settings import pages

sys.stdout.write(pages.table() if sys.argv[1:] == ["docs"] else pages.example())
