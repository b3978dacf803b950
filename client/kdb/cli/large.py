"""Keys too large for one reply of the bus, through the library: there they come in a memfd."""

from __future__ import annotations

from kdb import KDB, Key, KeySet
from kdb.cli.command import KDB_ERROR, Failure
from kdb.model.exceptions import KDBException

__all__ = ["key", "keys"]

Found = tuple[str, bytes, dict[str, str], int]


def key(name: str) -> Found | None:
    """Return the key that a name stands for: its name, value, metadata and revision."""
    found = _key_set(name).lookup(name)
    return None if found is None else _parts(found)


def keys(parent: str, after: str) -> list[Found]:
    """Return the keys at or below a parent, beyond the name *after*, in key order."""
    beyond = Key(after) if after else None
    return [_parts(each) for each in _key_set(parent) if beyond is None or each > beyond]


def _key_set(parent: str) -> KeySet:
    found = KeySet()
    try:
        with KDB() as database:
            database.get(found, parent)
    except KDBException as error:
        text = f"Sorry, module {error.module} issued the error {error.number}:\n{error.reason}\n"
        raise Failure(KDB_ERROR, text) from None
    return found


def _parts(found: Key) -> Found:
    content = found._content  # noqa: SLF001 - ours
    value = content.value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return found.name, raw, dict(content.meta), content.revision
