"""The settings of a server.

Later sources override earlier ones: defaults, `localsettings.py`, environment variables `GYMSERVE_<NAME>`, the command line.
Environment variables may also be in a file `.env`, and may have the RL Agent Training API's names, `RL_API_<NAME>`.
"""

from gymserve.settings.loading import load
from gymserve.settings.table import SECRET, Settings, from_json

__all__ = ["SECRET", "Settings", "from_json", "load"]
