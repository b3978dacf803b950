"""The methods that read keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from kdb.model.content import Content, is_utf8
from kdb.model.errors import (
    HistoryLost,
    InterfaceError,
    KeyNotFound,
    LimitsExceeded,
    SemanticError,
)
from kdb.model.lookup import Found, lookup
from kdb.model.names import PERSISTABLE, Namespace, escape, in_namespace, namespace, unescape
from kdbd.bus.calls import Call
from kdbd.bus.context import Context, view_of
from kdbd.bus.values import utf8_value
from kdbd.core.handles import Handle, parent_key
from kdbd.core.mounts import MOUNTPOINTS, declared
from kdbd.core.view import View
from kdbd.store.history import HistoryChange, JournalReader
from kdbd.worker import Worker

__all__ = ["DEFAULT_LIMIT", "MAX_REPLY_BYTES", "Reading"]

DEFAULT_LIMIT = 10_000
# Beyond 32 MiB the system bus drops the service; 8 MiB keep others' waiting short.
MAX_REPLY_BYTES = 8 * 1024 * 1024
# What a key, and a metadatum, takes in a reply beside its texts: lengths, padding, revision.
_KEY_BYTES = 48
_META_BYTES = 24

Subject = View | Handle


class Reading:
    """GetString, Get, GetAll, List, File, Changes, ListMounts."""

    def __init__(self, context: Context, reader: JournalReader, reader_worker: Worker) -> None:
        self._context = context
        self._reader = reader
        self._worker = reader_worker

    def get_string(self, subject: Subject, call: Call, name: str) -> Sequence[Any]:
        found = self._look_up(view_of(subject), name)
        if isinstance(found.content.value, bytes):
            raise SemanticError(f"{escape(found.name)} is binary. Use Get, which answers bytes")
        try:
            size = _utf8_bytes(found.content.value)
        except UnicodeEncodeError as error:
            raise SemanticError(
                f"The value of {escape(found.name)} is no UTF-8. Use Get, which answers bytes"
            ) from error
        _require_fitting(found.name, size + _KEY_BYTES)
        return (found.content.value,)

    def get(self, subject: Subject, call: Call, name: str) -> Sequence[Any]:
        found = self._look_up(view_of(subject), name)
        content = found.content
        value = utf8_value(content.value)
        try:
            _require_fitting(found.name, _size_of(escape(found.name), value, content))
        except UnicodeEncodeError as error:
            raise SemanticError(
                f"The metadata of {escape(found.name)} are no UTF-8. Get them through a handle"
            ) from error
        return escape(found.name), value, dict(content.meta), content.revision

    def _look_up(self, view: View, name: str) -> Found:
        key = unescape(name)
        self._context.fresh(view, key)
        found = lookup(key, view.get)
        if found is None:
            raise KeyNotFound(f"Did not find key '{escape(key)}'")
        return found

    def get_all(
        self, subject: Subject, call: Call, parent: str, after: str, limit: int
    ) -> Sequence[Any]:
        keys: list[Sequence[Any]] = []
        size = 0
        more = False
        for name, content in self._page(view_of(subject), parent, after):
            text = escape(name)
            value = utf8_value(content.value)
            try:
                size += _size_of(text, value, content)
            except UnicodeEncodeError:
                continue  # it reaches clients through handles only
            if not keys:
                _require_fitting(name, size)
            if len(keys) >= (limit or DEFAULT_LIMIT) or size > MAX_REPLY_BYTES:
                more = True
                break
            keys.append([text, value, dict(content.meta), content.revision])
        return keys, more, self._context.database.revision

    def list_names(
        self, subject: Subject, call: Call, parent: str, after: str, limit: int
    ) -> Sequence[Any]:
        found: list[str] = []
        size = 0
        more = False
        for name, _ in self._page(view_of(subject), parent, after):
            text = escape(name)
            try:
                size += _utf8_bytes(text) + 8
            except UnicodeEncodeError:
                continue
            if len(found) >= (limit or DEFAULT_LIMIT) or (found and size > MAX_REPLY_BYTES):
                more = True
                break
            found.append(text)
        return found, more

    def _page(self, view: View, parent: str, after: str) -> Any:
        key = parent_key(unescape(parent))
        beyond = unescape(after) if after else b""
        self._context.fresh_below(view, key)
        if namespace(key) is Namespace.DIR:
            view.backend(key)
        return view.items(key, beyond)

    def file(self, subject: Subject, call: Call, name: str) -> Sequence[Any]:
        backend = view_of(subject).backend(unescape(name))
        file = self._context.stores.files.get(backend.identity)
        path = "" if file is None else file.path
        if not is_utf8(path):
            raise SemanticError(f"The path of {name}'s file is no UTF-8: {path!r}")
        return (path,)

    def changes(
        self, subject: Subject, call: Call, since: int, parent: str, limit: int
    ) -> asyncio.Future[Sequence[Any]]:
        key = parent_key(unescape(parent))
        if namespace(key) is Namespace.PROC:
            raise InterfaceError(
                f"{escape(key)} cannot be followed: proc:/ is each process's own. Use a parent in"
                " spec:/, dir:/, user:/, system:/ or a cascading one"
            )
        if namespace(key) is Namespace.CASCADING:
            parents = [in_namespace(key, which) for which in PERSISTABLE]
        else:
            parents = [key]
        until = self._context.database.revision
        if since > until:
            raise HistoryLost(
                f"There is no revision {since} yet, so it is of another store. Read the keys"
                " again, and go on from the revision of that"
            )
        directory = subject.root if isinstance(subject, Handle) else ""
        history = partial(self._history, since, until, parents, directory)
        return self._worker.run(history, limit or DEFAULT_LIMIT)

    def _history(
        self, since: int, until: int, parents: list[bytes], directory: str, limit: int
    ) -> Sequence[Any]:
        """Answer whole commits: a commit that does not fit any more is left to the next call."""
        with self._reader.snapshot():
            changes, covered = self._commits(since, until, parents, directory, limit)
        _require_sendable(changes)
        rows = [
            [change.revision, change.kind, name]
            for change in changes
            if is_utf8(name := escape(change.name))
        ]
        return rows, covered < until, covered

    def _commits(
        self, since: int, until: int, parents: list[bytes], directory: str, limit: int
    ) -> tuple[list[HistoryChange], int]:
        if since < self._reader.trimmed():
            raise HistoryLost(
                f"The history after revision {since} is no longer kept. Read the keys again, and go"
                " on from the revision of that"
            )
        read = partial(self._reader.changes, parents=parents, directory=directory)
        changes = read(since=since, until=until, limit=limit + 1)
        if len(changes) <= limit:
            return changes, until
        last = changes[-1].revision
        whole = [change for change in changes if change.revision < last]
        if whole:
            return whole, last - 1
        return read(since=last - 1, until=last), last

    def list_mounts(self, subject: Subject, call: Call) -> Sequence[Any]:
        view = view_of(subject)
        self._context.fresh(view, MOUNTPOINTS)
        specs, _ = declared(view.items(MOUNTPOINTS))
        return (
            [
                [spec.mountpoint, spec.path, {"announce": "once"} if spec.announce_once else {}]
                for spec in sorted(specs, key=lambda spec: spec.unescaped)
            ],
        )


def _utf8_bytes(text: str) -> int:
    """Answer a text's size; raise UnicodeEncodeError where it holds bytes that are no UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _size_of(name: str, value: bytes, content: Content) -> int:
    size = _utf8_bytes(name) + len(value) + _KEY_BYTES
    for each, datum in content.meta.items():
        size += _utf8_bytes(each) + _utf8_bytes(datum) + _META_BYTES
    return size


def _require_fitting(name: bytes, size: int) -> None:
    if size > MAX_REPLY_BYTES:
        raise LimitsExceeded(
            f"{escape(name)} takes {size} bytes, and a reply has at most {MAX_REPLY_BYTES}. Get it"
            " through a handle"
        )


def _require_sendable(changes: Sequence[HistoryChange]) -> None:
    size = sum(len(change.name) * 2 + _KEY_BYTES for change in changes)
    if size > MAX_REPLY_BYTES:
        raise HistoryLost(
            f"Revision {changes[0].revision} changed too many keys to tell. Read the keys again,"
            " and go on from the revision of that"
        )
