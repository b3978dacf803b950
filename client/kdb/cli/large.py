"""Keys that no reply of the bus holds, through a handle: there they come in a memfd.

They are too large, or their metadata or names are no UTF-8. Of those that are no UTF-8 GetAll and
List say nothing, so what must not miss any reads here at once.
"""

from __future__ import annotations

from kdb.cli.key_sets import Contents, Database
from kdb.model.content import Content
from kdb.model.lookup import lookup
from kdb.model.names import escape, unescape

__all__ = ["key", "keys"]

Found = tuple[str, bytes, dict[str, str], int]


def key(name: str) -> Found | None:
    """Return the key that a name stands for: its name, value, metadata and revision."""
    # Where a look-up ends, a specification decides.
    found = lookup(unescape(name), _read("/" if name.startswith("/") else name).get)
    return None if found is None else _parts(found.name, found.content)


def keys(parent: str, after: str = "") -> list[Found]:
    """Return the keys at or below a parent, beyond the name *after*, in key order."""
    beyond = unescape(after) if after else b""
    return [_parts(name, content) for name, content in _read(parent).items() if name > beyond]


def _read(parent: str) -> Contents:
    with Database() as database:
        return database.read(unescape(parent)).contents


def _parts(name: bytes, content: Content) -> Found:
    value = content.value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return escape(name), raw, dict(content.meta), content.revision
