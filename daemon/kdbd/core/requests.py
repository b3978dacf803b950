"""What callers ask for, turned into change sets.

A request is a function of the revision that its commit would get. It reads the state as it will
be after all commits prepared before it, and answers a draft, or raises the caller's error; either
way it changes nothing. A request that may be long answers a generator of its draft: each ``yield``
is a place to let others go on.

Rules
* A key that already is as asked is no change.
* Everything is asked of the change set, never of the method: what may not be written is refused
  key by key.
* A conflict names every key it is about, and nothing of the request is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple

from kdb.model.content import Content, Meta, make, meta
from kdb.model.errors import Conflict, ConflictError, InterfaceError, KeyNotFound
from kdb.model.lookup import lookup
from kdb.model.names import Namespace, escape, in_namespace, namespace
from kdbd.core.backend import Backend
from kdbd.core.commit import Draft, KeyChange
from kdbd.core.view import View

__all__ = [
    "Entry",
    "Request",
    "Slices",
    "apply_all",
    "compare_entries",
    "put",
    "put_entries",
    "remove",
    "remove_meta",
    "set_meta",
    "set_string",
    "writable",
]

Slices = Generator[None, None, Draft]
Request = Callable[[int], Draft | Slices]

# Keys between two places where others may go on: about 1 ms of preparing.
SLICE_KEYS = 256

# A message names so many conflicts, about 100 kB, and shows so much of each value.
MAX_TOLD_CONFLICTS = 1_000
SHORT_VALUE = 40


class Entry(NamedTuple):
    """One key of a key set that a caller sends: what to put (None: remove), and what it replaces.

    ``base`` is the revision that the caller had seen; 0 where it had seen no such key.
    """

    name: bytes
    content: Content | None
    base: int = 0


def writable(view: View, name: bytes) -> Backend:
    """Answer the backend of a key that may be written; raise what forbids it."""
    backend = view.backend(name)
    if backend.damage is not None:
        raise backend.damage
    if backend.refusal is not None:
        raise backend.refusal
    return backend


def _resolve(view: View, name: bytes, for_what: str) -> bytes:
    """Answer the stored key that a write to ``name`` goes to."""
    if namespace(name) is not Namespace.CASCADING:
        return name
    found = lookup(name, view.future)
    if found is None or namespace(found.name) not in view.mounts:
        raise InterfaceError(
            f"No key is found for {escape(name)}, so {for_what} it is ambiguous. Name the key with"
            f" its namespace, for example {escape(in_namespace(name, Namespace.USER))}"
        )
    return found.name


def _one(
    backend: Backend, name: bytes, old: Content | None, new: Content | None, unchanged: int
) -> Draft:
    if old is not None and new is not None and old.same_as(new):
        return Draft([], unchanged_revision=unchanged)
    return Draft([KeyChange(backend, name, old, new)])


def set_string(view: View, name: bytes, value: str) -> Request:
    """Set a key's value to a string; its metadata stay, but for ``binary``."""

    def request(revision: int) -> Draft:
        target = _resolve(view, name, "writing to")
        backend = writable(view, target)
        old = view.future(target)
        if old is None:
            return _one(backend, target, None, make(value, {})._replace(revision=revision), 0)
        metadata = old.meta
        if "binary" in metadata:
            metadata = _without(metadata, "binary")
        new = make(value, metadata)._replace(revision=revision)
        return _one(backend, target, old, new, old.revision)

    return request


def put(view: View, name: bytes, content: Content) -> Request:
    """Set a key's value and metadata."""

    def request(revision: int) -> Draft:
        target = _resolve(view, name, "writing to")
        backend = writable(view, target)
        old = view.future(target)
        unchanged = old.revision if old is not None else 0
        return _one(backend, target, old, content._replace(revision=revision), unchanged)

    return request


def set_meta(view: View, name: bytes, meta_name: str, value: str) -> Request:
    """Set one metadatum; a key that is not there yet is made, with an empty value.

    Setting ``binary`` makes the value binary.
    """

    def request(revision: int) -> Draft:
        target = _resolve(view, name, "writing to")
        backend = writable(view, target)
        old = view.future(target)
        before = old if old is not None else Content("")
        after = meta({**before.meta, **meta({meta_name: value})})
        new_value = before.value
        if "binary" in after and isinstance(new_value, str):
            new_value = new_value.encode("utf-8", "surrogateescape")
        new = make(new_value, after)._replace(revision=revision)
        return _one(backend, target, old, new, old.revision if old is not None else 0)

    return request


def remove_meta(view: View, name: bytes, meta_name: str) -> Request:
    """Remove one metadatum; raise KeyNotFound where key or metadatum is not there.

    Removing ``binary`` makes the value a string, which must then be one.
    """

    def request(revision: int) -> Draft:
        target = _resolve(view, name, "writing to")
        backend = writable(view, target)
        old = view.future(target)
        (wanted,) = meta({meta_name: ""})
        if old is None:
            raise KeyNotFound(f"{escape(target)} is not there. Nothing was changed")
        if wanted not in old.meta:
            raise KeyNotFound(f"{escape(target)} has no metadata {wanted}. Nothing was changed")
        value = old.value
        if wanted == "binary" and isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise InterfaceError(
                    f"{escape(target)} holds bytes that are no UTF-8 string, so it must stay"
                    " binary. Set a string value first"
                ) from error
        new = make(value, _without(old.meta, wanted))._replace(revision=revision)
        return _one(backend, target, old, new, old.revision)

    return request


def remove(view: View, name: bytes, *, recursive: bool) -> Request:
    """Remove a key, or with ``recursive`` it and all keys below; the answer is how many.

    A cascading name stands for the key that it finds; with ``recursive`` for every namespace.
    Raises KeyNotFound where there is nothing to remove.
    """

    def single(_revision: int) -> Draft:
        target = name
        if namespace(name) is Namespace.CASCADING:
            found = lookup(name, view.future)
            if found is None or namespace(found.name) not in view.mounts:
                raise KeyNotFound(f"{escape(name)} is not there. Nothing was removed")
            target = found.name
        backend = writable(view, target)
        old = view.future(target)
        if old is None:
            raise KeyNotFound(f"{escape(target)} is not there. Nothing was removed")
        return Draft([KeyChange(backend, target, old, None)], answer=1)

    def subtree(_revision: int) -> Slices:
        if namespace(name) is not Namespace.CASCADING:
            view.backend(name)
        changes = []
        for each in view.future_names(name):
            changes.append(KeyChange(writable(view, each), each, view.future(each), None))
            if len(changes) % SLICE_KEYS == 0:
                yield
        if not changes:
            raise KeyNotFound(f"No key is at or below {escape(name)}. Nothing was removed")
        return Draft(changes, answer=len(changes))

    return subtree if recursive else single


def apply_all(
    view: View,
    puts: Sequence[tuple[bytes, Content]],
    removes: Sequence[bytes],
    *,
    expected: int,
    removed_since: Callable[[Backend, bytes, int], bool],
) -> Request:
    """Put and remove keys of any namespaces, all or nothing.

    With ``expected`` > 0 a named key that changed after that revision, and is not as asked, is a
    conflict. ``removed_since`` tells of a key that is not there whether it was removed after a
    revision.
    """

    def request(revision: int) -> Slices:
        changes = []
        conflicts = []
        wanted: list[tuple[bytes, Content | None]] = [*puts, *((name, None) for name in removes)]
        _refuse_doubles(name for name, _ in wanted)
        for count, (name, content) in enumerate(wanted, start=1):
            backend = writable(view, name)
            old = backend.future(name)
            if count % SLICE_KEYS == 0:
                yield
            if _as_asked(old, content):
                continue
            if expected and _changed_since(backend, name, old, expected, removed_since):
                conflicts.append(_conflict(name, expected, content, old))
                continue
            new = None if content is None else content._replace(revision=revision)
            changes.append(KeyChange(backend, name, old, new))
        if conflicts:
            raise _conflicting(conflicts)
        return Draft(changes)

    return request


def put_entries(view: View, entries: Iterable[Entry]) -> Callable[[int], Slices]:
    """Bring the entries of a handle's set in, each against the revision that it replaces.

    The answer maps each put key that already was as asked to its present revision.
    """

    def request(revision: int) -> Slices:
        changes = []
        conflicts = []
        present: dict[bytes, int] = {}
        for count, (name, content, base) in enumerate(entries, start=1):
            backend = writable(view, name)
            old = backend.future(name)
            if count % SLICE_KEYS == 0:
                yield
            if _as_asked(old, content):
                if old is not None:
                    present[name] = old.revision
            elif (old.revision if old is not None else 0) != base:
                conflicts.append(_conflict(name, base, content, old))
            else:
                new = None if content is None else content._replace(revision=revision)
                changes.append(KeyChange(backend, name, old, new))
        if conflicts:
            raise _conflicting(conflicts)
        return Draft(changes, answer=present)

    return request


def compare_entries(view: View, entries: Iterable[Entry]) -> Request:
    """Work out what ``put_entries`` would change, and answer that instead of changing it."""
    put = put_entries(view, entries)

    def request(revision: int) -> Slices:
        draft = yield from put(revision)
        return Draft([], answer=draft.changes)

    return request


def _conflict(name: bytes, base: int, ours: Content | None, theirs: Content | None) -> Conflict:
    return Conflict(escape(name), base, _short(ours), _short(theirs))


def _conflicting(conflicts: Sequence[Conflict]) -> ConflictError:
    which = "one key" if len(conflicts) == 1 else f"{len(conflicts)} keys"
    return ConflictError(
        f"Somebody else changed {which} since you read. Nothing was stored; get again, then set",
        conflicts=tuple(conflicts[:MAX_TOLD_CONFLICTS]),
    )


def _short(content: Content | None) -> str:
    """Answer what tells one content from another in a message: one line, no line breaks."""
    if content is None:
        return "removed"
    value = repr(content.value[:SHORT_VALUE])
    if len(content.value) > SHORT_VALUE:
        value += f"... ({len(content.value)} long)"
    return f"{value} with {len(content.meta)} metadata" if content.meta else value


def _changed_since(
    backend: Backend,
    name: bytes,
    old: Content | None,
    revision: int,
    removed_since: Callable[[Backend, bytes, int], bool],
) -> bool:
    if old is not None:
        return old.revision > revision
    return removed_since(backend, name, revision)


def _as_asked(old: Content | None, content: Content | None) -> bool:
    if old is None or content is None:
        return old is content
    return old.same_as(content)


def _without(metadata: Meta, name: str) -> Meta:
    return meta({each: value for each, value in metadata.items() if each != name})


def _refuse_doubles(names: Iterable[bytes]) -> None:
    seen: set[bytes] = set()
    for name in names:
        if name in seen:
            raise InterfaceError(
                f"{escape(name)} is named twice. Name each key once, to put or to remove it"
            )
        seen.add(name)
