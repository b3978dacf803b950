"""``kdb get``."""

from __future__ import annotations

from kdb.cli.bus import CallError
from kdb.cli.command import (
    NOT_FOUND,
    OK,
    Failure,
    bus_for,
    canonical,
    checked,
    kind_of,
    say,
    wrong_arguments,
)

__all__ = ["ARGUMENTS", "OPTIONS", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdb.cli.bus import Bus

ARGUMENTS = "[-n] <name>"
# All keys are always considered, so -a changes nothing.
OPTIONS = {"all": "a", "no-newline": "n"}


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Print a key's value; of a cascading name, of the key that it stands for."""
    if len(arguments) != 1:
        raise wrong_arguments("Need one argument")
    name = checked(arguments[0])
    end = "" if "n" in options else "\n"
    bus = bus_for(name)
    if "v" in options:
        from kdb.cli import trace

        trace.print_search(bus, canonical(name))
    value = _value(bus, name)
    if value is None:
        say(end)
        raise Failure(NOT_FOUND, f"Did not find key '{canonical(name)}'")
    say(value + end)
    return OK


def _value(bus: Bus, name: str) -> str | None:
    try:
        _, value, meta, _ = bus.call("Get", "s", name)
    except CallError as error:
        if kind_of(error) == "KeyNotFound":
            return None
        raise
    if "binary" in meta:
        return "".join(f"\\x{byte:x}" for byte in value)
    text: str = value.decode("utf-8", "surrogateescape")
    return text
