"""One kdbd and all around it, moved at random from one seed: the same each time.

Whatever happens is one step: a client asks something, a thread does its next call or its result
reaches the loop, the bus takes signals, time passes, somebody edits a file, the process crashes or
is restarted. Ports count the calls that pass, so that an error or the end of the process can be
had at each.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdb import base as bases
from kdb import wire
from kdb.formats import dump
from kdb.model import tracking
from kdb.model.content import Content
from kdb.model.errors import ERROR_PREFIX, ConflictError, KDBError, OutcomeUnknown
from kdb.model.names import (
    Namespace,
    end_of_subtree,
    escape,
    in_namespace,
    is_below_or_same,
    namespace,
    unescape,
)
from kdb.protocol import BUS_NAME, HANDLE_INTERFACE, INTERFACE, OBJECT_PATH
from kdb.requests import AwaitSignal, Call, CallFailed, Connect, Operation, Reply, Rest
from kdb.session import Session
from kdbd.app import App
from kdbd.configuration import Configuration
from kdbd.core.commit import Commit
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declare
from kdbd.garbage import Garbage
from kdbd.store.journal import BackendRow
from kdbd.store.locations import DEFAULT_FILE, ELEKTRA_FILE, Locations
from kdbd.store.persist import digest_of
from kdbd.stores import ELEKTRA
from simulated.bus import Answer, Signal, SimulatedBus
from simulated.clients import MOUNTS, Asked, Expect, Requests, Variant, under
from simulated.disk import File, SimulatedDisk
from simulated.journal import SimulatedJournal
from simulated.loop import VirtualLoop
from simulated.model import Key, Keys, Model, Place, same_keys
from simulated.workers import Crash, SteppedWorker

__all__ = ["Client", "World"]

_CALLS_UNTIL_STUCK = 20_000


class _Locations(Locations):
    """Roots of which some cannot be written."""

    readonly: frozenset[str] = frozenset()

    def is_writable(self, root: str) -> bool:
        return root not in self.readonly


class _Log:
    """Keeps what is logged; what must not be is a failure."""

    def __init__(self, fail: Callable[[str], None], note: Callable[[str], None]) -> None:
        self._fail = fail
        self._note_line = note

    def _note(self, event: str, **data: Any) -> None:
        if event != "commit":
            self._note_line(f"  log: {event} {data}")
        if event in ("request.failed", "batch.failed", "call.failed"):
            self._fail(f"{event}: {data}")

    debug = info = warning = error = exception = _note


class Client:
    """An application with a key set, on the real library's session."""

    def __init__(self, name: str, directory: str) -> None:
        self.name = name
        self.directory = directory
        self.session = Session({"directory": ("s", directory)} if directory else {})
        self.base: Any = None
        self.keys: Keys = {}
        # After a conflict it must get again; after a restart that showed damage too.
        self.refused: set[bytes] = set()
        self.unread = False
        self._operation: Operation[Any] | None = None
        self.asked: Asked | None = None
        self.done: Callable[[Any], None] | None = None
        self.result: Any = None
        self.expect: Expect | None = None
        self.waits = False
        self.asking = ""

    @property
    def busy(self) -> bool:
        return self._operation is not None

    def start(self, operation: Operation[Any], done: Callable[[Any], None]) -> None:
        self._operation, self.done, self.result = operation, done, None

    def resume(self, outcome: Reply | None, failure: Exception | None) -> Any:
        """Go on; answer the next request, or None at the end."""
        assert self._operation is not None
        try:
            if failure is not None:
                return self._operation.throw(failure)
            return self._operation.send(outcome)
        except StopIteration as stop:
            self._operation, self.result = None, stop.value
        except KDBError as error:
            self._operation, self.result = None, error
        return None


class World:
    """Everything. ``directory`` is a real one, for what is not simulated: journal and locks.

    ``chance`` decides all that happens: from a seed, or as hypothesis draws it.
    """

    def __init__(
        self,
        directory: Path,
        chance: int | random.Random,
        *,
        readonly: bool = False,
        clients: int = 3,
    ) -> None:
        self._directory = directory
        self.chance = random.Random(chance) if isinstance(chance, int) else chance
        self.trace: list[str] = []
        self.failures: list[str] = []
        self._log = _Log(self.failures.append, self.note)
        places = {name: str(directory / name) for name in ("spec", "user", "system", "state")}
        for place in places.values():
            os.makedirs(place, exist_ok=True)
        self.locations = _Locations(**places)
        refusing = frozenset({Namespace.SPEC}) if readonly else frozenset()
        if readonly:
            _Locations.readonly = frozenset({places["spec"]})
        self.requests = Requests(self.chance, refusing)
        self.readonly = refusing
        self._crowded = self.chance.random() < 0.1
        self.homes = [str(directory / each) for each in ("one", "two")]
        for home in self.homes:
            os.makedirs(home, exist_ok=True)
        self.clients = [
            Client(f":c{number}", ["", *self.homes][number % 3]) for number in range(clients)
        ]
        self.disk = SimulatedDisk(self.chance, self._disk_passes, self._written, self._renamed)
        self.model = Model(self.locations, self.disk)
        # Faults
        self.passed = 0
        self.kinds_passed: list[type[Exception]] = []
        self.history_passed = 0
        self.troubles = 0
        self.damages = 0
        self._calm = 0
        self._moment = 0
        self._written_at: dict[str, int] = {}
        self.crash_at = 0
        self.fault_at = 0
        self.fault: OSError | sqlite3.Error | None = None
        self.full = False
        self.may_edit = False
        self._dead = False
        # Each world has its own mixture, so that some have much of what is rare in others.
        self._weights = {
            kind: weight * self.chance.choice([0.3, 1, 1, 3]) for kind, weight in _KINDS.items()
        }
        # Calls
        self._numbers = 0
        self._senders: dict[str, Asked] = {}
        self._serials: dict[int, Asked] = {}
        self._arrived: list[Asked] = []
        self._early: dict[int, tuple[Answer, int]] = {}
        self._boot_revision = 0
        self._boots = 0
        # Signals
        self._group: list[Signal] = []
        self._told = 0
        self._first_of_run = True
        self.app: App | None = None
        self.bus: Any = None

    def short(self, path: str) -> str:
        """Answer a path in few characters."""
        return os.path.relpath(path, self._directory)

    def note(self, text: str) -> None:
        self.trace.append(text)

    # Starting and ending

    def start(self) -> None:
        """Start kdbd; where faults keep it from that, without faults."""
        self.note("start")
        if not self._try_to_start():
            self.heal()
            assert self._try_to_start(), "kdbd does not start"

    def _try_to_start(self) -> bool:
        self._dead = self._stopping = False
        self._boots += 1
        self.loop = VirtualLoop()
        self.workers: list[SteppedWorker] = []
        self._first_of_run = True
        self._group.clear()
        troubles = self.troubles
        configuration = Configuration(
            "session", None, self.locations, "json", "info", 2_048, 90 * 86_400.0
        )
        self.app = App(
            configuration,
            self._log,
            self.note,
            disk=self.disk,
            open_journal=self._open_journal,
            transport=self._make_bus,  # type: ignore[arg-type]  # as far as it is used
            make_worker=self._make_worker,  # type: ignore[arg-type, return-value]
            clock=self._clock(),
            garbage=Garbage(
                collect=lambda: None, freeze=lambda: None, set_threshold=lambda *_: None
            ),
        )
        self._main = self.loop.create_task(self.app._serve())
        try:
            for _ in range(_CALLS_UNTIL_STUCK):
                self.settle()
                if self._main.done() or self._is_serving():
                    break
                self.work()
        except Crash:
            self._bury()
            return self._try_to_start()
        if self._main.done():
            error = self._main.exception()
            self._after_end()
            assert error is not None
            assert self.troubles > troubles, f"kdbd did not start: {error!r}"
            return False
        self._boot_revision = self.database.revision
        for client in self.clients:
            if client.waits:
                client.waits = False
                self._drive(client, client.resume(None, None))
        return True

    @property
    def _name(self) -> str:
        """The service's unique name."""
        return f":1.{self._boots}"

    def _is_serving(self) -> bool:
        assert self.app is not None
        return self.bus is not None and self.bus.serving

    def _clock(self) -> Callable[[], float]:
        now = [0.0]

        def clock() -> float:
            now[0] += 0.002
            return now[0]

        return clock

    def _open_journal(self, path: str) -> SimulatedJournal:
        return SimulatedJournal(
            path, self._journal_passes, lambda: self.chance.random() < 0.5, self._durable
        )

    def _make_worker(self, name: str) -> SteppedWorker:
        worker = SteppedWorker(name, self.loop)
        self.workers.append(worker)
        return worker

    def _make_bus(self, **ports: Any) -> SimulatedBus:
        self.bus = SimulatedBus(
            ports["dispatch"],
            ports["on_vanished"],
            ports["on_reading"],
            self._signalled,
            self._answered,
        )
        return self.bus

    def crash(self) -> None:
        """End the process as kill -9 and a power failure do."""
        self.note("crash")
        self._bury()
        self.disk.crash()
        self.start()

    def _bury(self) -> None:
        self._dead = True
        self.crash_at = 0
        assert self.app is not None
        self._main.cancel()
        while not self._main.done():
            # A task that the process ended in tells its parents.
            with suppress(Crash):
                self.loop.settle()
        self._after_end()

    def restart(self) -> None:
        """End the process as SIGTERM does, and start it again; a crash may come first."""
        self.note("restart")
        try:
            self._stop()
        except Crash:
            self.crash()
        else:
            self._after_end()
            self.start()

    def _stop(self) -> None:
        assert self.app is not None
        self._stopping = True
        self.app._stopping.set()
        for _ in range(_CALLS_UNTIL_STUCK):
            self.settle()
            if self._main.done():
                break
            self.bus.flush()
            if not self.work():
                self.loop.pass_time(0.5)
        assert self._main.done(), "kdbd does not stop"
        assert self._main.exception() is None, self._main.exception()

    def _after_end(self) -> None:
        assert self.app is not None
        self.app._ownership.release_all()
        self.loop.close()
        if self.bus is not None:
            self.bus.serving = False
        self._group.clear()
        self.model.open(frozenset())
        self._serials.clear()
        self._early.clear()
        self._arrived.clear()
        for client in self.clients:
            if client.busy and not client.waits:
                gone = CallFailed("org.freedesktop.DBus.Error.NoReply", "kdbd is gone")
                client.asked = None
                self._drive(client, client.resume(None, gone))

    def close(self) -> None:
        self._bury()

    # What the parts tell

    @property
    def database(self) -> Any:
        assert self.app is not None
        return self.app._database

    def _disk_passes(self, call: str, path: str) -> OSError | Crash | None:
        if self._dead:
            return OSError(errno.EIO, "the process is gone")
        trouble = self._passes(OSError)
        if isinstance(trouble, Crash):
            return trouble
        if isinstance(trouble, OSError):
            self.troubles += 1
            self.note(f"  {call} {self.short(path)} fails: {trouble}")
            return trouble
        if self.full and call == "stage":
            self.troubles += 1
            return OSError(errno.ENOSPC, "No space left on device")
        if call == "stage" and self.may_edit and self.chance.random() < 0.05:
            self.edit()
        return None

    def _journal_passes(self, call: str) -> sqlite3.Error | Crash | None:
        if self._dead:
            return sqlite3.OperationalError("the process is gone")
        trouble = self._passes(sqlite3.Error)
        if isinstance(trouble, Crash):
            return trouble
        if isinstance(trouble, sqlite3.Error):
            self.troubles += 1
            self.note(f"  {call} fails: {trouble}")
            return trouble
        if self.full and call in ("commit", "add_backend", "drop_backend", "trim"):
            self.troubles += 1
            return sqlite3.OperationalError("database or disk is full")
        if call == "commit" and self.may_edit and self.chance.random() < 0.05:
            self.edit()
        return None

    def _passes(self, kind: type[Exception]) -> Exception | Crash | None:
        self.passed += 1
        self.kinds_passed.append(kind)
        if self.passed == self.crash_at:
            self.note("  crash")
            # Nothing runs on, not even what cleans up.
            self._dead = True
            return Crash()
        if isinstance(self.fault, kind) and self.passed >= self.fault_at:
            fault, self.fault = self.fault, None
            return fault
        return None

    def _written(self, path: str, before: File, after: File) -> None:
        self.note(f"  {self.short(path)} is put in place")
        self.model.check_write(path, before, after)

    def _renamed(self) -> None:
        if self.may_edit and self.chance.random() < 0.05:
            self.edit()

    def _durable(self, commits: Sequence[Commit], rows: Sequence[BackendRow]) -> None:
        self.note(
            "  durable: "
            + ", ".join(
                f"{each.revision} of {each.caller.sender or each.origin}" for each in commits
            )
            + "".join(f"; {self.short(row.path)}" for row in rows)
        )
        self.model.durable(commits, rows, self._asked_for)

    def _asked_for(self, commit: Commit) -> dict[Key, Content | None]:
        asked = self._senders[commit.caller.sender]
        assert asked.expect is not None
        state = self.model.states[self.model.revision]
        expected = asked.expect(state)
        assert expected.changes is not None, (
            f"{asked.member}{asked.body} of {asked.sender} is committed, but should come to"
            f" {expected}"
        )
        asked.commits.append(commit.revision)
        asked.told = expected.answer
        return {
            (asked.directory if namespace(name) is Namespace.DIR else "", name): new
            for name, new in expected.changes.items()
        }

    def _signalled(self, signal: Signal) -> None:
        if signal.member == "PropertiesChanged":
            return
        self._group.append(signal)
        if signal.member != "Committed":
            return
        *keys, committed = self._group
        self._group = []
        revision = committed.body[0]
        told = self.model.told[revision]
        anew = revision <= self._told
        if self._first_of_run:
            assert revision <= self._told + 1, f"{revision} is told, {self._told + 1} never was"
        else:
            assert revision == self._last_told + 1, f"{revision} follows {self._last_told}"
        self._first_of_run = False
        self._last_told = revision
        self._told = max(self._told, revision)
        total = sum(map(len, told.names))
        if total <= 1000:
            assert committed.body == [revision, *told.names, True]
        else:
            assert committed.body == [revision, [], [], [], False]
        # Which mountpoint a key of dir:/ was in is not known any more after a restart.
        elsewhere = revision <= self._boot_revision and any(
            name.startswith("dir:") for names in told.names for name in names
        )
        if not anew and not elsewhere and self.model.remounted <= revision:
            got = [(each.member, each.body) for each in keys]
            wanted = [
                *(("Commit", [mountpoint]) for mountpoint in told.mountpoints),
                *(("KeyAdded", [name]) for name in told.loud[0]),
                *(("KeyChanged", [name]) for name in told.loud[1]),
                *(("KeyDeleted", [name]) for name in told.loud[2]),
            ]
            assert got == wanted, f"{revision} is told as {got} instead of {wanted}"

    # Calls

    def ask(self, asked: Asked) -> Asked:
        """Make a call."""
        self.note(f"{asked.sender} {asked.member} {_brief(asked.body)}")
        asked.since = self.database.revision
        asked.troubles = self._calm
        asked.damages = self.damages
        asked.unreadable = self._something_is_wrong()
        if asked.sender in self._senders and asked.sender not in {c.name for c in self.clients}:
            raise AssertionError("a sender calls twice")
        self._senders[asked.sender] = asked
        body = [
            {name: Variant(*value) for name, value in each.items()}
            if asked.signature == "a{sv}"
            else each
            for each in asked.body
        ]
        serial = self.bus.call(
            asked.sender,
            asked.member,
            asked.signature,
            body,
            path=asked.path,
            interface=asked.interface,
        )
        self._serials[serial] = asked
        early = self._early.pop(serial, None)
        if early is not None:
            self._arrive(serial, *early)
        return asked

    def _answered(self, serial: int, answer: Answer) -> None:
        if self._dead:
            return
        if serial in self._serials:
            self._arrive(serial, answer, self.database.revision)
        else:
            self._early[serial] = (answer, self.database.revision)

    def _arrive(self, serial: int, answer: Answer, revision: int) -> None:
        asked = self._serials.pop(serial)
        asked.answer, asked.answered_at = answer, revision
        self._arrived.append(asked)

    def settle(self) -> None:
        """Let the loop run until it would wait, and check all that came of it."""
        self.loop.settle()
        self._require_alive()
        if self.bus is not None and self.bus.serving and self._main.done() and not self._stopping:
            raise AssertionError("kdbd ended") from self._main.exception()
        failures = [*self.failures, *self.loop.failures]
        assert not failures, failures
        self._see()
        at_work = any(worker.busy for worker in self.workers)
        if self._is_serving() and not at_work and not self._something_is_wrong():
            self._calm = self.troubles
        arrived, self._arrived = self._arrived, []
        for asked in arrived:
            self._check(asked)
        for asked in arrived:
            for client in self.clients:
                if client.asked is asked:
                    client.asked = None
                    client.asking = asked.member
                    assert asked.answer is not None
                    self._resume(client, asked.answer)

    def _require_alive(self) -> None:
        """Raise Crash where the process ended within a task, which keeps that to itself."""
        if self._dead:
            raise Crash

    def _see(self) -> None:
        """Note which directories are open, and which edited files the service takes for known."""
        if self.app is None or not hasattr(self.app, "_database"):
            return
        names = [name for name in self.database.roots if name.startswith("dir:/")]
        self.model.open(frozenset(name.removeprefix("dir:/") for name in names))
        self._moment += 1
        for file in self.app._stores.files.values():
            place = Place(file.backend.mountpoint, file.backend.directory, file.path)
            if file.writing is not None or file.in_batch:
                self._written_at[file.path] = self._moment
            read = self.disk.last_read.get(file.path)
            if read is not None and read.by_hand and not read.seen and place in self.model.tables:
                known = digest_of([] if read.data is None else [read.data])
                if file.row.digest == known and not read.damaged(place.mountpoint):
                    self.model.check_seen(place, read)

    def _check(self, asked: Asked) -> None:
        """Check an answer."""
        answer = asked.answer
        assert answer is not None
        what = f"{asked.member} {_brief(asked.body)} of {asked.sender}"
        told = f"{answer.error} ({answer.text:.100})" if answer.error else _brief(answer.body)
        self.note(f"  {asked.sender} {asked.member}: {told}")
        if asked.check is not None and not answer.error:
            asked.check(answer, asked.answered_at)
            return
        window = [
            state
            for revision, state in self.model.states.items()
            if asked.since <= revision <= max(asked.answered_at, asked.since)
        ]
        expected = [] if asked.expect is None else [asked.expect(state) for state in window]
        if answer.error:
            wanted = {each.error for each in expected} - {""}
            assert answer.error in wanted | self._excuses(asked), (
                f"{what}: {answer.error} ({answer.text}); expected {expected}"
            )
            return
        if asked.expect is None:
            return
        if asked.commits:
            revision = asked.commits[-1]
            assert asked.answered_at >= revision, "the reply comes before readers see it"
            assert revision in answer.body, f"{what}: {answer.body}, but it was {revision}"
            assert all(each in answer.body for each in asked.told), f"{what}: {answer.body}"
            return
        assert any(
            each.changes is None and not each.error and each.answer == answer.body
            for each in expected
        ), f"{what}: {answer.body}, nothing was done; expected {expected}"

    def _something_is_wrong(self) -> bool:
        assert self.app is not None
        return any(
            file.retry_at is not None
            or file.backend.damage is not None
            or self.disk.at(file.path).damaged(file.backend.mountpoint)
            for file in self.app._stores.files.values()
        ) or any(self.disk.at(path).damaged(unescape(name)) for name, path in self._mountable())

    def _mountable(self) -> list[tuple[str, str]]:
        """Answer what may be mounted: names, and files."""
        return [
            (escape(in_namespace(unescape(mountpoint), which)), self._file(which, path, home))
            for mountpoint, path in MOUNTS
            for which in MountSpec(mountpoint, path).namespaces
            for home in self.homes
        ]

    def _file(self, which: Namespace, path: str, home: str) -> str:
        return self.locations.file(which, path, home if which is Namespace.DIR else "")

    def _excuses(self, asked: Asked) -> set[str]:
        """Answer the errors that what is wrong in the world excuses."""
        excuses = set()
        if self.troubles > asked.troubles or asked.unreadable:
            excuses |= {"Resource", "AccessDenied"}
        if asked.answer is not None and "just edited" in asked.answer.text:
            excuses.add("Resource")
        if asked.unreadable or self.damages > asked.damages:
            excuses |= {"Syntactic"}
        if asked.member == "Apply" and asked.body[2] < self._boot_revision:
            excuses.add("HistoryLost")
        if asked.member == "Changes":
            excuses.add("HistoryLost")
        if asked.member == "Ping":
            # A handle is looked for that went with the kdbd before.
            excuses.add("UnknownObject")
        if asked.member == "Set" and asked.interface == HANDLE_INTERFACE:
            client = next(each for each in self.clients if each.name == asked.sender)
            if client.refused:
                excuses.add("ConflictingState")
            if client.unread:
                excuses.add("Interface")
        return excuses

    # Clients with key sets

    def _drive(self, client: Client, request: Any) -> None:
        """Do what a session asks for."""
        while request is not None:
            if isinstance(request, Connect | Rest):
                request = client.resume(None, None)
            elif isinstance(request, AwaitSignal):
                client.waits = True
                return
            else:
                assert isinstance(request, Call)
                if request.destination == "org.freedesktop.DBus":
                    request = self._ask_bus(client, request)
                else:
                    if not self.bus.serving or request.destination not in (BUS_NAME, self._name):
                        gone = CallFailed("org.freedesktop.DBus.Error.NameHasNoOwner", "")
                        request = client.resume(None, gone)
                        continue
                    self._call_for(client, request)
                    return
        assert client.done is not None
        client.done(client.result)

    def _ask_bus(self, client: Client, request: Call) -> Any:
        if request.member == "NameHasOwner":
            return client.resume(Reply((self.bus.serving,), "bus"), None)
        if request.member == "StartServiceByName":
            unknown = CallFailed("org.freedesktop.DBus.Error.ServiceUnknown", "")
            return client.resume(None, unknown)
        return client.resume(Reply((), "bus"), None)

    def _call_for(self, client: Client, request: Call) -> None:
        body: list[Any] = list(request.body)
        signature = request.signature
        if request.block is not None:
            body += [request.block, []]
            signature += "ayah"
        asked = Asked(
            client.name,
            request.member,
            signature,
            body,
            client.directory,
            request.path,
            request.interface,
        )
        if request.interface == INTERFACE and request.member not in ("Open", "Changes"):
            asked.expect = client.expect
        elif request.interface == HANDLE_INTERFACE and request.member == "Set":
            assert request.block is not None
            asked.expect = self.requests.set_block(client.directory, request.block)
        elif request.interface == HANDLE_INTERFACE and request.member == "Get":
            asked.parent = unescape(body[0])
            asked.check = self._get_check(client, asked.parent, body[1])
        client.asked = asked
        self.ask(asked)

    def _get_check(
        self, client: Client, parent: bytes, since: int
    ) -> Callable[[Answer, int], None]:
        before = self._edits(client.directory, parent)
        moment = self._moment

        def check(answer: Answer, answered_at: int) -> None:
            changed, data, _, revision = answer.body
            still = self._edits(client.directory, parent)
            self._require_seen([each for each in before if each in still], moment, readable=True)
            now = under(self.model.states[revision].view(client.directory), parent)
            if changed:
                assert dict(wire.unpack_keys(data)) == now
            elif since in self.model.states:
                then = under(self.model.states[since].view(client.directory), parent)
                assert now == then, "it did change"

        return check

    def _edits(self, directory: str, parent: bytes, beyond: bytes = b"") -> list[tuple[str, File]]:
        """Answer the edited files that a read of a parent, beyond a name, has to take in."""
        found = []
        if self.model.remounted > self.database.revision:
            return []  # what is mounted is just changing
        for (which, where), mounts in self.model.roots.items():
            if which is Namespace.DIR and where != directory:
                continue
            inside = parent
            if namespace(parent) is Namespace.CASCADING:
                inside = in_namespace(parent, which)
            if namespace(inside) is not which:
                continue
            for place in mounts.values():
                if is_below_or_same(place.mountpoint, inside) or place == self.model.place(
                    where, inside
                ):
                    file = self.disk.at(place.path)
                    if end_of_subtree(place.mountpoint) <= beyond:
                        continue
                    if file.is_news:
                        found.append((place.path, file))
        return found

    def _require_seen(
        self, edits: list[tuple[str, File]], since: int, *, readable: bool = False
    ) -> None:
        """Check that edits from before a read, made at that moment, are in what it answered."""
        for path, file in edits:
            written = self._is_written(path, since)
            if self.disk.at(path) is file and file.is_news and not written:
                # A page may end before it comes to what is damaged, or cannot be read.
                known = file.damaged(self._mountpoint_of(path)) or self._is_unreadable(path)
                assert known or self._is_back(file), f"{path} is edited, unseen"
                assert not (known and readable), f"{path} is damaged, and is left out"

    def _is_back(self, file: File) -> bool:
        """Tell whether a file is again what readers still see of it, an edit being on its way."""
        before = file.over
        while before is not None:
            if before.data == file.data and (before.seen or not before.by_hand):
                return bool(self.database.revision < self.model.revision)
            before = before.over
        return False

    def _is_unreadable(self, path: str) -> bool:
        assert self.app is not None
        files = self.app._stores.files.values()
        return any(file.path == path and file.retry_at is not None for file in files)

    def _is_written(self, path: str, since: int) -> bool:
        """Tell whether a file was being written: then an edit is noticed before its replacement."""
        return self._written_at.get(path, -1) >= since

    def _resume(self, client: Client, answer: Answer) -> None:
        if answer.error:
            client.unread |= client.asking == "Get"
            prefix = ERROR_PREFIX
            if answer.error.startswith("Unknown"):
                prefix = "org.freedesktop.DBus.Error."
            failure = CallFailed(prefix + answer.error, answer.text)
            self._drive(client, client.resume(None, failure))
        else:
            self._drive(client, client.resume(Reply(answer.body, self._name), None))

    def get(self, client: Client, parent: str) -> None:
        """Let a client get a parent into its key set."""
        name = unescape(parent)
        self.note(f"{client.name} get {parent}")

        def done(result: Any) -> None:
            if isinstance(result, KDBError):
                return
            client.base = result.base
            if result.keys is not None:
                for each in under(client.keys, name):
                    del client.keys[each]
                client.keys.update(result.keys)
            client.refused -= {each for each in client.refused if bases.covers(name, each)}
            shown = under(dict(result.base), name)
            revision = result.base.gets[name]
            if revision in self.model.states:
                state = self.model.states[revision]
                assert shown == under(state.view(client.directory), name)

        client.start(client.session.get(client.base, name), done)
        self._drive(client, client.resume(None, None))

    def set(self, client: Client, parent: str) -> None:
        """Let a client set what it changed in its key set."""
        name = unescape(parent)
        self.note(f"{client.name} set {parent}")

        def done(result: Any) -> None:
            if isinstance(result, ConflictError | OutcomeUnknown):
                client.refused.add(name)
            elif not isinstance(result, KDBError):
                client.base = result[1]
                changes = tracking.changes(client.keys, client.base, name)
                assert not changes.put, "the key set knows what it wrote"
                assert not changes.removed, "the key set knows what it removed"

        client.start(client.session.set(client.base, name, client.keys), done)
        self._drive(client, client.resume(None, None))

    # Steps

    def work(self) -> bool:
        """Let a thread go on, or a result reach the loop; tell whether there was any."""
        busy = [worker for worker in self.workers if worker.busy]
        if not busy:
            return False
        worker = self.chance.choice(busy)
        if worker.has_results and (not worker.has_work or self.chance.random() < 0.5):
            worker.hand_over()
        else:
            try:
                worker.work()
            finally:
                if not self._dead:
                    self._see()
        return True

    def _sender(self) -> str:
        self._numbers += 1
        return f":o{self._numbers}"

    def paths(self) -> list[str]:
        """Answer every file that is mounted."""
        return [place.path for place in self.model.mounted()]

    def _mountpoint_of(self, path: str) -> bytes:
        place = self.model.place_of(path)
        assert place is not None
        return place.mountpoint

    def edit(self) -> None:
        """Let somebody edit a file."""
        chance = self.chance
        which = [Namespace.USER, Namespace.SYSTEM, Namespace.SPEC]
        paths = self.paths() or [self.locations.file(chance.choice(which), DEFAULT_FILE)]
        path = chance.choice(paths)
        if os.path.basename(path) == ELEKTRA_FILE and chance.random() < 0.8:
            return
        mountpoint = self._mountpoint_of(path)
        before = self.disk.at(path)
        kind = chance.random()
        data: bytes | None
        if kind < 0.04:
            data = chance.choice([b"", b"kdbOpen 2\n", None])
        elif kind < 0.12:
            data = chance.choice(
                [b"garbage", b"kdbOpen 2\n$key string 1 1\na\n1\n", b"kdbOpen 3\n"]
            )
        elif kind < 0.2 or before.damaged(mountpoint):
            data = before.data if not before.damaged(mountpoint) else None
        else:
            data = self._edited(before.keys(mountpoint), mountpoint)
        self.damages += kind >= 0.04 and kind < 0.12
        self.note(f"somebody edits {self.short(path)}: {data!r:.300}")
        self.disk.edit(path, data)

    def _edited(self, keys: Keys, mountpoint: bytes) -> bytes | None:
        chance = self.chance
        for _ in range(0 if mountpoint == ELEKTRA else chance.randint(1, 3)):
            if keys and chance.random() < 0.4:
                del keys[chance.choice(sorted(keys))]
            else:
                parts = "".join(f"\0{chance.choice('abcmn')}" for _ in range(chance.randint(0, 2)))
                content = self.requests.content()
                keys[mountpoint + parts.encode()] = content
        if mountpoint == ELEKTRA:
            if chance.random() < 0.5:
                keys.update(declare(self.requests.spec()))
            elif chance.random() < 0.5:
                keys = {n: c for n, c in keys.items() if not is_below_or_same(n, MOUNTPOINTS)}
        return b"".join(dump.write(mountpoint, sorted(keys.items()))) if keys else None

    def heal(self) -> None:
        """End all faults, also what is damaged."""
        self.full = False
        self.fault = None
        self.crash_at = 0

    def mend(self) -> None:
        """Let people mend what they damaged."""
        for path in self.paths():
            if self.disk.at(path).damaged(self._mountpoint_of(path)):
                self.note(f"somebody mends {self.short(path)}")
                over = self.disk.at(path).over
                whole = over is not None and not over.damaged(self._mountpoint_of(path))
                self.disk.edit(path, over.data if over is not None and whole else None)

    def step(self) -> None:
        """Let one thing happen."""
        try:
            self._steps()
            if self.chance.random() < 0.3:
                # What comes next comes between what follows of this.
                for _ in range(self.chance.randint(0, 4)):
                    self.loop.turn()
                self._require_alive()
            else:
                self.settle()
        except Crash:
            self.crash()

    def _steps(self) -> None:
        kinds, weights = zip(*self._weights.items(), strict=True)
        (kind,) = self.chance.choices(kinds, weights)
        kind(self)

    def _flush(self) -> None:
        self.bus.flush()

    def _wait(self) -> None:
        self.loop.pass_time(self.chance.choice([0.01, 0.5, 1.5, 5.0]))

    def _wait_long(self) -> None:
        self.loop.pass_time(4_000.0)

    def _sync(self) -> None:
        self.ask(Asked(self._sender(), "Sync", "", []))

    def _crash_soon(self) -> None:
        self.crash_at = self.passed + self.chance.randint(1, 60)

    def _restart(self) -> None:
        self.heal()
        self.restart()

    def write(self) -> None:
        """Let somebody write by a method of the root object, or of a handle."""
        made = [
            self.requests.set_string,
            self.requests.set_string,
            self.requests.put,
            self.requests.set_meta,
            self.requests.remove_meta,
            self.requests.remove,
        ]
        if self._crowded and self.chance.random() < 0.1:
            self.ask(self.requests.crowd(self._sender()))
        elif self.chance.random() < 0.25:
            revision = self.database.revision
            self.ask(self.requests.apply(self._sender(), "", OBJECT_PATH, revision))
        else:
            self.ask(self.chance.choice(made)(self._sender(), "", OBJECT_PATH))

    def mounting(self) -> None:
        """Let somebody mount or unmount."""
        made = self.chance.choice([self.requests.mount, self.requests.mount, self.requests.unmount])
        self.ask(made(self._sender()))

    def use_key_set(self) -> None:
        """Let a client get, change or set its key set, or write one key through its handle."""
        client = self.chance.choice(self.clients)
        if client.busy:
            return
        kind = self.chance.random()
        if client.base is None or kind < 0.35:
            self.get(client, self._parent(client))
        elif kind < 0.85:
            self._change(client)
            parents = [escape(each) for each in client.base.gets]
            self.set(client, self.chance.choice(parents))
        else:
            self._write_one_key(client)

    def _parent(self, client: Client) -> str:
        if self.chance.random() < 0.3:
            return self.chance.choice(["/", "user:/", "system:/", "user:/m"])
        return self.requests.name(directory=bool(client.directory), cascading=0.2)

    def _change(self, client: Client) -> None:
        for _ in range(self.chance.choice([0, 1, 1, 2, 4])):
            if client.keys and self.chance.random() < 0.4:
                del client.keys[self.chance.choice(sorted(client.keys))]
                continue
            name = self.requests.name(directory=bool(client.directory), cascading=0)
            if namespace(unescape(name)) not in self.readonly:
                client.keys[unescape(name)] = self.requests.content()

    def _write_one_key(self, client: Client) -> None:
        made = self.requests.set_string(client.name, client.directory, "")

        def done(result: Any) -> None:
            return None

        operation = client.session.one_key(made.member, made.signature, tuple(made.body))
        client.start(operation, done)
        client.expect = made.expect
        self._drive(client, client.resume(None, None))

    def read(self) -> None:
        """Let somebody read a page, or the history."""
        if self.chance.random() < 0.3:
            self._read_history()
            return
        parent = self.requests.name(directory=False, cascading=0.3)
        after = self.chance.choice(["", self.requests.name(directory=False, cascading=0)])
        limit = self.chance.choice([0, 1, 3])
        name, beyond = unescape(parent), unescape(after) if after else b""
        before = self._edits("", name, beyond)
        moment = self._moment

        def check(answer: Answer, answered_at: int) -> None:
            keys, more, revision = answer.body
            assert revision == answered_at
            still = self._edits("", name, beyond)
            self._require_seen([each for each in before if each in still], moment)
            view = under(self.model.states[answered_at].view(""), name)
            rest = [(n, c) for n, c in view.items() if n > beyond]
            wanted = rest[: limit or len(rest)]
            assert [each[0] for each in keys] == [escape(n) for n, _ in wanted]
            assert [each[3] for each in keys] == [c.revision for _, c in wanted]
            assert more is (len(wanted) < len(rest))

        body = [parent, after, limit]
        self.ask(Asked(self._sender(), "GetAll", "ssu", body, parent=name, check=check))

    def _read_history(self) -> None:
        since = max(0, self.database.revision - self.chance.randint(0, 30))
        until = self.database.revision

        def check(answer: Answer, answered_at: int) -> None:
            rows, more, revision = answer.body
            assert not more
            assert revision == until
            wanted = [
                [each, *told]
                for each in range(since + 1, until + 1)
                for told in self.model.told[each].without_directories()
            ]
            assert rows == wanted, f"{rows} instead of {wanted}"

        body = [since, "/", 0]
        self.ask(Asked(self._sender(), "Changes", "tsu", body, check=check))

    def vanish(self) -> None:
        """Let a client leave the bus; it comes back as another."""
        number = self.chance.randrange(len(self.clients))
        client = self.clients[number]
        if client.busy:
            return
        self.note(f"{client.name} vanishes")
        self.bus.vanish(client.name)
        self._numbers += 1
        self.clients[number] = Client(f":c{number}v{self._numbers}", client.directory)

    def break_something(self) -> None:
        """Let something fail soon, or end all faults."""
        kind = self.chance.random()
        if kind < 0.15:
            self.full = True
            self.note("the disk is full")
        elif kind < 0.5:
            self.note("all is well again")
            self.heal()
        elif kind < 0.8:
            number = self.chance.choice([errno.ENOSPC, errno.EIO, errno.EACCES])
            self.fault_at = self.passed + self.chance.randint(1, 20)
            self.fault = OSError(number, os.strerror(number))
        else:
            self.fault_at = self.passed + self.chance.randint(1, 20)
            self.fault = self.chance.choice(
                [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("malformed")]
            )

    # Rest

    def run(self, steps: int) -> None:
        """Let so many things happen, then let all come to rest."""
        self.may_edit = True
        for _ in range(steps):
            self.step()
        self.quiesce()
        self.restart()
        self.quiesce()
        for path in self.paths():
            assert self.disk.temporaries(path) == []

    def quiesce(self) -> None:
        """End all faults, let all work be done, and check that everything is where it belongs."""
        self.note("quiesce")
        may_edit, self.may_edit = self.may_edit, False
        self.heal()
        self.mend()
        self._finish_all()
        asked = self.ask(Asked(self._sender(), "GetAll", "ssu", ["/", "", 0]))
        self._finish_all()
        asked = self.ask(Asked(self._sender(), "Sync", "", []))
        self._finish_all()
        assert asked.answer is not None
        assert not asked.answer.error, asked.answer
        self.may_edit = may_edit
        self.check()

    def _finish_all(self) -> None:
        for _ in range(_CALLS_UNTIL_STUCK):
            self.settle()
            if self.bus.full:
                self.bus.flush()
            elif not self.work():
                if self._at_rest():
                    return
                self.loop.pass_time(0.5)
        raise AssertionError(f"stuck: {[each.member for each in self._serials.values()]}")

    def finish(self) -> None:
        """Let all that was asked be done, over crashes too."""
        try:
            self._finish_all()
        except Crash:
            self.crash()
            self._finish_all()

    def _at_rest(self) -> bool:
        assert self.app is not None
        busy = any(client.busy for client in self.clients)
        return not self._serials and not busy and self.app._pipeline.idle and self.loop.idle_s != 0

    def check(self) -> None:
        """Check that memory, model and files agree, while nothing is on its way."""
        assert self.app is not None
        assert self.database.revision == self.model.revision
        assert self._told == self.model.revision, "everything is told"
        self.check_memory()
        for file in self.app._stores.files.values():
            news = self.disk.at(file.path).is_news
            assert news or not file.dirty, f"{file.path} lacks {list(file.unwritten)}"

    def check_memory(self) -> None:
        """Check that what is in memory, and in files that are whole, is as the model has it."""
        assert self.app is not None
        for file in self.app._stores.files.values():
            place = Place(file.backend.mountpoint, file.backend.directory, file.path)
            assert not file.backend.ahead
            table = self.model.tables.get(place)
            assert table is not None, f"{place} is followed, though nothing is mounted there"
            tree = dict(file.backend.tree)
            assert tree == table.keys, f"{file.path}: {tree} instead of {table.keys}"
            assert list(tree) == sorted(tree)
            if file.writable and file.backend.damage is None:
                lies = self.disk.at(file.path)
                if not lies.is_news and not file.unwritten:
                    held = lies.keys(place.mountpoint)
                    assert same_keys(held, table.keys), f"{file.path} holds {held}"
        shown = {}
        for name, mounts in self.database.roots.items():
            directory = name.partition(":/")[2]
            for backend in mounts:
                for key, content in backend.tree.items():
                    if mounts.responsible(key) is backend and backend.identity > 0:
                        shown[directory, key] = content
        assert shown == self.model.visible()


def _brief(body: Sequence[Any]) -> str:
    return f"{list(body)!r:.200}"


# What happens, and how often beside the others.
_KINDS: dict[Callable[[World], Any], float] = {
    World.work: 40,
    World.write: 15,
    World.use_key_set: 13,
    World.read: 5,
    World.mounting: 3,
    World._flush: 5,
    World._wait: 4,
    World._wait_long: 1,
    World.edit: 4,
    World._sync: 1,
    World.break_something: 2,
    World.vanish: 1,
    World.crash: 0.3,
    World._restart: 0.3,
    World._crash_soon: 1,
    World.quiesce: 1,
}
