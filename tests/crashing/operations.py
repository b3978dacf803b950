"""What one operation of the load does to its keys, and what a slot's keys are by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from crashing.announcements import ChangeSet
from crashing.peer import Answer, Request
from kdb.model.content import Content, meta

__all__ = ["Operation", "Seat", "Slot", "Steps", "Stored", "check", "keys_of"]


class Stored(NamedTuple):
    """A key's value and metadata."""

    value: str
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> Content:
        """The same as kdb has it."""
        return Content(self.value, meta(dict(self.metadata)))


@dataclass(frozen=True, slots=True)
class Operation:
    """A call, and the keys that it names as they are once it is done (None: removed).

    ``revision`` is where in the reply the commit's revision is, None where it does not tell it.
    A ``certain`` operation is done even if kdbd dies over the call.
    """

    request: Request
    after: Mapping[str, Stored | None]
    revision: int | None = 0
    certain: bool = False


class Seat(Protocol):
    """What a slot needs to know of the connection that it calls by."""

    handle: str
    directory: Path


@dataclass(slots=True, eq=False)
class Slot:
    """Keys, their present contents and revisions, and the operation on its way, if there is one.

    ``seat`` numbers the connection that it uses.
    """

    seat: int
    steps: Steps
    state: dict[str, Stored] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    pending: Operation | None = None

    def begin(self, seat: Seat, token: str) -> Request:
        """Begin the next operation."""
        assert self.pending is None
        self.pending = self.steps.next(self, seat, token)
        return self.pending.request

    def changes(self) -> ChangeSet:
        """Answer what the pending operation changes."""
        assert self.pending is not None
        found = set()
        for name, after in self.pending.after.items():
            before = self.state.get(name)
            if before != after:
                kind = "added" if before is None else "removed" if after is None else "changed"
                found.add((kind, name))
        return frozenset(found)

    def after(self) -> dict[str, Stored]:
        """Answer the keys as after the pending operation."""
        assert self.pending is not None
        state = {**self.state, **self.pending.after}
        return {name: stored for name, stored in state.items() if stored is not None}

    def done(self, revision: int) -> None:
        """Take in that the pending operation is done, as this revision."""
        assert self.pending is not None
        changed = {name for _, name in self.changes()}
        self.state = self.after()
        self.revisions = {
            name: revision if name in changed else self.revisions[name] for name in self.state
        }
        self.pending = None

    def undone(self) -> None:
        """Take in that the pending operation is not done."""
        self.pending = None


class Steps(Protocol):
    """What a slot does, one operation after the other."""

    def next(self, slot: Slot, seat: Seat, token: str) -> Operation: ...


def check(operation: Operation, answer: Answer) -> None:
    """Check an acknowledgement, as far as it tells something."""
    assert not answer.error, f"{operation.request}: {answer}"
    if operation.request.member == "GetString":
        (stored,) = operation.after.values()
        assert stored is not None
        assert answer.body == (stored.value,), "an edit is not seen"


def keys_of(values: list[Any]) -> dict[str, tuple[Stored, int]]:
    """Answer what GetAll told: contents and revisions."""
    return {
        name: (Stored(bytes(value).decode(), tuple(sorted(metadata.items()))), revision)
        for name, value, metadata, revision in values
    }
