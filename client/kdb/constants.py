"""The constants of libelektra's Python binding.

`VERSION` is that of the libelektra whose interface this package has, which is what programs compare
it with; the service's own version is the D-Bus property `Version`. `DB_*` are libelektra's defaults
for where the stores are; what a running service uses are its options.
"""

from __future__ import annotations

from typing import Final

from kdb.model import constants as _constants
from kdb.model.constants import *  # noqa: F403 - the list of names is kept there, once

__all__ = [  # noqa: PLE0604 - strings, all of them
    *_constants.__all__,
    "DB_HOME",
    "DB_SYSTEM",
    "DB_USER",
    "DEBUG",
    "VERSION",
    "VERSION_MAJOR",
    "VERSION_MINOR",
    "VERSION_PATCH",
]

VERSION_MAJOR: Final = 0
VERSION_MINOR: Final = 11
VERSION_PATCH: Final = 0
VERSION: Final = f"{VERSION_MAJOR}.{VERSION_MINOR}.{VERSION_PATCH}"

DB_SYSTEM: Final = "/etc/kdb"
DB_HOME: Final = "/home"
DB_USER: Final = ".config"  # below the user's home

DEBUG: Final = 0
