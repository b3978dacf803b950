"""What applications ask for, and what must come of it, told naively."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kdb import wire
from kdb.model.content import Content, make, meta
from kdb.model.lookup import lookup
from kdb.model.names import (
    PERSISTABLE,
    Namespace,
    escape,
    in_namespace,
    is_below_or_same,
    namespace,
    unescape,
)
from kdb.protocol import INTERFACE, OBJECT_PATH
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declare, declared, root_of
from simulated.bus import Answer
from simulated.model import CONCEALED, Keys, State, same

__all__ = ["MOUNTS", "Asked", "Expect", "Expected", "Requests", "Variant", "under"]

Changes = dict[bytes, Content | None]


class Variant(NamedTuple):
    signature: str
    value: Any


class Expected(NamedTuple):
    """What a request comes to: changes, else the answer of one that changes nothing, or an error.

    ``answer`` of one that changes something lacks the revision.
    """

    changes: Changes | None = None
    answer: tuple[Any, ...] = ()
    error: str = ""


Expect = Callable[[State], Expected]


@dataclass
class Asked:
    """A call on its way. ``expect`` is of calls that write, ``check`` of others."""

    sender: str
    member: str
    signature: str
    body: Sequence[Any]
    directory: str = ""
    path: str = OBJECT_PATH
    interface: str = INTERFACE
    parent: bytes = b""
    expect: Expect | None = None
    check: Callable[[Answer, int], None] | None = None
    # Filled in by the world.
    since: int = 0
    troubles: int = 0
    damages: int = 0
    unreadable: bool = False
    commits: list[int] = field(default_factory=list)
    told: tuple[Any, ...] = ()
    answer: Answer | None = None
    answered_at: int = 0


def under(keys: Keys, parent: bytes) -> Keys:
    """Answer what a read of a parent shows, in key order."""
    if namespace(parent) is Namespace.CASCADING:
        parents = [in_namespace(parent, each) for each in PERSISTABLE]
    else:
        parents = [parent]
    return {
        name: content
        for name, content in sorted(keys.items())
        for each in parents
        if is_below_or_same(name, each)
    }


def _effect(view: Keys, changes: Changes, unchanged: tuple[Any, ...], answer: Any = ()) -> Expected:
    """Leave out what changes nothing; where that is all, the answer is ``unchanged``.

    What is declared of mountpoints must be right afterwards.
    """
    real = {name: new for name, new in changes.items() if not same(view.get(name), new)}
    if any(is_below_or_same(name, MOUNTPOINTS) for name in real):
        after = {**under(view, MOUNTPOINTS), **real}
        left = sorted((name, content) for name, content in after.items() if content is not None)
        inside = ((name, content) for name, content in left if is_below_or_same(name, MOUNTPOINTS))
        errors = declared(inside)[1]
        if errors:
            return Expected(error=errors[0].dbus)
    return Expected(real, answer) if real else Expected(None, unchanged)


class Requests:
    """Makes requests at random. ``readonly`` namespaces cannot be written."""

    def __init__(self, chance: random.Random, readonly: frozenset[Namespace]) -> None:
        self._chance = chance
        self._readonly = readonly

    # Material

    def name(self, *, directory: bool, cascading: float = 0.1) -> str:
        chance = self._chance
        spaces = ["user", "user", "user", "system", "system", "spec"] + ["dir"] * (2 * directory)
        depth = chance.choice([0, 1, 1, 1, 2, 2, 2, 3])
        parts = [chance.choice("aabcmmn") for _ in range(depth)]
        space = "" if chance.random() < cascading else chance.choice(spaces) + ":"
        return f"{space}/{'/'.join(parts)}"

    def content(self) -> Content:
        chance = self._chance
        if chance.random() < 0.02:
            return make(chance.choice("xyz") * 300_000)
        metadata = {name: chance.choice("12") for name in ("m", "n") if chance.random() < 0.15}
        if chance.random() < 0.1:
            return make(chance.choice([b"", b"\xff\0"]), {**metadata, "binary": ""})
        return make(chance.choice(["", "0", "1", "2", "zwei\nZeilen"]), metadata)

    def _writable(self, name: bytes, directory: str) -> str:
        """Answer the error of a write to a key, or nothing."""
        which = namespace(name)
        if which not in PERSISTABLE or (which is Namespace.DIR and not directory):
            return "Interface"
        if any(is_below_or_same(name, each) for each in CONCEALED):
            return "Interface"
        return "AccessDenied" if which in self._readonly else ""

    def _target(self, view: Keys, name: bytes) -> bytes | None:
        if namespace(name) is not Namespace.CASCADING:
            return name
        found = lookup(name, view.get)
        return found.name if found is not None and namespace(found.name) in PERSISTABLE else None

    def _one(
        self, name: bytes, directory: str, make_new: Callable[[Content | None], Content | str]
    ) -> Expect:
        def expect(state: State) -> Expected:
            view = state.view(directory)
            target = self._target(view, name)
            if target is None:
                return Expected(error="Interface")
            refusal = self._writable(target, directory)
            if refusal:
                return Expected(error=refusal)
            old = view.get(target)
            new = make_new(old)
            if isinstance(new, str):
                return Expected(error=new)
            return _effect(view, {target: new}, (old.revision if old is not None else 0,))

        return expect

    # Writes of one key

    def set_string(self, sender: str, directory: str, path: str) -> Asked:
        name = self.name(directory=bool(directory))
        value = self._chance.choice(["", "0", "1", "2", "3"])
        return self.write_string(sender, directory, path, name, value)

    def write_string(self, sender: str, directory: str, path: str, name: str, value: str) -> Asked:
        def new(old: Content | None) -> Content:
            metadata = {} if old is None else dict(old.meta)
            metadata.pop("binary", None)
            return make(value, metadata)

        expect = self._one(unescape(name), directory, new)
        return Asked(sender, "SetString", "ss", [name, value], directory, path, expect=expect)

    def put(self, sender: str, directory: str, path: str) -> Asked:
        name, content = self.name(directory=bool(directory)), self.content()
        body = [name, _bytes(content), dict(content.meta)]
        expect = self._one(unescape(name), directory, lambda old: content)
        return Asked(sender, "Set", "saya{ss}", body, directory, path, expect=expect)

    def set_meta(self, sender: str, directory: str, path: str) -> Asked:
        name = self.name(directory=bool(directory))
        metadatum, value = self._chance.choice("mn"), self._chance.choice("12")

        def new(old: Content | None) -> Content:
            before = old if old is not None else Content("")
            return before._replace(meta=meta({**before.meta, metadatum: value}))

        expect = self._one(unescape(name), directory, new)
        body = [name, metadatum, value]
        return Asked(sender, "SetMeta", "sss", body, directory, path, expect=expect)

    def remove_meta(self, sender: str, directory: str, path: str) -> Asked:
        name = self.name(directory=bool(directory))
        metadatum = self._chance.choice("mn")

        def new(old: Content | None) -> Content | str:
            if old is None or metadatum not in old.meta:
                return "KeyNotFound"
            rest = {each: text for each, text in old.meta.items() if each != metadatum}
            return old._replace(meta=meta(rest))

        expect = self._one(unescape(name), directory, new)
        return Asked(sender, "RemoveMeta", "ss", [name, metadatum], directory, path, expect=expect)

    def remove(self, sender: str, directory: str, path: str) -> Asked:
        name, recursive = self.name(directory=bool(directory)), self._chance.random() < 0.4
        return self.removing(sender, name, recursive, directory=directory, path=path)

    def removing(
        self,
        sender: str,
        text: str,
        recursive: bool,
        *,
        directory: str = "",
        path: str = OBJECT_PATH,
    ) -> Asked:
        """Remove a key, or it and all below."""
        name = unescape(text)

        def expect(state: State) -> Expected:
            view = state.view(directory)
            if recursive:
                if namespace(name) is Namespace.DIR and not directory:
                    return Expected(error="Interface")
                targets = list(under(view, name))
            else:
                target = self._target(view, name)
                if target is None:
                    return Expected(error="KeyNotFound")
                refusal = self._writable(target, directory)
                if refusal:
                    return Expected(error=refusal)
                targets = [target] if target in view else []
            refusals = [self._writable(each, directory) for each in targets]
            if any(refusals):
                return Expected(error=next(filter(None, refusals)))
            if not targets:
                return Expected(error="KeyNotFound")
            return _effect(view, dict.fromkeys(targets), (), (len(targets),))

        return Asked(sender, "Remove", "sb", [text, recursive], directory, path, expect=expect)

    # Writes of many keys

    def apply(self, sender: str, directory: str, path: str, revision: int) -> Asked:
        chance = self._chance
        names = {
            self.name(directory=bool(directory), cascading=0) for _ in range(chance.randint(1, 4))
        }
        puts: list[list[Any]] = []
        removes: list[str] = []
        wanted: Changes = {}
        for name in sorted(names):
            if chance.random() < 0.3:
                removes.append(name)
                wanted[unescape(name)] = None
            else:
                content = self.content()
                puts.append([name, _bytes(content), dict(content.meta)])
                wanted[unescape(name)] = content
        if chance.random() < 0.1:
            spec = self.spec()
            for name_of_it, content in declare(spec).items():
                puts.append([escape(name_of_it), _bytes(content), {}])
                wanted[name_of_it] = content
        expected = chance.choice([0, 0, revision, max(0, revision - chance.randint(0, 8))])

        def expect(state: State) -> Expected:
            view = state.view(directory)
            for name in wanted:
                refusal = self._writable(name, directory)
                if refusal:
                    return Expected(error=refusal)
            changing = [name for name, new in wanted.items() if not same(view.get(name), new)]
            if expected and any(state.since(directory, name) > expected for name in changing):
                return Expected(error="ConflictingState")
            return _effect(view, wanted, (0,))

        body = [puts, removes, expected, {}]
        return Asked(sender, "Apply", "a(saya{ss})asta{sv}", body, directory, path, expect=expect)

    def crowd(self, sender: str) -> Asked:
        """Put or remove so many keys that it takes several slices of time."""
        names = [f"user:/{self._chance.choice('km')}/{number:03}" for number in range(300)]
        value = self._chance.choice("012")
        if self._chance.random() < 0.3:
            return self.removing(sender, names[0].rpartition("/")[0], True)
        return self.putting(sender, names, value)

    def putting(
        self,
        sender: str,
        names: Sequence[str],
        value: str,
        *,
        mountpoint: tuple[str, str] | None = None,
    ) -> Asked:
        """Put many keys, perhaps with the declaration of a mountpoint."""
        wanted: Changes = {unescape(name): make(value) for name in names}
        if mountpoint is not None:
            wanted.update(declare(MountSpec(*mountpoint)))

        def expect(state: State) -> Expected:
            return _effect(state.view(""), wanted, (0,))

        puts = [
            [escape(name), _bytes(content), {}]
            for name, content in wanted.items()
            if content is not None
        ]
        body = [puts, [], 0, {}]
        return Asked(sender, "Apply", "a(saya{ss})asta{sv}", body, expect=expect)

    def set_block(self, directory: str, block: bytes) -> Expect:
        """Answer what a handle's set with this block comes to."""
        entries = wire.unpack_changes(block)

        def expect(state: State) -> Expected:
            view = state.view(directory)
            changes: Changes = {}
            present: dict[bytes, int] = {}
            conflict = False
            for name, content, base in entries:
                refusal = self._writable(name, directory)
                if refusal:
                    return Expected(error=refusal)
                old = view.get(name)
                if same(old, content):
                    if old is not None:
                        present[name] = old.revision
                elif (0 if old is None else old.revision) != base:
                    conflict = True
                else:
                    changes[name] = content
            if conflict:
                return Expected(error="ConflictingState")
            told = wire.pack_present(present) if present else b""
            return _effect(view, changes, (0, told), (told,))

        return expect

    # Mountpoints

    def spec(self) -> MountSpec:
        mountpoint, path = self._chance.choice(MOUNTS)
        return MountSpec(mountpoint, path, self._chance.random() < 0.3)

    def mount(self, sender: str) -> Asked:
        spec = self.spec()
        body, expect = self.declaring(spec.mountpoint, spec.path, once=spec.announce_once)
        return Asked(sender, "Mount", "ssa{ss}", body, expect=expect)

    def declaring(
        self, mountpoint: str, path: str, *, once: bool = False
    ) -> tuple[list[Any], Expect]:
        """Answer the arguments of Mount, and what it comes to."""
        spec = MountSpec(mountpoint, path, once)

        def expect(state: State) -> Expected:
            view = state.view("")
            if under(view, root_of(mountpoint)):
                return Expected(error="Interface")
            return _effect(view, dict(declare(spec)), ())

        return [mountpoint, path, {"announce": "once"} if once else {}], expect

    def unmount(self, sender: str, mountpoint: str = "") -> Asked:
        mountpoint = mountpoint or self.spec().mountpoint

        def expect(state: State) -> Expected:
            targets = under(state.view(""), root_of(mountpoint))
            return Expected(dict.fromkeys(targets)) if targets else Expected(error="KeyNotFound")

        return Asked(sender, "Unmount", "s", [mountpoint], expect=expect)


MOUNTS = (
    ("user:/m", "m.ecf"),
    ("user:/m", "other.ecf"),
    ("user:/m/n", "n.ecf"),
    ("user:/", "all.ecf"),
    ("system:/m", "sub/m.ecf"),
    ("/c", "c.ecf"),
    ("dir:/m", "m.ecf"),
    ("spec:/a", "a.ecf"),
)


def _bytes(content: Content) -> bytes:
    value = content.value
    return value if isinstance(value, bytes) else value.encode()
