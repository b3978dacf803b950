"""The names below a parent, page by page."""

from __future__ import annotations

__all__ = ["names"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdb.cli.bus import Bus


def names(bus: Bus, parent: str) -> Iterator[str]:
    """Yield the names of *parent* and all keys below, in key order."""
    after, more = "", True
    while more:
        page, more = bus.call("List", "ssu", parent, after, 0)
        yield from page
        if not page:
            return
        after = page[-1]
