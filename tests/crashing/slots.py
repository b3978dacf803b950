"""The load: slots, each with keys of its own and at most one operation on its way.

So after a crash the keys of a slot are as after its last acknowledged operation, or as after the
one that was on its way, and nothing in between.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crashing.operations import Operation, Seat, Slot, Steps, Stored
from crashing.peer import Request
from kdb.formats import dump
from kdb.model.names import escape, unescape
from kdb.protocol import HANDLE_INTERFACE
from kdb.wire import pack_changes
from kdbd.core.mounts import MountSpec, declare

__all__ = ["editing_slots", "mounting_slots", "slots"]


def _set_string(name: str, value: str, path: str | None = None) -> Request:
    request = Request("SetString", "ss", (name, value))
    return request if path is None else request._replace(path=path)


@dataclass(frozen=True, slots=True)
class _One(Steps):
    """SetString of one key."""

    name: str

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        request = _set_string(self.name, token, seat.handle)
        return Operation(request, {self.name: Stored(token)})


@dataclass(frozen=True, slots=True)
class _Meta(Steps):
    """SetMeta and RemoveMeta of one key."""

    name: str

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        before = slot.state.get(self.name, Stored(""))
        if before.metadata and len(token) % 2:
            request = Request("RemoveMeta", "ss", (self.name, "note"))
            return Operation(request, {self.name: before._replace(metadata=())})
        request = Request("SetMeta", "sss", (self.name, "note", token))
        return Operation(request, {self.name: before._replace(metadata=(("note", token),))})


@dataclass(frozen=True, slots=True)
class _Wide(Steps):
    """Apply over all namespaces and mountpoints: most keys are put, some removed."""

    names: tuple[str, ...]
    chance: random.Random

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        after: dict[str, Stored | None] = {}
        for name in self.names:
            if name in slot.state and self.chance.random() < 0.25:
                after[name] = None
            else:
                after[name] = Stored(f"{token} {name}", (("from", token),))
        put = [
            (name, stored.value.encode(), dict(stored.metadata))
            for name, stored in after.items()
            if stored is not None
        ]
        removed = [name for name, stored in after.items() if stored is None]
        body: tuple[Any, ...] = (put, removed, 0, {"reason": ("s", "load")})
        return Operation(Request("Apply", "a(saya{ss})asta{sv}", body, seat.handle), after)


@dataclass(frozen=True, slots=True)
class _Set(Steps):
    """A handle's set of the parent ``/``, with the revisions that it replaces."""

    names: tuple[str, ...]
    chance: random.Random

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        after: dict[str, Stored | None] = {}
        for name in self.names:
            if name in slot.state and self.chance.random() < 0.25:
                after[name] = None
            else:
                after[name] = Stored(token)
        changes = [
            (
                unescape(name),
                None if stored is None else stored.content,
                slot.revisions.get(name, 0),
            )
            for name, stored in after.items()
        ]
        body: tuple[Any, ...] = ("/", pack_changes(changes), [])
        return Operation(Request("Set", "sayah", body, seat.handle, HANDLE_INTERFACE), after)


@dataclass(frozen=True, slots=True)
class _Brief(Steps):
    """The only key of a file comes and goes, and so does the file."""

    name: str

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        if self.name in slot.state:
            request = Request("Remove", "sb", (self.name, False), seat.handle)
            return Operation(request, {self.name: None}, revision=1)
        return Operation(_set_string(self.name, token, seat.handle), {self.name: Stored(token)})


@dataclass(slots=True)
class _Synced(Steps):
    """As another, with a Sync after each operation."""

    steps: Steps
    sync: bool = False

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        sync, self.sync = self.sync, not self.sync
        if sync:
            return Operation(Request("Sync"), {}, revision=None)
        return self.steps.next(slot, seat, token)


@dataclass(slots=True)
class _Mounting(Steps):
    """Mount a file that is not there, in a directory that is not; put; unmount; mount again."""

    mountpoint: str
    count: int = 0
    file: str = ""
    held: dict[str, Stored] = field(default_factory=dict)

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        key = f"{self.mountpoint}/key"
        declared = {name: None for name in slot.state if name.startswith("system:/")}
        if not declared:
            return self._mount()
        shown = {name: each for name, each in slot.state.items() if name not in declared}
        if key in shown and len(token) % 3:
            self.held = shown
            request = Request("Unmount", "s", (self.mountpoint,))
            return Operation(request, dict.fromkeys(slot.state))
        return Operation(_set_string(key, token), {key: Stored(token)})

    def _mount(self) -> Operation:
        self.count += 1
        # What was unmounted is mounted once more; then comes a new file.
        if self.count % 2 or not self.file:
            self.file, self.held = f"fresh/{self.count}/keys.ecf", {}
        spec = MountSpec(self.mountpoint, self.file)
        after: dict[str, Stored | None] = {
            escape(name): Stored(str(content.value)) for name, content in declare(spec).items()
        }
        request = Request("Mount", "ssa{ss}", (self.mountpoint, self.file, {}))
        return Operation(request, {**after, **self.held})


@dataclass(slots=True)
class _Editing(Steps):
    """Somebody replaces a mountpoint's file, and kdbd is asked for what is in it."""

    mountpoint: str
    path: Path
    edit: bool = True

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation:
        self.edit = not self.edit
        if self.edit:
            name = f"{self.mountpoint}/served"
            return Operation(_set_string(name, token), {name: Stored(token)})
        name = f"{self.mountpoint}/edited"
        keys = {**slot.state, name: Stored(token)}
        entries = sorted((unescape(each), stored.content) for each, stored in keys.items())
        draft = self.path.with_name("draft")
        draft.write_bytes(b"".join(dump.write(unescape(self.mountpoint), entries)))
        draft.rename(self.path)
        request = Request("GetString", "s", (name,))
        return Operation(request, {name: Stored(token)}, revision=None, certain=True)


def slots(chance: random.Random) -> Iterator[Slot]:
    """The load on every namespace and on mountpoints, by two connections.

    Mounted are ``user:/mount``, ``system:/mount``, ``user:/once`` (announce=once), ``user:/brief``.
    """
    roots = ("user:/", "system:/", "spec:/", "dir:/", "user:/mount/", "system:/mount/")
    for each in ("first", "second"):
        names = tuple(f"{root}wide/{each}" for root in (*roots, "user:/once/"))
        yield Slot(0, _Wide(names, chance))
    for root in ("user:/", "system:/", "spec:/", "dir:/", "user:/mount/"):
        yield Slot(0, _One(f"{root}one"))
    yield Slot(1, _Meta("user:/described"))
    yield Slot(0, _Set(tuple(f"{root}set" for root in roots), chance))
    yield Slot(1, _Brief("user:/brief/key"))
    yield Slot(1, _Synced(_Brief("dir:/brief")))


def mounting_slots() -> Iterator[Slot]:
    """What mounts and unmounts ``user:/fresh``."""
    yield Slot(1, _Mounting("user:/fresh"))


def editing_slots(path: Path) -> Iterator[Slot]:
    """What edits the file of ``user:/edited``."""
    yield Slot(1, _Editing("user:/edited", path))
