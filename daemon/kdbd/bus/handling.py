"""Handles: Open, and the gets and sets of whole key sets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdb import memfd, wire
from kdb.model.content import Content
from kdb.model.diff import Change
from kdb.model.errors import AccessDenied, ConflictError, InterfaceError, LimitsExceeded
from kdb.model.names import Namespace, escape, in_namespace, is_below_or_same, namespace, unescape
from kdbd.bus.calls import AT_ONCE_BYTES, Call
from kdbd.bus.context import Context
from kdbd.bus.dispatch import Await, Later, Reply
from kdbd.bus.objects import Handles
from kdbd.bus.values import block_data
from kdbd.core.commit import Caller, KeyChange
from kdbd.core.handles import Handle, parent_key
from kdbd.core.requests import Entry, compare_entries, put_entries
from kdbd.core.view import View, root_name
from kdbd.jobs import Outcome
from kdbd.store.history import JournalReader
from kdbd.store.locations import nearest_directory
from kdbd.worker import Worker

__all__ = ["Handling"]

# So many are packed at once (about 2 ms); more in the worker, others being answered.
_AT_ONCE_KEYS = 1_000


class Handling:
    """Open, and Handle's Get, Set, Diff, Close."""

    def __init__(
        self, context: Context, handles: Handles, reader: JournalReader, worker: Worker
    ) -> None:
        self._context = context
        self._handles = handles
        self._reader = reader
        self._worker = worker

    # Opening

    def open(self, subject: View | Handle, call: Call, contract: Mapping[str, Any]) -> Any:
        if self._context.is_shared:
            self._context.caller(call)
        directory = _directory(contract, is_shared=self._context.is_shared)
        if not directory:
            handle = self._handles.open(call.sender, "", "", self._context.database.view)
        else:
            root = self._root_of(directory)
            self._context.stores.judge_directory(root)
            view = self._context.database.directory_view(root)
            handle = self._handles.open(call.sender, directory, root, view)
        return (f"{wire.HANDLE_PATH_PREFIX}{handle.number}",)

    def _root_of(self, directory: str) -> str:
        """Answer the directory whose dir:/ is shown from this one; raise Await to load it."""
        context = self._context
        root = nearest_directory(directory, context.stores.directory_files)
        if root_name(Namespace.DIR, root) not in context.database.roots:
            raise Await(lambda: self._load(root))
        return root

    async def _load(self, root: str) -> None:
        async with self._context.stores.changing:
            if root_name(Namespace.DIR, root) not in self._context.database.roots:
                await self._context.stores.load_directory(root)

    def vanished(self, sender: str) -> None:
        """Close all handles of a client that left the bus."""
        for handle in self._handles.of(sender):
            self._handles.close(handle)

    def close(self, handle: Handle, call: Call) -> Sequence[Any]:
        self._handles.close(handle)
        return ()

    # Getting

    def get(self, handle: Handle, call: Call, parent: str, since: int) -> Any:
        key = parent_key(unescape(parent))
        root, view = handle.root, handle.view
        if handle.directory and namespace(key) in (Namespace.DIR, Namespace.CASCADING):
            root = self._root_of(handle.directory)
            view = self._context.database.directory_view(root)
        self._context.fresh_below(view, key)
        if root != handle.root:
            # Another directory is the nearest that has the file.
            handle.move(root, view)
            self._handles.on_released()
        if root and namespace(key) in (Namespace.DIR, Namespace.CASCADING):
            # Of which directory a revision is that this handle did not tell, nobody knows.
            since = since if handle.has_got(key) else 0
        if namespace(key) is Namespace.DIR:
            view.backend(key)
        database = self._context.database
        revision = database.revision
        if since:
            changed = database.changed_since(key, since, view)
            if changed is None:
                return self._get_after_history(handle, key, since)
            if not changed:
                handle.note_get(key)
                return False, b"", [], revision
        keys = list(view.items(key))
        handle.note_get(key)
        if len(keys) <= _AT_ONCE_KEYS:
            return _block_reply((True,), wire.pack_keys(keys), (revision,))
        return self._pack(keys, revision)

    async def _get_after_history(self, handle: Handle, key: bytes, since: int) -> Any:
        database = self._context.database
        until = database.revision
        parents = [key]
        if namespace(key) is Namespace.CASCADING:
            parents = [in_namespace(key, which) for which in handle.view.mounts]
        unchanged = await self._worker.run(self._unchanged, parents, since, until, handle.root)
        if unchanged and database.revision == until:
            handle.note_get(key)
            return False, b"", [], until
        keys = list(handle.view.items(key))
        handle.note_get(key)
        return await self._pack(keys, database.revision)

    def _unchanged(self, parents: list[bytes], since: int, until: int, directory: str) -> bool:
        with self._reader.snapshot():
            if since < self._reader.trimmed():
                return False
            changes = self._reader.changes(
                since=since, until=until, parents=parents, limit=1, directory=directory
            )
        return not changes

    async def _pack(self, keys: list[tuple[bytes, Content]], revision: int) -> Reply:
        data = await self._context.unhurried.run(wire.pack_keys, keys)
        return _block_reply((True,), data, (revision,))

    # Setting

    def set(
        self, handle: Handle, call: Call, parent: str, data: bytes, indices: Sequence[int]
    ) -> Any:
        caller = self._context.caller(call)
        key = self._settable(handle, parent)
        block = block_data(data, indices, call.fds)
        if len(block) > AT_ONCE_BYTES:
            return self._set_large(handle, caller, key, block)
        entries = _entries(wire.unpack_changes(block), key)
        self._context.fresh_names(handle.view, [entry.name for entry in entries])
        return self._submit(handle, caller, key, entries)

    async def _set_large(
        self, handle: Handle, caller: Caller, key: bytes, block: bytes
    ) -> Sequence[Any]:
        return await self._submit(handle, caller, key, await self._unpack(handle, key, block))

    async def _unpack(self, handle: Handle, key: bytes, block: bytes) -> list[Entry]:
        """Answer what a large block has for a parent, with the files there as they are now."""
        changes = await self._context.unhurried.run(wire.unpack_changes, block)
        entries: list[Entry] = await self._context.unhurried.run(_entries, changes, key)
        await self._context.freshen_below(handle.view, key)
        return entries

    def _submit(
        self, handle: Handle, caller: Caller, key: bytes, entries: list[Entry]
    ) -> Later[Sequence[Any]]:
        names = [entry.name for entry in entries]
        request = put_entries(handle.view, entries)
        later = self._context.submit(caller, handle.view, request, names, _set_answer)

        def note(done: asyncio.Future[Outcome]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, ConflictError):
                handle.note_conflict(key, error)

        later.future.add_done_callback(note)
        return later

    def diff(
        self, handle: Handle, call: Call, parent: str, data: bytes, indices: Sequence[int]
    ) -> Any:
        key = self._settable(handle, parent)
        block = block_data(data, indices, call.fds)
        if len(block) > AT_ONCE_BYTES:
            return self._diff_large(handle, key, block)
        entries = _entries(wire.unpack_changes(block), key)
        self._context.fresh_names(handle.view, [entry.name for entry in entries])
        draft = self._context.database.drafted(put_entries(handle.view, entries))
        return _block_reply((), _pack_difference(draft.changes), ())

    async def _diff_large(self, handle: Handle, key: bytes, block: bytes) -> Reply:
        """Compare in slices, in the pipeline: no commit may come between these."""
        entries = await self._unpack(handle, key, block)
        outcome = await self._context.pipeline.submit(
            compare_entries(handle.view, entries), Caller()
        )
        data = await self._context.unhurried.run(_pack_difference, outcome.answer)
        return _block_reply((), data, ())

    def _settable(self, handle: Handle, parent: str) -> bytes:
        key = parent_key(unescape(parent))
        if namespace(key) is Namespace.PROC:
            raise InterfaceError(
                f"{escape(key)} cannot be set: proc:/ is each process's own. Use a parent in"
                " spec:/, dir:/, user:/, system:/ or a cascading one"
            )
        try:
            handle.require_get(key)
        except InterfaceError:
            # Of a damaged mountpoint no get could be: what is wrong is the file.
            self._context.fresh_below(handle.view, key)
            for backend in handle.view.backends(key):
                if backend.damage is not None:
                    raise backend.damage from None
            raise
        return key


def _directory(contract: Mapping[str, Any], *, is_shared: bool) -> str:
    signatures = {"directory": "s", "changetracking": "b"}
    for entry, value in contract.items():
        if value.signature != signatures.get(entry):
            raise InterfaceError(
                f"The contract entry {entry!r} of type '{value.signature}' is unknown. Known are"
                " 'directory' (s) and 'changetracking' (b)"
            )
    if "directory" not in contract:
        return ""
    if is_shared:
        raise InterfaceError(
            "A kdbd on the system bus has no dir:/, which would show one user's directories to"
            " others. Open without a directory"
        )
    directory = str(contract["directory"].value)
    if not os.path.isabs(directory) or "\0" in directory:
        raise InterfaceError(f"The directory {directory!r} is not absolute. Name it from / on")
    directory = os.path.normpath(directory)
    if not os.path.isdir(directory):
        raise AccessDenied(f"The directory {directory} is not there, or not for kdbd to see")
    return directory


def _entries(changes: list[tuple[bytes, Content | None, int]], parent: bytes) -> list[Entry]:
    """Answer what of a block is to be set: nothing of proc:/ and default:/, nothing outside.

    Raises InterfaceError for a cascading or meta:/ key.
    """
    cascading = namespace(parent) is Namespace.CASCADING
    entries = []
    for name, content, base in changes:
        which = namespace(name)
        if which in (Namespace.CASCADING, Namespace.META):
            raise InterfaceError(
                f"{escape(name)} cannot be stored: it is no key of a namespace. Take it out of the"
                " key set, or name it with its namespace"
            )
        if which in (Namespace.PROC, Namespace.DEFAULT):
            continue
        compared = in_namespace(name, Namespace.CASCADING) if cascading else name
        if is_below_or_same(compared, parent):
            entries.append(Entry(name, content, base))
    return entries


def _pack_difference(changes: Iterable[KeyChange]) -> bytes:
    return wire.pack_diff(
        {
            change.name: Change(change.old, change.new)
            for change in sorted(changes, key=lambda change: change.name)
        }
    )


def _set_answer(outcome: Outcome) -> Sequence[Any]:
    revision = outcome.revision if outcome.commit is not None else 0
    return revision, wire.pack_present(outcome.answer) if outcome.answer else b""


def _block_reply(before: Sequence[Any], data: bytes, behind: Sequence[Any]) -> Reply:
    """Answer a reply with a block: inline, or above 1 MiB in a memfd."""
    if len(data) <= wire.INLINE_BLOCK_BYTES:
        return Reply((*before, data, [], *behind))
    if len(data) > wire.MAX_BLOCK_BYTES:
        raise LimitsExceeded(
            f"This takes {len(data)} bytes, and a block has at most {wire.MAX_BLOCK_BYTES}. Use"
            " narrower parents"
        )
    return Reply((*before, b"", [0], *behind), (memfd.seal(data),))
