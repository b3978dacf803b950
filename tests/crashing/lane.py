"""One kdbd under load that is killed again and again, and looked at each time it is back.

What is looked at, of everything since the last look:

- **state**: each slot's keys are as after its last acknowledged operation or, all of them, as
  after the one on its way; with the revision of that commit.
- **history**: ``Changes`` has each of these commits, whole, as the revision that was acknowledged;
  no other, and no gap.
- **announcements**: the subscriber, who stayed on the bus, was told each of them, whole.
- **files**: after ``Sync`` each file holds just the keys that its mountpoint shows, and nothing
  else lies beside it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from daemon_process import DaemonProcess

from crashing.announcements import ChangeSet, Subscriber
from crashing.files import check_files, paths
from crashing.operations import Slot, Stored, check, keys_of
from crashing.peer import Answer, Peer, Request, wait_for_any
from kdb.protocol import HANDLE_INTERFACE

__all__ = ["Died", "Lane"]

MOUNTS = {
    "user:/mount": ("mount.ecf", {}),
    "system:/mount": ("mount.ecf", {}),
    "user:/once": ("once.ecf", {"announce": "once"}),
    "user:/brief": ("brief.ecf", {}),
    "user:/edited": ("edited.ecf", {}),
}
# More than any failpoint needs that is reached at all.
_MAX_OPERATIONS = 5_000


class Died(Exception):
    """kdbd is gone."""


@dataclass(slots=True)
class Seat:
    """A connection, the directory of its handle, and the handle."""

    peer: Peer
    directory: Path
    handle: str = ""


class Lane:
    """The daemon, the connections that load it, and what must be there."""

    def __init__(self, daemon: DaemonProcess, slots: Iterable[Slot], chance: random.Random) -> None:
        self.daemon = daemon
        self.slots = list(slots)
        self.looked = 0
        self.acknowledged = 0
        self._chance = chance
        self._tokens = 0
        address = daemon.bus.address
        self.subscriber = Subscriber(
            address, quiet=lambda name: "user:/once" if name.startswith("user:/once/") else ""
        )
        self._seats = [Seat(Peer(address), daemon.work / each) for each in ("one", "two")]
        for seat in self._seats:
            seat.directory.mkdir()
        self._in_flight: dict[tuple[int, int], Slot] = {}
        # What was committed since the last look: by revision, or unknown as which.
        self._commits: dict[int, ChangeSet] = {}
        self._unnumbered: list[tuple[Slot, ChangeSet]] = []
        self._revision = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.subscriber.close()
        for seat in self._seats:
            seat.peer.close()
        if self.daemon.process is not None:
            self.daemon.kill()
        if error is not None:
            # pytest shows it with what failed.
            for event in self.daemon.events:
                sys.stdout.write(f"{event.pop('exception', '')}\n{event}\n")

    def prepare(self) -> None:
        """Mount what the load needs, on a running kdbd."""
        for mountpoint, (path, options) in MOUNTS.items():
            self._call(Request("Mount", "ssa{ss}", (mountpoint, path, options)))
        keys, _, self._revision = self._call(Request("GetAll", "ssu", ("/", "", 0)))
        found = keys_of(keys)
        fixed = Slot(0, _Nothing())
        fixed.state = {name: stored for name, (stored, _) in found.items()}
        fixed.revisions = {name: revision for name, (_, revision) in found.items()}
        self._fixed = fixed
        self._open()

    # Looking

    def look(self) -> None:
        """Check everything since the last look; raise Died where kdbd dies meanwhile."""
        self._open()
        keys, _, revision = self._call(Request("GetAll", "ssu", ("/", "", 0), self._handle(0)))
        more, _, _ = self._call(Request("GetAll", "ssu", ("dir:/", "", 0), self._handle(1)))
        found = keys_of(keys) | keys_of(more)
        self._check_history(revision, self._settle(found))
        self._check_state(found)
        for each in range(self._revision + 1, revision + 1):
            if not self.subscriber.wait_for(each):
                raise Died
            assert self.subscriber.announced(each) == self._commits[each], f"revision {each}"
        self._revision = revision
        self._commits.clear()
        self._call(Request("Sync"))
        self._check_files()
        self.looked += 1

    def _settle(self, found: dict[str, tuple[Stored, int]]) -> list[Slot]:
        """Answer the slots whose operation on its way was done; the others' was not."""
        done = []
        for slot in self.slots:
            if slot.pending is None or not slot.changes():
                slot.undone()
                continue
            shown = {
                name: found[name][0]
                for name in slot.state.keys() | slot.pending.after.keys()
                if name in found
            }
            whole = shown == slot.after()
            if not slot.pending.certain and not whole:
                assert shown == slot.state, f"half there: {slot.pending}, {shown}"
                slot.undone()
                continue
            assert whole, f"not there: {slot.pending}, {shown}"
            done.append(slot)
        return done

    def _check_history(self, revision: int, done: list[Slot]) -> None:
        changes: list[tuple[int, str, str]] = []
        # The second connection's dir:/ is another directory's.
        for parent, seat in zip(("/", "dir:/"), self._seats, strict=True):
            request = Request("Changes", "tsu", (self._revision, parent, 0), seat.handle)
            found, more, told = self._call(request)
            assert (more, told) == (False, revision)
            changes += found
        history: dict[int, set[tuple[str, str]]] = {}
        for each, kind, name in changes:
            change = (kind, name)
            assert change not in history.get(each, ()), f"revision {each} has {change} twice"
            history.setdefault(each, set()).add(change)
        assert sorted(history) == list(range(self._revision + 1, revision + 1)), "a gap"

        def number_of(changed: ChangeSet) -> int:
            numbers = [number for number, each in history.items() if each == changed]
            number = min((each for each in numbers if each not in self._commits), default=0)
            assert number, f"{sorted(changed)} is in no commit of {history}"
            self._commits[number] = changed
            return number

        for slot, changed in self._unnumbered:
            slot.revisions.update(dict.fromkeys((name for _, name in changed), number_of(changed)))
        # They are numbered now, whatever becomes of this look.
        self._unnumbered.clear()
        for slot in done:
            slot.done(number_of(slot.changes()))
        assert {number: frozenset(each) for number, each in history.items()} == self._commits

    def _check_state(self, found: dict[str, tuple[Stored, int]]) -> None:
        expected = {
            name: (stored, slot.revisions[name])
            for slot in (*self.slots, self._fixed)
            for name, stored in slot.state.items()
        }
        assert found == expected

    def _check_files(self) -> None:
        mounts, *_ = self._call(Request("ListMounts"))
        keys = {
            name: stored
            for slot in (*self.slots, self._fixed)
            for name, stored in slot.state.items()
        }
        first, second = (seat.directory for seat in self._seats)
        files = paths(self.daemon, mounts, first)
        check_files(files, keys, {"dir:/brief": second / ".dir/default.ecf"})
        roots = (self.daemon.user, self.daemon.system, self.daemon.spec, self.daemon.work)
        leftovers = [path for root in roots for path in root.rglob("*.tmp")]
        assert leftovers == []

    # Loading

    def load(self, goes_on: Callable[[], bool], deadline_s: float | None = None) -> None:
        """Keep every slot busy until kdbd dies, or the deadline; then raise Died.

        ``goes_on`` is asked before each operation; where it is false no more are begun, and the
        load ends when all that are on their way are answered.
        """
        peers = [seat.peer for seat in self._seats]
        order = self._chance.sample(self.slots, len(self.slots))
        begun = 0
        for slot in order:
            if slot.pending is None:
                self._begin(slot)
        died = False
        while self._in_flight:
            if not wait_for_any([*peers], deadline_s):
                return
            for number, seat in enumerate(self._seats):
                for serial, answer in seat.peer.answers().items():
                    slot = self._in_flight.pop((number, serial))
                    if answer.lost or answer.undelivered:
                        died = True
                        if answer.undelivered and not _is_certain(slot):
                            slot.undone()
                        continue
                    self._acknowledge(slot, answer)
                    if not died and goes_on():
                        begun += 1
                        assert begun < _MAX_OPERATIONS, "the failpoint is never reached"
                        self._begin(slot)
            if deadline_s is not None and monotonic() >= deadline_s:
                return
        if died:
            raise Died

    def lost(self) -> None:
        """Take in that kdbd was killed: what was answered before, and what never is."""
        peers = [seat.peer for seat in self._seats]
        while self._in_flight:
            wait_for_any(peers, None)
            for number, seat in enumerate(self._seats):
                for serial, answer in seat.peer.answers().items():
                    slot = self._in_flight.pop((number, serial))
                    if answer.undelivered and not _is_certain(slot):
                        slot.undone()
                    elif not (answer.lost or answer.undelivered):
                        self._acknowledge(slot, answer)

    def unannounced(self) -> set[int]:
        """Answer the acknowledged commits that a dead kdbd had not announced."""
        self.subscriber.wait_for_death()
        return {each for each in self._commits if self.subscriber.announced(each) is None}

    def _begin(self, slot: Slot) -> None:
        self._tokens += 1
        token = str(self._tokens)
        if self._chance.random() < 0.05:
            # Over several pages of the journal.
            token += "." * self._chance.randrange(20_000)
        seat = self._seats[slot.seat]
        serial = seat.peer.send(slot.begin(seat, token))
        self._in_flight[slot.seat, serial] = slot

    def _acknowledge(self, slot: Slot, answer: Answer) -> None:
        operation = slot.pending
        assert operation is not None
        check(operation, answer)
        self.acknowledged += 1
        changes = slot.changes()
        if not changes:
            slot.undone()
        elif operation.revision is None:
            self._unnumbered.append((slot, changes))
            slot.done(0)
        else:
            revision = answer.body[operation.revision]
            assert revision not in self._commits, f"revision {revision} was given twice"
            self._commits[revision] = changes
            slot.done(revision)

    # Calls

    def _open(self) -> None:
        for number, seat in enumerate(self._seats):
            contract = {"directory": ("s", str(seat.directory))}
            (seat.handle,) = self._call(Request("Open", "a{sv}", (contract,)), number)
            get = Request("Get", "st", ("/", 0), seat.handle, HANDLE_INTERFACE)
            self._call(get, number)

    def _handle(self, number: int) -> str:
        return self._seats[number].handle

    def _call(self, request: Request, number: int | None = None) -> tuple[Any, ...]:
        if number is None:
            number = next(
                (n for n, seat in enumerate(self._seats) if seat.handle == request.path), 0
            )
        answer = self._seats[number].peer.call(request)
        if answer.lost or answer.undelivered:
            raise Died
        assert not answer.error, f"{request}: {answer}"
        return answer.body


def _is_certain(slot: Slot) -> bool:
    return slot.pending is not None and slot.pending.certain


class _Nothing:
    """The steps of keys that stay as they are."""

    def next(self, slot: Slot, seat: object, token: str) -> Any:
        raise AssertionError("these keys stay")
