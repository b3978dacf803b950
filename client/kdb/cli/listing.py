"""The keys at or below a parent, page by page."""

from __future__ import annotations

from kdb.cli.bus import CallError
from kdb.cli.command import kind_of

__all__ = ["defaults", "keys", "names", "names_with_defaults"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdb.cli.bus import Bus

    Found = tuple[str, bytes, dict[str, str], int]


def names(bus: Bus, parent: str) -> Iterator[str]:
    """Yield the names of *parent* and all keys below, in key order."""
    after, more = "", True
    while more:
        page, more = bus.call("List", "ssu", parent, after, 0)
        yield from page
        if not page:
            return
        after = page[-1]


def keys(bus: Bus, parent: str) -> Iterator[Found]:
    """Yield *parent* and all keys below, in key order: name, value, metadata, revision."""
    after, more = "", True
    while more:
        try:
            page, more, _ = bus.call("GetAll", "ssu", parent, after, 0)
        except CallError as error:
            if kind_of(error) != "LimitsExceeded":
                raise
            from kdb.cli import large

            yield from large.keys(parent, after)
            return
        yield from page
        if not page:
            return
        after = page[-1][0]


def names_with_defaults(bus: Bus, parent: str) -> Iterator[str]:
    """As :func:`names`; below default:/ and a cascading parent also what specifications make."""
    if not parent.startswith("default:/"):
        yield from names(bus, parent)
    if parent.startswith(("/", "default:/")):
        yield from defaults(bus, parent)


def defaults(bus: Bus, parent: str) -> Iterator[str]:
    """Yield the names of default:/ that the specifications at or below a parent's path make."""
    specified = "spec:" + parent.removeprefix("default:")
    for name, value, meta, revision in keys(bus, specified):
        if "default" in meta:
            # Only specifications need the rules, whose import takes 4 ms.
            from kdb.model.content import Content
            from kdb.model.lookup import default_key
            from kdb.model.names import escape, unescape

            found = default_key(unescape(name), Content(value, meta, revision))
            if found is not None:
                yield escape(found.name)
