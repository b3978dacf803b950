"""Revisions; prepare, apply, forget.

The state moves in three steps, and only in these:

prepare   a request is drafted against the state as it will be after all prepared commits: an
          error, or nothing to do, or a draft that is admitted as the next revision's commit.
apply     the commit is durable: readers see it. Commits are applied in the order of their
          revisions.
forget    the commit could not be made durable: it and all prepared after it never were. Their
          requests are prepared anew.

A commit that changes what is mounted runs alone between ``prepare`` and ``apply``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import MappingProxyType

from kdb.model.errors import HistoryLost
from kdb.model.names import PERSISTABLE, Namespace, escape
from kdbd.core.backend import Backend
from kdbd.core.commit import Caller, Commit, Draft, Origin, Rebuilt
from kdbd.core.recent import RecentChanges
from kdbd.core.requests import SLICE_KEYS, Request, Slices
from kdbd.core.view import Mounts, View, root_name

__all__ = ["Database"]

NOTHING_REBUILT: Rebuilt = MappingProxyType({})


class Database:
    """All stores' keys and the revision they are at.

    ``view`` is what the root object shows: no dir:/. ``roots`` holds each root's mounts by
    ``<namespace>:/``, for dir:/ with the directory appended.
    """

    def __init__(self, revision: int, roots: Mapping[str, Mounts]) -> None:
        self.revision = revision
        self.prepared = revision
        self.roots = dict(roots)
        self.recent = RecentChanges(revision)
        self.view = View({})
        self._directories: dict[str, View] = {}
        self._ahead: set[Backend] = set()
        self._show()

    def directory_view(self, directory: str) -> View:
        """Answer the view whose dir:/ is this loaded directory."""
        return self._directories[directory]

    def load_directory(self, directory: str, mounts: Mounts) -> View:
        """Add a directory's backends."""
        self.roots[root_name(Namespace.DIR, directory)] = mounts
        self._directories[directory] = View({})
        self._show()
        return self._directories[directory]

    def unload_directory(self, directory: str) -> None:
        """Drop a directory's backends; its keys stay in its files."""
        del self.roots[root_name(Namespace.DIR, directory)]
        del self._directories[directory]

    def backends(self) -> Iterable[Backend]:
        """Iterate over every mounted backend of every root."""
        for mounts in self.roots.values():
            yield from mounts

    def draft(self, request: Request) -> Slices:
        """Draft a request against the state as it will be; raise the caller's error.

        Nothing is changed yet. Between draft and ``admit`` no other request may be admitted.
        """
        drafted = request(self.prepared + 1)
        if isinstance(drafted, Draft):
            return drafted
        return (yield from drafted)

    def drafted(self, request: Request) -> Draft:
        """Draft a request at one go."""
        steps = self.draft(request)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                draft: Draft = finished.value
                return draft

    def admit(
        self, draft: Draft, caller: Caller, origin: Origin = "client", reason: str = ""
    ) -> Generator[None, None, Commit]:
        """Make a draft that changes something the next commit."""
        self.prepared += 1
        for count, change in enumerate(draft.changes, start=1):
            change.backend.prepare(change.name, change.new, self.prepared)
            self._ahead.add(change.backend)
            if count % SLICE_KEYS == 0:
                yield
        return Commit(self.prepared, draft.changes, caller, origin, reason)

    def readmit(self, commit: Commit) -> Generator[None, None, None]:
        """Prepare a commit again, which runs alone, after its changes became others."""
        self.forget()
        self.prepared = commit.revision
        for count, change in enumerate(commit.changes, start=1):
            if count % SLICE_KEYS == 0:
                yield
            if change.stored:
                change.backend.prepare(change.name, change.new, commit.revision)
                self._ahead.add(change.backend)

    def apply(self, commits: Iterable[Commit], rebuilt: Rebuilt = NOTHING_REBUILT) -> None:
        """Let readers see durable commits, the oldest prepared ones, all at once.

        ``rebuilt`` holds keys that are made already as after all these commits.
        """
        for backend, tree in rebuilt.items():
            backend.tree = tree
        for commit in commits:
            assert commit.revision == self.revision + 1
            # These hold their keys as after the commit (see ``structure.complete``).
            mounted = () if commit.structure is None else commit.structure.mounted
            for change in commit.changes:
                if not change.stored:
                    if change.backend not in rebuilt and change.backend not in mounted:
                        change.show()
                elif change.backend in rebuilt:
                    change.backend.settle(change.name, commit.revision)
                else:
                    change.backend.apply(change.name, change.new, commit.revision)
            self.revision = commit.revision
            self.recent.note(
                commit.revision,
                [
                    (change.backend.directory, change.name)
                    for change in commit.changes
                    if change.announced
                ],
            )
        if self.revision == self.prepared:
            # Backends that are unmounted or unloaded later must not be kept by this.
            self._ahead.clear()

    def forget(self) -> None:
        """Undo all preparation that was not applied."""
        for backend in self._ahead:
            backend.ahead.clear()
        self._ahead.clear()
        self.prepared = self.revision

    def remount(self, roots: Mapping[str, Mounts]) -> None:
        """Show what is mounted after a structural commit."""
        self.roots = dict(roots)
        self._show()

    def removed_since(self, backend: Backend, name: bytes, revision: int) -> bool:
        """Tell whether a key that is not there was removed after a revision.

        Raises HistoryLost where that is too long ago to tell.
        """
        if name in backend.ahead:
            return True
        if revision < self.recent.since:
            raise HistoryLost(
                f"Revision {revision} is too long ago to tell whether {escape(name)} was removed"
                " since. Read again, and apply with the revision of that"
            )
        return self.recent.has(backend.directory, name, revision)

    def changed_since(self, parent: bytes, since: int, view: View) -> bool | None:
        """Tell whether something at or below the parent changed after ``since``.

        None where that is too long ago for the state to tell: then the journal knows. Raises the
        damage of a mountpoint there: what was got of it is not what its file holds.
        """
        for backend in view.backends(parent):
            if backend.damage is not None:
                raise backend.damage
        if since > self.revision:
            return True  # it is a revision of another store
        if since == self.revision:
            return False
        mounts = view.mounts.get(Namespace.DIR)
        directories = frozenset() if mounts is None else frozenset(b.directory for b in mounts)
        known = self.recent.changed(parent, since, directories)
        if known is not None:
            return known
        for _, content in view.items(parent):
            if content.revision > since:
                return True
        return None

    def _show(self) -> None:
        shared: dict[Namespace, Mounts] = {
            each: self.roots[root_name(each)]
            for each in PERSISTABLE
            if each is not Namespace.DIR and root_name(each) in self.roots
        }
        self.view.mounts = dict(shared)
        for directory, view in self._directories.items():
            view.mounts = {**shared, Namespace.DIR: self.roots[root_name(Namespace.DIR, directory)]}
