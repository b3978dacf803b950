"""What ``basename``, ``dirname`` and ``namespace`` have in common: they ask nobody."""

from __future__ import annotations

from kdb.cli.command import OK, say, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["OPTIONS", "show"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = {"no-newline": ("n", "print no newline after it"), **JSON}


def show(options: dict[str, str], arguments: list[str], part: Callable[[str], str]) -> int:
    """Print a part of the one name that was given."""
    if len(arguments) != 1:
        raise wrong_arguments("1 argument needed")
    found = part(arguments[0])
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(found)
        return OK
    say(found + ("" if "n" in options else "\n"))
    return OK
