"""Changes that follow from what was read: one commit, and no change of anybody else lost."""

from __future__ import annotations

from kdb.cli.bus import CallError
from kdb.cli.command import kind_of

__all__ = ["Plan", "apply"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdb.cli.bus import Bus

    Put = tuple[str, bytes, Mapping[str, str]]
    Plan = tuple[Sequence[Put], Sequence[str]]

# Others who write the same keys in between each of so many reads and writes do so all the time.
_ATTEMPTS = 5


def apply(bus: Bus, plan: Callable[[], Plan]) -> None:
    """Make the changes that *plan* makes of what it reads: keys to put, and names to remove.

    All are made, or none. Where somebody else changed one of these keys in between, it is planned
    again; the last error names each such key.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        revision = bus.revision()
        puts, removed = plan()
        if not puts and not removed:
            return
        try:
            bus.call("Apply", "a(saya{ss})asta{sv}", puts, removed, revision, {})
        except CallError as error:
            if kind_of(error) != "ConflictingState" or attempt == _ATTEMPTS:
                raise
        else:
            return
