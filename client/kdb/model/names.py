"""Key names.

A name is written escaped, `user:/sw/org/app`, and handled inside as its *unescaped name*: the
namespace's byte, then for each part a NUL and the part (UTF-8; other bytes by surrogateescape):

    user:/       06
    user:/%      06 00
    user:/a/b    06 00 'a' 00 'b'

Comparing these bytes is the order of key sets: by namespace, then part by part, the separator
lower than any byte; so a key comes right before the keys below it, and "below" is a prefix.

The escaped form, its rules, limits and errors are in `kdb.model.escaping`; what programs need of
it is here too.
"""

from __future__ import annotations

from typing import Final

from kdb.model.errors import InvalidName
from kdb.model.escaping import (
    MAX_NAME_BYTES,
    Namespace,
    array_index,
    array_part,
    bounded,
    canonical,
    encode_part,
    escape,
    parts,
    unescape,
    unescape_below,
)

__all__ = [
    "MAX_NAME_BYTES",
    "PERSISTABLE",
    "Namespace",
    "add_base_name",
    "add_name",
    "array_index",
    "array_part",
    "base_name",
    "canonical",
    "end_of_subtree",
    "escape",
    "in_namespace",
    "is_below",
    "is_below_or_same",
    "is_directly_below",
    "namespace",
    "namespace_name",
    "parent",
    "parts",
    "related",
    "relative",
    "set_base_name",
    "unescape",
]

PERSISTABLE: Final = (Namespace.SPEC, Namespace.DIR, Namespace.USER, Namespace.SYSTEM)
# By their numbers: a sixth of the time of the enumeration's call, and every key asks.
_NAMESPACES: Final = tuple(Namespace)


def namespace(unescaped: bytes) -> Namespace:
    """Return the namespace of a name."""
    return _NAMESPACES[unescaped[0]]


def namespace_name(namespace: Namespace) -> str:
    """Return the namespace's name as written before the colon; `cascading` and `none` too."""
    return namespace.name.lower()


def parent(unescaped: bytes) -> bytes:
    """Return the name without its last part; the root's is the root."""
    end = unescaped.rfind(b"\0")
    return unescaped[:end] if end > 0 else unescaped


def base_name(unescaped: bytes) -> str:
    """Return the last part, unescaped; "" for the root."""
    end = unescaped.rfind(b"\0")
    return unescaped[end + 1 :].decode("utf-8", "surrogateescape") if end > 0 else ""


def is_below(name: bytes, parent: bytes) -> bool:
    """Tell whether `name` is truly below `parent`, in the same namespace."""
    return name.startswith(parent + b"\0")


def is_below_or_same(name: bytes, parent: bytes) -> bool:
    """Tell whether `name` is `parent` or below it, in the same namespace."""
    return name == parent or name.startswith(parent + b"\0")


def is_directly_below(name: bytes, parent: bytes) -> bool:
    """Tell whether `name` is `parent` with one part more."""
    return name.startswith(parent + b"\0") and name.rfind(b"\0") == len(parent)


def related(name: bytes, other: bytes) -> tuple[bytes, bytes]:
    """Bring two names into the form in which libelektra relates keys.

    `is_below(*related(name, other))` answers as its `keyIsBelow`, and so on: a cascading name
    stands for every namespace, though `/` is not the same as `user:/`; and `user:/%` relates as
    `user:/`, because libelektra's unescaped names end in a NUL and cannot tell the two apart.
    """
    name, other = (n[:1] if len(n) == 2 else n for n in (name, other))
    path, other_path = name[1:], other[1:]
    if (path or other_path) and Namespace.CASCADING in (name[0], other[0]):
        return b"\x01" + path, b"\x01" + other_path
    return name, other


def in_namespace(unescaped: bytes, namespace: Namespace) -> bytes:
    """Return the same path in another namespace. Raises NameTooLong."""
    return bounded(bytes((namespace,)) + unescaped[1:])


def relative(unescaped: bytes, parent: bytes) -> str:
    """Print the canonical escaped name relative to `parent`; "" for the parent itself.

    `add_name(parent, "/" + relative(unescaped, parent))` is the name again. Raises ValueError
    where the name is neither the parent nor below it.
    """
    if not is_below_or_same(unescaped, parent):
        raise ValueError(f"{escape(unescaped)!r} is not below {escape(parent)!r}")
    return escape(b"\x01" + unescaped[len(parent) :])[1:]


def add_name(unescaped: bytes, suffix: str) -> bytes:
    """Add an escaped name of any number of parts; `..` in it climbs, up to the root.

    A namespace in the suffix is a part as any other. Raises InvalidName and NameTooLong.
    """
    return unescape_below(unescaped, suffix)


def add_base_name(unescaped: bytes, base: str) -> bytes:
    """Add one unescaped part. Raises InvalidName for a NUL in it, and NameTooLong."""
    return bounded(unescaped + encode_part(base))


def set_base_name(unescaped: bytes, base: str) -> bytes:
    """Replace the last part by an unescaped one.

    Raises InvalidName for the root, which has none, and for a NUL in the part; and NameTooLong.
    """
    if len(unescaped) == 1:
        raise InvalidName(
            f"{escape(unescaped)!r} has no base name to replace; add one with add_base_name"
        )
    return add_base_name(parent(unescaped), base)


def end_of_subtree(unescaped: bytes) -> bytes:
    """Return the exclusive end of the range `[unescaped, end)`: the name and all below it."""
    return unescaped + b"\x01"
