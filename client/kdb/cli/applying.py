"""Changes that follow from what was read: one commit, and no change of anybody else lost."""

from __future__ import annotations

from shlex import quote

from kdb.cli.bus import CallError
from kdb.cli.command import KDB_ERROR, Failure, kind_of
from kdb.model.content import is_utf8

__all__ = ["Plan", "apply", "require_utf8"]

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


def require_utf8(name: str, meta: Mapping[str, str]) -> None:
    """Refuse to write metadata that came from a file and that D-Bus takes from nobody."""
    for each, text in meta.items():
        if is_utf8(each + text):
            continue
        if is_utf8(each):
            advice = f"Set it anew first: kdb meta-set {quote(name)} {quote(each)} VALUE"
        else:
            advice = f"Rename it in its file first, which this tells: kdb file {quote(name)}"
        raise Failure(
            KDB_ERROR,
            f"Sorry, the metadatum {each} of {name} is no UTF-8, so nothing was changed."
            f" {advice}\n",
        )
