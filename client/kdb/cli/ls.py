"""``kdb ls``."""

from __future__ import annotations

from kdb.cli import listing
from kdb.cli.bus import CallError
from kdb.cli.command import OK, bus_for, canonical, checked, kind_of, say, wrong_arguments
from kdb.cli.options import InvalidOption

__all__ = ["ARGUMENTS", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

ARGUMENTS = "[-0] [-m <depth>] [-M <depth>] <name>"
OPTIONS = {"min-depth": "m:", "max-depth": "M:", "null": "0"}

_UNBOUNDED = 2**31 - 1


def run(options: dict[str, str], arguments: list[str]) -> int:
    """List the names of a key and the keys below it, between two depths relative to it."""
    least = _depth(options, "m", "min-depth", 0)
    most = _depth(options, "M", "max-depth", -1)
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    if least < 0:
        raise wrong_arguments("the minimum depth has to be a positive number")
    if most != -1 and most <= least:
        raise wrong_arguments("the maximum depth has to be larger than the minimum depth")
    name = checked(arguments[0])
    bus = bus_for(name)
    found = _names(bus, name)
    root = _depth_of(canonical(name))
    # A slash at the end stands for the level below.
    least, most = root + least, _UNBOUNDED if most < 0 else root + most + name.endswith("/")
    lines = []
    if "v" in options:
        whole = canonical(name).partition("/")[0] + "/"
        lines.append(f"size of all keys in mount point: {_count(found, name, whole)}")
        lines.append(f"size of requested keys: {len(found)}")
    if "d" in options:
        lines.append(
            f"The root depth is {root}, the relative minimum depth is {least} "
            f"and the relative maximum depth is {most}"
        )
    say("".join(f"{line}\n" for line in lines))
    end = "\0" if "0" in options else "\n"
    shown = []
    for each in found:
        depth = _depth_of(each)
        if least <= depth < most:
            shown.append(f"{each} {depth}{end}" if "d" in options else each + end)
    say("".join(shown))
    return OK


def _names(bus: Bus, name: str) -> list[str]:
    try:
        return list(listing.names(bus, name))
    except CallError as error:
        # Defaults are made by look-ups and stored nowhere, so there is nothing to list.
        if kind_of(error) == "Interface" and name.startswith("default:"):
            return []
        raise


def _count(found: list[str], name: str, whole: str) -> int:
    if canonical(name) == whole:
        return len(found)
    return sum(1 for _ in listing.names(bus_for(whole), whole))


def _depth(options: dict[str, str], letter: str, name: str, default: int) -> int:
    try:
        return int(options.get(letter, default))
    except ValueError:
        raise InvalidOption(f"-{letter} --{name} needs a valid number as argument") from None


def _depth_of(name: str) -> int:
    """Return how deep a canonical name is: 1 for a root, and 1 more for each part."""
    if "\\" in name:
        name = name.replace("\\\\", "").replace("\\/", "")
    return name.count("/") + (not name.endswith("/"))
