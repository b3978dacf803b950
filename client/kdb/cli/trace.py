"""What ``kdb get -v`` tells: how a name is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdb.cli import listing
from kdb.cli.bus import CallError
from kdb.cli.command import found_key, kind_of
from kdb.model import content, names
from kdb.model.lookup import Found, Step, lookup
from kdb.model.names import Namespace

if TYPE_CHECKING:
    from kdb.cli.bus import Bus
    from kdb.model.content import Content

__all__ = ["search"]


def search(bus: Bus, name: str) -> str:
    """Return the steps of the look-up, a line each, in libelektra's words."""
    lines = [f"got {sum(1 for _ in listing.names_with_defaults(bus, '/'))} keys"]
    wanted = names.unescape(name)
    steps: list[Step] = []
    found = lookup(wanted, lambda each: _get(bus, each), steps)
    cascading = wanted[0] == Namespace.CASCADING
    lines += _cascade(steps, wanted, found) if cascading else [_step(steps[0])]
    if found is not None:
        lines.append(f"The resulting keyname is {names.escape(found.name)}")
        lines.append(f"The resulting value size is {_size(found.content)}")
    return "\n".join(lines) + "\n"


def _get(bus: Bus, name: bytes) -> Content | None:
    try:
        key = found_key(bus, names.escape(name))
    except CallError as error:
        # Some namespaces hold nothing that can be asked for.
        if kind_of(error) in ("Interface", "InvalidName"):
            return None
        raise
    if key is None:
        return None
    _, value, meta, revision = key
    text = value if "binary" in meta else value.decode("utf-8", "surrogateescape")
    return content.make(text, meta)._replace(revision=revision)


def _cascade(steps: list[Step], wanted: bytes, found: Found | None) -> list[str]:
    lines = [_step(steps[0]) + ", options: KDB_O_CALLBACK"]
    if steps[0].found and found is not None and found.name[0] == Namespace.DEFAULT:
        lines.append("The key was not found in any other namespace, taking the default")
        return lines
    lines += [f"    {_step(step)}" for step in steps[1:] if step.name != wanted]
    if found is None:
        path = names.escape(wanted)
        lines.append(
            f"    searching default of spec{path}, found: <nothing>, options: KDB_O_NOCASCADING "
        )
    return lines


def _step(step: Step) -> str:
    name = names.escape(step.name)
    return f"searching {name}, found: {name if step.found else '<nothing>'}"


def _size(found: Content) -> int:
    """Return the size as libelektra counts it: a string with its NUL."""
    if isinstance(found.value, bytes):
        return len(found.value)
    return len(found.value.encode("utf-8", "surrogateescape")) + 1
