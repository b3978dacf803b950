"""The metadata of a key, as the commands ``meta-get``, ``meta-ls`` and ``meta-show`` show them.

A cascading name stands for the key that its look-up finds. To that key's own metadata come those
of the specifications of its path: of the one with this very path before those in which `_` stands
for any part and `#` for an element of an array; the key's own before all of them. Recorded from
libelektra (cli/spec_default.json, cli/meta.json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdb.cli import listing
from kdb.cli.command import found_key
from kdb.model import names

if TYPE_CHECKING:
    from kdb.cli.bus import Bus

__all__ = ["found", "is_specified_by"]


def found(bus: Bus, name: str) -> tuple[str, dict[str, str]] | None:
    """Return the name of the key that *name* stands for, and its metadata in key order."""
    key = found_key(bus, name)
    if key is None:
        return None
    target, _, meta, _ = key
    if name.startswith("/"):
        meta = _specified(bus, target) | meta
    return target, dict(sorted(meta.items(), key=lambda item: names.unescape(f"meta:/{item[0]}")))


def is_specified_by(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Tell whether a specification with the parts *pattern* speaks of a key with these parts."""
    return len(parts) == len(pattern) and all(
        ours == theirs
        or (theirs == "_" and names.array_index(ours) is None)
        or (theirs == "#" and names.array_index(ours) is not None)
        for ours, theirs in zip(parts, pattern, strict=True)
    )


def _specified(bus: Bus, name: str) -> dict[str, str]:
    own = names.parts(names.unescape(name))
    speaking = [
        each
        for each in listing.names(bus, "spec:/")
        if is_specified_by(own, names.parts(names.unescape(each)))
    ]
    meta: dict[str, str] = {}
    for each in sorted(speaking, key=lambda each: names.parts(names.unescape(each)) == own):
        specification = found_key(bus, each)
        if specification is not None:
            meta |= specification[2]
    return meta
