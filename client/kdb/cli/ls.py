"""``kdb ls``."""

from __future__ import annotations

from kdb.cli import listing
from kdb.cli.command import OK, bus_for, canonical, checked, say, tell, wrong_arguments
from kdb.cli.options import JSON, number

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-0] [-j] [-m DEPTH] [-M DEPTH] NAME"
OPTIONS = {
    "min-depth": ("m:", "leave out names less deep than this, relative to NAME", "DEPTH"),
    "max-depth": ("M:", "leave out names this deep or deeper, relative to NAME", "DEPTH"),
    "null": ("0", "end each name with NUL, not with a newline"),
    **JSON,
}
DESCRIPTION = """
Prints the names of the key NAME and of all keys below it, a line each, in key order. Of a
cascading name, one that begins with a slash, the keys of all namespaces, and the defaults that
specifications make.

A name that is no UTF-8, which only a file can hold, is not listed; kdb export prints it.
"""
EXAMPLES = (
    ("kdb ls user:/sw", "list one user's keys below sw"),
    ("kdb ls -m 0 -M 1 user:/", "list the keys directly below the root"),
)

_UNBOUNDED = 2**31 - 1


def run(options: dict[str, str], arguments: list[str]) -> int:
    """List the names of a key and the keys below it, between two depths relative to it."""
    least = number(options, "min-depth", OPTIONS["min-depth"], 0)
    most = number(options, "max-depth", OPTIONS["max-depth"], -1)
    if len(arguments) != 1:
        raise wrong_arguments("1 argument required")
    if least < 0:
        raise wrong_arguments("the minimum depth has to be a positive number")
    if most != -1 and most <= least:
        raise wrong_arguments("the maximum depth has to be larger than the minimum depth")
    name = checked(arguments[0])
    bus = bus_for(name)
    found = list(listing.names_with_defaults(bus, name))
    if "v" in options:
        tell(options, _sizes(found, name))
    root = _depth_of(canonical(name))
    # A slash at the end stands for the level below.
    least, most = root + least, _UNBOUNDED if most < 0 else root + most + name.endswith("/")
    if "d" in options:
        tell(
            options,
            f"The root depth is {root}, the relative minimum depth is {least} "
            f"and the relative maximum depth is {most}\n",
        )
    shown = [each for each in found if least <= _depth_of(each) < most]
    if "j" in options:
        from kdb.cli import as_json

        as_json.show(shown)
        return OK
    end = "\0" if "0" in options else "\n"
    if "d" in options:
        end = f" {{}}{end}"
    say("".join(each + end.format(_depth_of(each)) for each in shown))
    return OK


def _sizes(found: list[str], name: str) -> str:
    whole = canonical(name).partition("/")[0] + "/"
    return (
        f"size of all keys in mount point: {_count(found, name, whole)}\n"
        f"size of requested keys: {len(found)}\n"
    )


def _count(found: list[str], name: str, whole: str) -> int:
    if canonical(name) == whole:
        return len(found)
    return sum(1 for _ in listing.names_with_defaults(bus_for(whole), whole))


def _depth_of(name: str) -> int:
    """Return how deep a canonical name is: 1 for a root, and 1 more for each part."""
    if "\\" in name:
        name = name.replace("\\\\", "").replace("\\/", "")
    return name.count("/") + (not name.endswith("/"))
