"""The metadatum ``binary``: a key's value between text and bytes, as libelektra converts it.

libelektra keeps a text with the NUL at its end, which belongs to the value as soon as that is
binary (cli/meta.json); so it goes again where the value becomes a text.
"""

from __future__ import annotations

from kdb.cli.applying import apply, require_utf8
from kdb.cli.command import NOT_FOUND, Failure, found_key

__all__ = ["META", "make", "unmake"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.applying import Plan
    from kdb.cli.bus import Bus

META = "binary"


def _content(bus: Bus, name: str) -> tuple[bytes, dict[str, str]]:
    """Return a key's value and metadata; fail where somebody removed it meanwhile."""
    key = found_key(bus, name)
    if key is None:
        raise Failure(NOT_FOUND, "Key not found\n")
    _, value, meta, _ = key
    require_utf8(name, {each: text for each, text in meta.items() if each != META})
    return value, meta


def make(bus: Bus, name: str, text: str) -> None:
    """Set the metadatum to a text; a value that is a string becomes bytes."""

    def plan() -> Plan:
        value, meta = _content(bus, name)
        value = value if META in meta else value + b"\0"
        return [(name, value, meta | {META: text})], []

    apply(bus, plan)


def unmake(bus: Bus, name: str) -> None:
    """Remove the metadatum; the value becomes a string, and must be one."""

    def plan() -> Plan:
        value, meta = _content(bus, name)
        kept = {each: text for each, text in meta.items() if each != META}
        return [(name, value.removesuffix(b"\0"), kept)], []

    apply(bus, plan)
