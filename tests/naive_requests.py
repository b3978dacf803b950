"""What requests come to, told on a dictionary of all keys: to compare kdbd.core with."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from core_state import content

from kdb.model.content import Content
from kdb.model.errors import ConflictError, HistoryLost, InterfaceError, KDBError, KeyNotFound
from kdb.model.names import Namespace, escape, in_namespace, is_below_or_same, namespace

__all__ = ["NaiveRequest", "Refused", "covers", "same"]


class Refused(Exception):
    """The class of the error that a request gets.

    Of a conflict also the keys: names and base revisions, in the order of the request.
    """

    def __init__(self, error: type[KDBError], conflicts: Sequence[tuple[str, int]] = ()) -> None:
        super().__init__(error)
        self.error = error
        self.conflicts = list(conflicts)


class NaiveRequest:
    """One request on the keys as they will be, which would be the commit of ``revision``.

    ``pending`` are the names that prepared commits change, ``removals`` the last revision that
    removed a name, which is known for revisions from ``known_since`` on.
    """

    def __init__(
        self,
        keys: Mapping[bytes, Content],
        revision: int,
        *,
        pending: Container[bytes],
        removals: Mapping[bytes, int],
        known_since: int,
    ) -> None:
        self.keys = keys
        self.revision = revision
        self.pending = pending
        self.removals = removals
        self.known_since = known_since
        self.changes: dict[bytes, tuple[Content | None, Content | None]] = {}
        self.answer: object = None
        self.unchanged_revision = 0

    def set_string(self, name: bytes, value: str) -> None:
        name = self._target(name, InterfaceError)
        old = self.keys.get(name, Content(""))
        self._write(name, value, {each: old.meta[each] for each in old.meta if each != "binary"})

    def put(self, name: bytes, new: Content) -> None:
        self._write(self._target(name, InterfaceError), new.value, new.meta)

    def set_meta(self, name: bytes, meta_name: str, text: str) -> None:
        name = self._target(name, InterfaceError)
        old = self.keys.get(name, Content(""))
        value = old.value
        if meta_name == "binary" and isinstance(value, str):
            value = value.encode()
        self._write(name, value, {**old.meta, meta_name: text})

    def remove_meta(self, name: bytes, meta_name: str) -> None:
        name = self._target(name, InterfaceError)
        old = self.keys.get(name, Content(""))
        if meta_name not in old.meta:
            raise Refused(KeyNotFound)
        value = old.value
        if meta_name == "binary" and isinstance(value, bytes):
            value = value.decode()
        self._write(name, value, {each: old.meta[each] for each in old.meta if each != meta_name})

    def remove(self, name: bytes) -> None:
        name = self._target(name, KeyNotFound)
        if name not in self.keys:
            raise Refused(KeyNotFound)
        self._change(name, None)
        self.answer = 1

    def remove_recursive(self, name: bytes) -> None:
        for each in self.keys:
            if covers(name, each):
                self._change(each, None)
        if not self.changes:
            raise Refused(KeyNotFound)
        self.answer = len(self.changes)

    def apply_all(
        self, puts: Iterable[tuple[bytes, Content]], removes: Iterable[bytes], expected: int
    ) -> None:
        wanted: list[tuple[bytes, Content | None]] = [*puts, *((name, None) for name in removes)]
        if len({name for name, _ in wanted}) < len(wanted):
            raise Refused(InterfaceError)
        conflicts = []
        for name, new in wanted:
            old = self.keys.get(name)
            if same(old, new):
                continue
            if expected and self._changed_since(name, old, expected):
                conflicts.append((escape(name), expected))
            self._change(name, new)
        if conflicts:
            raise Refused(ConflictError, conflicts)

    def put_entries(self, entries: Sequence[tuple[bytes, Content | None, int]]) -> None:
        conflicts = []
        present = {}
        for name, new, base in entries:
            old = self.keys.get(name)
            if same(old, new):
                if old is not None:
                    present[name] = old.revision
            elif (0 if old is None else old.revision) != base:
                conflicts.append((escape(name), base))
            else:
                self._change(name, new)
        if conflicts:
            raise Refused(ConflictError, conflicts)
        self.answer = present

    def _change(self, name: bytes, new: Content | None) -> None:
        if new is not None:
            new = new._replace(revision=self.revision)
        self.changes[name] = (self.keys.get(name), new)

    def _target(self, name: bytes, error: type[KDBError]) -> bytes:
        if namespace(name) is not Namespace.CASCADING:
            return name
        for which in (Namespace.USER, Namespace.SYSTEM):
            if in_namespace(name, which) in self.keys:
                return in_namespace(name, which)
        raise Refused(error)

    def _write(self, name: bytes, value: str | bytes, meta: Mapping[str, str]) -> None:
        old = self.keys.get(name)
        new = content(value, meta)
        if old is not None and old.same_as(new):
            self.unchanged_revision = old.revision
        else:
            self._change(name, new)

    def _changed_since(self, name: bytes, old: Content | None, revision: int) -> bool:
        if old is not None:
            return old.revision > revision
        if name in self.pending:
            return True
        if revision < self.known_since:
            raise Refused(HistoryLost)
        return self.removals.get(name, 0) > revision


def covers(parent: bytes, name: bytes) -> bool:
    """Tell whether a name is at or below a parent, a cascading one in any namespace."""
    if namespace(parent) is Namespace.CASCADING:
        name = in_namespace(name, Namespace.CASCADING)
    return is_below_or_same(name, parent)


def same(one: Content | None, other: Content | None) -> bool:
    """Tell whether two contents are equal, whatever their revisions; None is no key."""
    return one is other if one is None or other is None else one.same_as(other)
