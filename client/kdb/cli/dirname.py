"""``kdb dirname``."""

from __future__ import annotations

from kdb.cli.name_part import OPTIONS, show
from kdb.cli.names import valid

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-n] [-j] NAME"
DESCRIPTION = """
Prints NAME without its namespace and its last part. As with libelektra the last slash ends it,
also one that belongs to the last part and has a backslash before it. The key need not be there.
"""
EXAMPLES = (("kdb dirname user:/sw/editor", "prints /sw"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print the cascading name of what is above a name."""
    return show(options, arguments, _directory)


def _directory(name: str) -> str:
    path = "/" + valid("dirname", name).partition("/")[2]
    return path.rpartition("/")[0] or "/"
