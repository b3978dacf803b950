"""``kdb basename``."""

from __future__ import annotations

from kdb.cli.name_part import OPTIONS, show
from kdb.cli.names import valid

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-n] [-j] NAME"
DESCRIPTION = """
Prints the last part of NAME as it is, without the backslashes that a name needs; nothing for a
root. The key need not be there.
"""
EXAMPLES = (("kdb basename user:/sw/editor", "prints editor"),)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print the last part of a name."""
    return show(options, arguments, _base_name)


def _base_name(name: str) -> str:
    from kdb.model.names import base_name, unescape

    return base_name(unescape(valid("basename", name)))
