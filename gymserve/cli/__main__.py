"""`python -m gymserve.cli` is the command `gymserve`."""

import sys

from gymserve.cli.main import main

sys.exit(main())
