"""``kdb namespace``."""

from __future__ import annotations

from kdb.cli.name_part import OPTIONS, show
from kdb.cli.names import valid

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-n] [-j] NAME"
DESCRIPTION = """
Prints the namespace of NAME with its colon; nothing for a cascading name. The key need not be
there.
"""
EXAMPLES = (("kdb namespace user:/sw/editor", "prints user:"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print the namespace of a name."""
    return show(options, arguments, lambda name: valid("namespace", name).partition("/")[0])
