"""A file that somebody else edited, brought in as one commit.

The base is what kdbd last wrote to the file, or read from it: the backend's keys, but for those
changed since, whose old content ``unwritten`` holds. Per key:

| file against base | result           |
|-------------------|------------------|
| as the base       | the backend's    |
| changed           | the file's       |

So edits and commits of different keys both stand, and what changed on both sides keeps the file's
value: an edit is never overwritten unseen. A merge runs alone: with commits still on their way, the
base could not be told from what they are about to change.
"""

from __future__ import annotations

from collections.abc import Mapping

from kdb.model.content import Content
from kdbd.core.backend import Backend
from kdbd.core.commit import Draft, KeyChange
from kdbd.core.requests import SLICE_KEYS, Request, Slices
from kdbd.core.view import Mounts

__all__ = ["merge_file", "same", "unwritten_after"]

Unwritten = Mapping[bytes, Content | None]


def merge_file(
    keys: Mapping[bytes, Content], backend: Backend, unwritten: Unwritten, shown: Mounts
) -> Request:
    """Take in what a backend's file holds now; no commit may be on its way."""

    def request(revision: int) -> Slices:
        changes = []
        names = set(keys)
        names.update(backend.tree)
        for count, name in enumerate(sorted(names), start=1):
            if count % SLICE_KEYS == 0:
                yield
            ours = backend.tree.get(name)
            theirs = keys.get(name)
            base = unwritten.get(name, ours)
            if same(theirs, base) or same(theirs, ours):
                continue
            new = None if theirs is None else theirs._replace(revision=revision)
            visible = shown.responsible(name) is backend
            changes.append(KeyChange(backend, name, ours, new, announced=visible))
        return Draft(changes)

    return request


def unwritten_after(
    backend: Backend, keys: Mapping[bytes, Content], unwritten: Unwritten
) -> dict[bytes, Content | None]:
    """Answer what the file still lacks after the merge: names with the file's content of them."""
    return {
        name: keys.get(name)
        for name in unwritten
        if not same(keys.get(name), backend.tree.get(name))
    }


def same(one: Content | None, other: Content | None) -> bool:
    """Tell whether two contents are equal, whatever their revisions; None is no key."""
    if one is None or other is None:
        return one is other
    return one.same_as(other)
