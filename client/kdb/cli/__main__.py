"""``python -m kdb.cli`` is ``kdb``."""

import sys

from kdb.cli import main

sys.exit(main())
