"""What must be there: a plain dict for each file, and rules without any cleverness.

The model follows the journal: each transaction that returned is checked against what was asked,
and then is the state. What readers see, what is signalled and what files hold is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kdb.model.content import Content
from kdb.model.names import (
    Namespace,
    escape,
    in_namespace,
    is_below_or_same,
    namespace,
    unescape,
)
from kdbd.core.commit import Commit
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declared
from kdbd.store.journal import BackendRow
from kdbd.store.locations import DEFAULT_FILE, ELEKTRA_FILE, Locations
from kdbd.store.persist import digest_of
from kdbd.stores import ELEKTRA
from simulated.disk import File, SimulatedDisk

__all__ = ["Key", "Keys", "Model", "Place", "State", "Table", "merged", "same", "same_keys"]

Keys = dict[bytes, Content]
Key = tuple[str, bytes]
"""A key as readers see it: of dir:/ with its directory, else with none."""

CONCEALED = (unescape("system:/elektra/version"), unescape("system:/elektra/modules"))
# Past states that late answers are compared with.
KEPT_STATES = 60
FAMILY = (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM)


class Place(NamedTuple):
    """Which file: its mountpoint, the directory of a dir:/, and its path."""

    mountpoint: bytes
    directory: str
    path: str


class Table:
    """A file's keys, with their states at past revisions."""

    def __init__(self) -> None:
        self.keys: Keys = {}
        self.past: list[tuple[int, Keys]] = [(0, {})]

    def keep(self, revision: int) -> None:
        self.past.append((revision, dict(self.keys)))


@dataclass
class Told:
    """What must be signalled of a commit: names by kind, and what stands for them."""

    names: tuple[list[str], list[str], list[str]]
    loud: tuple[list[str], list[str], list[str]]
    mountpoints: list[str]

    def without_directories(self) -> list[tuple[str, str]]:
        """Answer what the root object tells: kinds and names, but nothing of dir:/."""
        kinds = ("added", "changed", "removed")
        return [
            (kind, name)
            for kind, names in zip(kinds, self.names, strict=True)
            for name in names
            if not name.startswith("dir:")
        ]


def same(one: Content | None, other: Content | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_as(other)


def same_keys(one: Mapping[bytes, Content], other: Mapping[bytes, Content]) -> bool:
    return one.keys() == other.keys() and all(one[name].same_as(other[name]) for name in one)


def merged(file: Keys, base: Keys, ours: Keys) -> dict[bytes, Content | None]:
    """Answer what a merge changes: what the file changed, where it is not so already."""
    changes: dict[bytes, Content | None] = {}
    for name in file.keys() | base.keys() | ours.keys():
        theirs = file.get(name)
        if not same(theirs, base.get(name)) and not same(theirs, ours.get(name)):
            changes[name] = theirs
    return changes


@dataclass(frozen=True)
class State:
    """What readers see at a revision, and when each key changed last, also those that went."""

    keys: dict[Key, Content]
    changed: dict[Key, int]
    directories: frozenset[str]

    def view(self, directory: str) -> Keys:
        """Answer what is seen from a directory; without one, of no dir:/ anything."""
        return {n: content for (where, n), content in self.keys.items() if where in ("", directory)}

    def since(self, directory: str, name: bytes) -> int:
        """Answer when a key changed last."""
        where = directory if namespace(name) is Namespace.DIR else ""
        return self.changed.get((where, name), 0)


class Model:
    """The state after the last durable transaction, and what was seen of it before."""

    def __init__(self, locations: Locations, disk: SimulatedDisk) -> None:
        self._locations = locations
        self._disk = disk
        self.revision = 0
        self.remounted = 0
        self.tables: dict[Place, Table] = {}
        self.directories: frozenset[str] = frozenset()
        self.specs: list[MountSpec] = []
        self.roots: dict[tuple[Namespace, str], dict[bytes, Place]] = {}
        self.told: dict[int, Told] = {}
        self.last_change: dict[Key, int] = {}
        self._mount([])
        self.states: dict[int, State] = {}
        self.keep()

    # What is mounted

    def _mount(self, specs: list[MountSpec]) -> list[Place]:
        """Mount; answer the places that are new."""
        before = {place for mounts in self.roots.values() for place in mounts.values()}
        self.specs = specs
        self.roots = {}
        for which in FAMILY:
            self.roots[which, ""] = self._mounts(which, "")
        for directory in sorted(self.directories):
            self.roots[Namespace.DIR, directory] = self._mounts(Namespace.DIR, directory)
        after = {place for mounts in self.roots.values() for place in mounts.values()}
        for place in after:
            self.tables.setdefault(place, Table())
        for place in before - after:
            # What lies in a directory that was closed is followed on when that opens again.
            open_now = place.directory in self.directories | {""}
            if open_now and not self._is_default(place):
                self._require_whole(place)
                del self.tables[place]
                self._disk.forget(place.path)
        return sorted(place for place in after - before if not self._is_default(place))

    def _is_default(self, place: Place) -> bool:
        """Tell whether a file is followed also while another is mounted in its place."""
        which = Namespace(place.mountpoint[0])
        return place.path == self._locations.file(which, DEFAULT_FILE, place.directory)

    def _require_whole(self, place: Place) -> None:
        """Check that a file holds all that was set, before nobody follows it any more."""
        file = self._disk.at(place.path)
        if place.directory in self.directories | {""} and not file.is_news:
            held = file.keys(place.mountpoint)
            assert same_keys(held, self.tables[place].keys), f"{place.path} holds only {held}"

    def _mounts(self, which: Namespace, directory: str) -> dict[bytes, Place]:
        def place(mountpoint: bytes, path: str) -> Place:
            return Place(mountpoint, directory, self._locations.file(which, path, directory))

        root = bytes([which])
        mounts = {root: place(root, DEFAULT_FILE)}
        if which is Namespace.SYSTEM:
            mounts[ELEKTRA] = place(ELEKTRA, ELEKTRA_FILE)
        for spec in self.specs:
            if which in spec.namespaces:
                name = in_namespace(spec.unescaped, which)
                mounts[name] = place(name, spec.path)
        return mounts

    def open(self, directories: frozenset[str]) -> None:
        """Just these directories are shown by handles now."""
        if directories == self.directories:
            return
        before = self.directories
        kept = {
            place: table
            for place, table in self.tables.items()
            if place.directory not in directories
        }
        self.directories = directories
        self._mount(self.specs)
        self.tables.update(kept)
        shown = self.visible()
        for state in self.states.values():
            # While a directory was not open, nothing changed in it.
            for key, content in shown.items():
                if key[0] in directories - before and key[0] not in state.directories:
                    state.keys[key] = content
        self.keep()

    def place(self, directory: str, name: bytes) -> Place:
        """Answer where a key belongs."""
        which = namespace(name)
        mounts = self.roots[which, directory if which is Namespace.DIR else ""]
        return mounts[max(each for each in mounts if is_below_or_same(name, each))]

    def mounted(self) -> list[Place]:
        return [place for mounts in self.roots.values() for place in mounts.values()]

    def place_of(self, path: str) -> Place | None:
        """Answer what is mounted from a path, or was the last."""
        found = [place for place in self.mounted() if place.path == path]
        found += [place for place in self.tables if place.path == path]
        return found[0] if found else None

    # What is seen

    def visible(self) -> dict[Key, Content]:
        """Answer every key that some view shows."""
        shown: dict[Key, Content] = {}
        for (_, directory), mounts in self.roots.items():
            for place in mounts.values():
                for name, content in self.tables[place].keys.items():
                    if self.place(directory, name) == place:
                        shown[directory, name] = content
        return shown

    def keep(self) -> None:
        """Remember the present state."""
        self.states[self.revision] = State(self.visible(), dict(self.last_change), self.directories)
        self.states.pop(self.revision - KEPT_STATES, None)

    # What becomes durable

    def durable(
        self,
        commits: Sequence[Commit],
        rows: Sequence[BackendRow],
        asked: Callable[[Commit], dict[Key, Content | None]],
    ) -> None:
        """Check a transaction that returned, and make it the state.

        ``asked`` answers what the commit's request comes to on the state before it.
        """
        for commit in commits:
            assert commit.revision == self.revision + 1, "revisions grow by one"
            if commit.origin == "file":
                (row,) = [row for row in rows if row.identity == self._merging(commit, rows)]
                place = Place(row.mountpoint, row.directory, row.path)
                self._apply(commit, self._merge(commit, row, place), place)
            else:
                self._apply(commit, asked(commit), None)
        for row in rows:
            self._note(row)

    def _merging(self, commit: Commit, rows: Sequence[BackendRow]) -> int:
        identities = {row.identity for row in rows}
        (merging,) = {c.backend.identity for c in commit.changes if c.stored} & identities
        return merging

    def _merge(self, commit: Commit, row: BackendRow, place: Place) -> dict[Key, Content | None]:
        file = self._disk.last_read[row.path]
        assert digest_of([] if file.data is None else [file.data]) == row.digest
        ours = self.tables[place].keys
        got = {c.name: c.new for c in commit.changes if c.stored}
        keys = file.keys(place.mountpoint)
        for base in file.bases(place.mountpoint):
            wanted = merged(keys, base, ours)
            if wanted.keys() == got.keys() and all(same(wanted[n], got[n]) for n in wanted):
                file.seen = file.merged = True
                return {(place.directory, name): new for name, new in wanted.items()}
        raise AssertionError(
            f"{row.path} is merged wrongly: {_short(got)} instead of"
            f" {[_short(merged(keys, base, ours)) for base in file.bases(place.mountpoint)]};"
            f" it holds {_short(keys)}, the state is {_short(ours)}"
        )

    def _note(self, row: BackendRow) -> None:
        file = self._disk.at(row.path)
        if file.seen and digest_of([] if file.data is None else [file.data]) == row.digest:
            file.merged = True

    def _apply(
        self, commit: Commit, own: Mapping[Key, Content | None], place: Place | None
    ) -> None:
        """Make a commit's own changes, those of a merge at its place, and what follows of them."""
        before = self.visible()
        revision = self.revision = commit.revision
        if any(is_below_or_same(name, MOUNTPOINTS) for _, name in own):
            self._remount(commit, before, own)
        for (directory, name), new in own.items():
            keys = self.tables[place or self.place(directory, name)].keys
            if new is None:
                keys.pop(name, None)
            else:
                keys[name] = new._replace(revision=revision)
        after = self.visible()
        for key, content in after.items():
            was = before.get(key)
            if same(was, content):
                if was is not None and key not in own:
                    # What a mount shows as before, keeps its revision.
                    self._stamp(key, was.revision)
            else:
                self._stamp(key, revision)
        after = self.visible()
        for table in self.tables.values():
            table.keep(revision)
        self._compare(commit, before, after)
        self.keep()

    def _stamp(self, key: Key, revision: int) -> None:
        directory, name = key
        keys = self.tables[self.place(directory, name)].keys
        keys[name] = keys[name]._replace(revision=revision)

    def _remount(
        self, commit: Commit, before: Mapping[Key, Content], own: Mapping[Key, Content | None]
    ) -> None:
        declarations = {name: content for (_, name), content in before.items()}
        for (_, name), new in own.items():
            declarations.pop(name, None)
            if new is not None:
                declarations[name] = new
        inside = sorted((n, c) for n, c in declarations.items() if is_below_or_same(n, MOUNTPOINTS))
        assert commit.structure is not None
        self.remounted = commit.revision
        damaged = {
            backend.mountpoint
            for backend in commit.structure.mounted
            if backend.damage is not None and commit.origin == "file"
        }
        for place in self._mount(declared(inside)[0]):
            keys: Keys = {}
            if place.mountpoint not in damaged:
                file = self._disk.last_read[place.path]
                keys = file.keys(place.mountpoint)
                file.seen = file.merged = True
            self.tables[place].keys = {
                name: content._replace(revision=commit.revision) for name, content in keys.items()
            }

    def _compare(
        self,
        commit: Commit,
        before: Mapping[Key, Content],
        after: Mapping[Key, Content],
    ) -> None:
        """Compare what changed for readers with what the commit tells of it."""
        expected = {
            key: (before.get(key), after.get(key))
            for key in before.keys() | after.keys()
            if not same(before.get(key), after.get(key))
        }
        told = {}
        for change in commit.changes:
            if change.announced:
                key = (change.backend.directory, change.name)
                assert key not in told, f"{key} is told twice"
                told[key] = (change.old, change.new)
        assert told.keys() == expected.keys(), (
            f"revision {commit.revision} tells of {_names(told.keys() - expected.keys())} too much,"
            f" of {_names(expected.keys() - told.keys())} nothing"
        )
        for key, (old, new) in expected.items():
            assert same(told[key][0], old), f"{key} was {old}, not {told[key][0]}"
            assert same(told[key][1], new), f"{key} becomes {new}, not {told[key][1]}"
            self.last_change[key] = commit.revision
        self.told[commit.revision] = self._told(expected)

    def _told(self, changes: Mapping[Key, tuple[Content | None, Content | None]]) -> Told:
        names: tuple[list[str], list[str], list[str]] = ([], [], [])
        loud: tuple[list[str], list[str], list[str]] = ([], [], [])
        once: set[bytes] = set()
        quiet = {
            in_namespace(spec.unescaped, which)
            for spec in self.specs
            if spec.announce_once
            for which in spec.namespaces
        }
        for (directory, name), (old, new) in sorted(changes.items(), key=lambda item: item[0][1]):
            kind = 0 if old is None else 2 if new is None else 1
            names[kind].append(escape(name))
            mountpoint = self.place(directory, name).mountpoint
            if mountpoint in quiet:
                once.add(mountpoint)
            else:
                loud[kind].append(escape(name))
        return Told(names, loud, [escape(mountpoint) for mountpoint in sorted(once)])

    # What files hold

    def check_write(self, path: str, before: File, after: File) -> None:
        """Check a file that the service puts in the place of another."""
        place = self.place_of(path)
        assert place is not None, f"{path} belongs to nothing"
        assert not before.is_news, f"{path} was edited, and is overwritten unseen"
        assert not before.damaged(place.mountpoint), f"{path} is damaged, and is overwritten"
        keys = after.keys(place.mountpoint)
        assert any(same_keys(keys, past) for _, past in self.tables[place].past), (
            f"{path} gets {_short(keys)}, which was never the state:"
            f" {_short(self.tables[place].keys)}"
        )

    def check_seen(self, place: Place, file: File) -> None:
        """Check that the service may take an edited file for known without a commit."""
        table = self.tables[place]
        keys = file.keys(place.mountpoint)
        assert any(
            not merged(keys, base, past)
            for base in file.bases(place.mountpoint)
            for _, past in table.past
        ), f"{place.path} was edited, and that is not taken in"
        file.seen = True


def _short(keys: Mapping[bytes, Content | None]) -> dict[str, str]:
    return {
        escape(name): "gone" if content is None else f"{content.value!r:.20}{dict(content.meta)}"
        for name, content in sorted(keys.items())
    }


def _names(keys: Iterable[Key]) -> list[str]:
    return sorted(directory + escape(name) for directory, name in keys)
