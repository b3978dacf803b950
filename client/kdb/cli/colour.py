"""Whether output is coloured, and how."""

from __future__ import annotations

import os

__all__ = ["BOLD", "GREEN", "PLAIN", "RED", "YELLOW", "is_coloured"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BOLD, RED, GREEN, YELLOW, PLAIN = (f"\x1b[{number}m" for number in (1, 31, 32, 33, 0))


def is_coloured(options: Mapping[str, str], fd: int = 1) -> bool:
    """Tell whether what goes to *fd* is coloured: by ``-C``, else on a terminal.

    NO_COLOR turns colours off where ``-C`` does not ask for them (no-color.org); TERM=dumb too.
    """
    wanted = options.get("C", "auto")
    if wanted != "auto":
        return wanted == "always"
    environment = os.environ
    plain = environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb"
    return not plain and os.isatty(fd)
