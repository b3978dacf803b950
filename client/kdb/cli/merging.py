"""Bringing together what a person changed and what others changed meanwhile, key by key."""

from __future__ import annotations

from collections.abc import Iterable

from kdb.cli.key_sets import Contents
from kdb.model.content import Content
from kdb.model.errors import Conflict, ConflictError
from kdb.model.names import escape

__all__ = ["conflict", "merge", "replaced"]

_SHOWN_CHARACTERS = 40


def merge(base: Contents, *, ours: Contents, theirs: Contents) -> tuple[Contents, list[bytes]]:
    """Return *theirs* with what *ours* changed against *base*, and the names of the conflicts.

    A conflict is a key that both changed, and not alike; in the result it is as in *theirs*.
    """
    merged = dict(theirs)
    conflicts = []
    for name in base.keys() | ours.keys():
        was, own, other = base.get(name), ours.get(name), theirs.get(name)
        if _same(was, own) or _same(own, other):
            continue
        if _same(was, other):
            _put(merged, name, own)
        else:
            conflicts.append(name)
    return merged, sorted(conflicts)


def replaced(keys: Contents, by: Contents, which: Iterable[bytes]) -> Contents:
    """Return *keys* with the keys named in *which* as they are in *by*."""
    after = dict(keys)
    for name in which:
        _put(after, name, by.get(name))
    return after


def conflict(
    reason: str, which: Iterable[bytes], *, base: Contents, ours: Contents, theirs: Contents
) -> ConflictError:
    """Return the error that names each key that is in conflict, with what both made of it."""
    named = []
    for name in which:
        was = base.get(name)
        named.append(
            Conflict(
                escape(name),
                0 if was is None else was.revision,
                _shown(ours.get(name)),
                _shown(theirs.get(name)),
            )
        )
    return ConflictError(reason, conflicts=tuple(named), module="kdb")


def _shown(content: Content | None) -> str:
    """Return a key's content in short, on one line, as kdbd tells it."""
    if content is None:
        return "removed"
    text = repr(content.value[:_SHOWN_CHARACTERS])
    if len(content.value) > _SHOWN_CHARACTERS:
        text += f"... ({len(content.value)} long)"
    return f"{text} with {len(content.meta)} metadata" if content.meta else text


def _put(keys: dict[bytes, Content], name: bytes, content: Content | None) -> None:
    if content is None:
        keys.pop(name, None)
    else:
        keys[name] = content


def _same(one: Content | None, other: Content | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_as(other)
