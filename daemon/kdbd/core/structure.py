"""Commits that change what is mounted.

Mountpoints are declared by keys below ``system:/elektra/mountpoints``. Whatever writes these
(Mount, a plain set, an import, an edited file), the commit brings or takes away backends, and with
them keys appear and vanish for readers: all this is part of that one commit. Such a commit is
completed here after its draft, with the new backends' files already read, and runs alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping

from kdb.model.content import Content
from kdb.model.errors import InterfaceError, KeyNotFound
from kdb.model.names import end_of_subtree, is_below_or_same, namespace
from kdbd.core.backend import Backend
from kdbd.core.commit import Commit, Draft, KeyChange, Structure
from kdbd.core.merge import same
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declare, root_of
from kdbd.core.requests import SLICE_KEYS, Request, writable
from kdbd.core.view import Mounts, View, root_name

__all__ = ["complete", "is_structural", "mount", "specs_after", "unmount"]


def is_structural(changes: Iterable[KeyChange]) -> bool:
    """Tell whether a change set touches the declarations of mountpoints."""
    return any(_declares(change) for change in changes)


def mount(view: View, spec: MountSpec, *, replace: bool = False) -> Request:
    """Declare a mountpoint; raise InterfaceError where it is mounted already, unless ``replace``.

    What is replaced stays mounted where the new declaration is refused: it is one commit.
    """

    def request(revision: int) -> Draft:
        before = {name: view.future(name) for name in view.future_names(root_of(spec.mountpoint))}
        if before and not replace:
            raise InterfaceError(
                f"{spec.mountpoint} is mounted already. Unmount it first, or mount elsewhere"
            )
        after = declare(spec)
        changes = []
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if not same(old, new):
                content = None if new is None else new._replace(revision=revision)
                changes.append(KeyChange(writable(view, name), name, old, content))
        return Draft(changes)

    return request


def unmount(view: View, mountpoint: str) -> Request:
    """Take a mountpoint's declaration away; raise KeyNotFound where nothing is mounted there."""

    def request(_revision: int) -> Draft:
        changes = [
            KeyChange(writable(view, name), name, view.future(name), None)
            for name in view.future_names(root_of(mountpoint))
        ]
        if not changes:
            raise KeyNotFound(f"Mountpoint {mountpoint} does not exist")
        return Draft(changes)

    return request


def specs_after(view: View, changes: Iterable[KeyChange]) -> Iterator[tuple[bytes, Content]]:
    """Answer the declarations' keys as they will be after a change set."""
    declarations = dict(view.items(MOUNTPOINTS))
    for change in changes:
        if _declares(change):
            if change.new is None:
                declarations.pop(change.name, None)
            else:
                declarations[change.name] = change.new
    return iter(sorted(declarations.items()))


def complete(
    commit: Commit,
    before: Mapping[str, Mounts],
    after: Mapping[str, Mounts],
    permanent: frozenset[int],
) -> Generator[None, None, None]:
    """Add to a commit the backends that come and go, and the keys that thereby appear and vanish.

    ``before`` and ``after`` hold each root's mounts, by ``<namespace>:/`` and for dir:/ the
    directory. A key that one backend shows before and another after is changed, where the contents
    differ. The commit's own changes go to the backends that show them after it. The ``permanent``
    backends (identities) are kept with their keys also while another is mounted in their place.
    Those that come hold their keys as after the commit at the end of this, but for its stored
    changes. Raises what forbids a change in the backend that it goes to.

    Each ``yield`` is a place to let others go on, who change none of all this meanwhile.
    """
    old = {each.identity: each for mounts in before.values() for each in mounts}
    new = {each.identity: each for mounts in after.values() for each in mounts}
    came = [each for identity, each in new.items() if identity not in old]
    went = [each for identity, each in old.items() if identity not in new]
    mounted = tuple(each for each in came if each.identity not in permanent)
    unmounted = tuple(each for each in went if each.identity not in permanent)
    own = set()
    moved = []
    for count, change in enumerate(commit.changes, start=1):
        own.add((change.backend.directory, change.name))
        for each in _moved(change, after, commit.revision):
            moved.append(each)
            if not each.stored and each.backend in mounted:
                each.show()
        if count % SLICE_KEYS == 0:
            yield
    commit.changes[:] = moved
    commit.structure = Structure(mounted=mounted, unmounted=unmounted)
    for root, mounts_after in after.items():
        mounts_before = before.get(root)
        if mounts_before is None:
            continue
        ranges = {
            each.mountpoint
            for each in (*came, *went)
            if mounts_before.at(each.mountpoint) is each or mounts_after.at(each.mountpoint) is each
        }
        for mountpoint in _outermost(ranges):
            pairs = _paired(_shown(mounts_before, mountpoint), _shown(mounts_after, mountpoint))
            for count, (name, was, will) in enumerate(pairs, start=1):
                if count % SLICE_KEYS == 0:
                    yield
                backend = mounts_after.responsible(name)
                if (backend.directory, name) in own:
                    continue
                if was is not None and will is not None and was.same_as(will):
                    # Nothing changes for readers, so what they got of it stays the base of a set.
                    if backend in mounted:
                        backend.tree[name] = was
                    elif was.revision != will.revision:
                        kept = KeyChange(backend, name, was, was, stored=False, announced=False)
                        commit.changes.append(kept)
                    continue
                changed = _shown_change(backend, name, was, will, commit.revision)
                if backend in mounted:
                    changed.show()
                commit.changes.append(changed)


def _declares(change: KeyChange) -> bool:
    # What an edited file holds below another backend's mountpoint declares nothing.
    return change.announced and is_below_or_same(change.name, MOUNTPOINTS)


def _moved(change: KeyChange, after: Mapping[str, Mounts], revision: int) -> list[KeyChange]:
    """Answer a commit's own change as one of the backend that shows the key after the commit."""
    name, new = change.name, change.new
    mounts = after[root_name(namespace(name), change.backend.directory)]
    backend = mounts.responsible(name)
    if backend is change.backend or not change.announced:
        return [change]
    forbidden = backend.damage or backend.refusal
    if forbidden is not None:
        raise forbidden
    held = backend.tree.get(name)
    shown = _shown_change(backend, name, change.old, new, revision)
    if same(held, new):
        return [shown]
    return [KeyChange(backend, name, held, new, announced=False), shown]


def _shown_change(
    backend: Backend, name: bytes, was: Content | None, will: Content | None, revision: int
) -> KeyChange:
    if will is not None:
        will = will._replace(revision=revision)
    return KeyChange(backend, name, was, will, stored=False)


def _shown(mounts: Mounts, mountpoint: bytes) -> Iterator[tuple[bytes, Content]]:
    """Answer the keys that are shown at or below a mountpoint; of a damaged file the last known."""
    for segment in mounts.segments(mountpoint, end_of_subtree(mountpoint), mountpoint):
        for name in segment.backend.names(segment.start, segment.end):
            yield name, segment.backend.tree[name]


def _paired(
    before: Iterator[tuple[bytes, Content]], after: Iterator[tuple[bytes, Content]]
) -> Iterator[tuple[bytes, Content | None, Content | None]]:
    """Go through two runs of keys, each in key order, by name; None where one lacks it."""
    was, will = next(before, None), next(after, None)
    while was is not None or will is not None:
        if was is not None and (will is None or was[0] < will[0]):
            yield was[0], was[1], None
            was = next(before, None)
        elif will is not None and (was is None or will[0] < was[0]):
            yield will[0], None, will[1]
            will = next(after, None)
        elif was is not None and will is not None:  # pragma: no branch  # one is at least
            yield was[0], was[1], will[1]
            was, will = next(before, None), next(after, None)


def _outermost(mountpoints: Iterable[bytes]) -> list[bytes]:
    outermost: list[bytes] = []
    for mountpoint in sorted(mountpoints):
        if not outermost or not is_below_or_same(mountpoint, outermost[-1]):
            outermost.append(mountpoint)
    return outermost
