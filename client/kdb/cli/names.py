"""Names from the command line, where a command needs their rules itself."""

from __future__ import annotations

from kdb.cli.command import checked, invalid_name, wrong_arguments
from kdb.model import names
from kdb.model.errors import InvalidName, NameTooLong

__all__ = ["meta_name", "root_free", "valid", "with_namespace"]


def valid(command: str, name: str) -> str:
    """Return a name in its canonical form; refuse, for a command, one that breaks the rules."""
    try:
        return names.escape(names.unescape(checked(name)))
    except (InvalidName, NameTooLong) as error:
        raise invalid_name(command, f"Invalid Keyname: {error}") from None


def with_namespace(command: str, name: str) -> str:
    """As :func:`valid`, and refuse a cascading name."""
    found = valid(command, name)
    if found.startswith("/"):
        raise wrong_arguments(
            f"The key '{found}' is a cascading keyname, which is not supported. Please choose a"
            " namespace."
        )
    return found


def meta_name(command: str, name: str) -> str:
    """Return the canonical name of a metadatum, without ``meta:/``."""
    prefix = "meta:/"
    try:
        return names.escape(names.unescape(prefix + name.removeprefix(prefix)))[len(prefix) :]
    except (InvalidName, NameTooLong) as error:
        raise invalid_name(command, f"Invalid Keyname: {error}") from None


def root_free(name: str) -> str:
    """Return a canonical name as what goes before a slash: ``user:`` for ``user:/``."""
    return name[:-1] if name == "/" or name.endswith(":/") else name
