"""The settings of a server.

Defaults < `localsettings.py` < environment variables `GYMSERVE_<NAME>` < the command line. A file `.env` may hold variables
as well, and the RL Agent Training API's, `RL_API_<NAME>`, are understood.
"""

from gymserve.settings.loading import load
from gymserve.settings.table import SECRET, Settings, from_json

__all__ = ["SECRET", "Settings", "from_json", "load"]
