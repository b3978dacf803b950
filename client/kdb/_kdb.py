"""KDB: the key database through a blocking handle, with libelektra's meaning."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar

from kdb import contract
from kdb._address import bus_address
from kdb._connection import Connection
from kdb._watch import BlockingWatch
from kdb.model.diff import Diff
from kdb.model.elektradiff import ElektraDiff
from kdb.model.key import Key, name_of
from kdb.model.keyset import KeySet
from kdb.noting import noting
from kdb.requests import (
    AwaitSignal,
    CallFailed,
    Connect,
    Disconnected,
    NotSent,
    Operation,
    Reply,
    Request,
    Rest,
    TimedOut,
)
from kdb.session import Session
from kdb.watching import watch

__all__ = ["KDB"]

T = TypeVar("T")


class KDB:
    """The key database, opened by the constructor and closed by ``close`` or ``with``.

    *options* is a key that notes errors, a contract (a key set), or nothing. dir:/ is looked for
    from *directory* upward; without one, from the working directory as it is now. A KDB is for one
    thread at a time.

    Raises:
        KDBException: no kdbd answers (C01200), or it refuses.
        ContractException: the contract asks for what kdbd does not know.

    """

    def __init__(
        self,
        options: Key | KeySet | None = None,
        *,
        bus: str = "session",
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._bus = bus
        self._directory = directory
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._contract: contract.Contract = {}
        self.open(options)

    def open(self, options: Key | KeySet | None = None) -> None:
        """Open the database again, with a new handle. Raises as the constructor."""
        self.close()
        self._address = bus_address(self._bus, os.environ)
        noted_on = options if isinstance(options, Key) else None
        self._contract = contract.of(options, contract.directory(self._bus, self._directory))
        self._session = Session(self._contract)
        with noting(noted_on):
            try:
                self._run(self._session.open())
            except BaseException:
                self._disconnect()
                raise

    def close(self, parent: Key | None = None) -> None:
        """Close the handle and the connection. Watches go on."""
        session, self._session = self._session, None
        if session is not None and self._connection is not None and not self._connection.closed:
            with noting(parent):
                self._run(session.close())
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def get(self, ks: KeySet, parent: Key | str) -> int:
        """Bring *ks* to what the database holds at and below *parent*.

        Returns 1; or 2 where nothing changed since the key set's last get of it, in which case
        local changes stay.

        Raises:
            KDBException: the database refuses; *parent* then has ``meta:/error/…``.

        """
        name = name_of(parent)
        with noting(parent):
            got = self._run(self._open_session().get(ks._base, name))  # noqa: SLF001 - ours
        if got.keys is not None:
            ks._fill(name, got.keys)  # noqa: SLF001 - made for this class
        ks._base = got.base  # noqa: SLF001 - this class owns it
        return got.result

    def set(self, ks: KeySet, parent: Key | str) -> int:
        """Store what was changed in *ks* at and below *parent*.

        Returns 1; or 0 where the database already was as asked.

        Raises:
            KDBException: the database refuses and nothing was stored; C02000 is a conflict, after
                which ``get`` comes first. Where its ``error`` is an OutcomeUnknown, kdbd ended
                before it answered; ``get`` then shows what is stored. *parent* then has
                ``meta:/error/…``.

        """
        with noting(parent):
            operation = self._open_session().set(ks._base, name_of(parent), ks._contents())  # noqa: SLF001 - ours
            done = self._run(operation)
        ks._rebase(done.base, done.names)  # noqa: SLF001 - made for this class
        return done.result

    def calculateChanges(self, ks: KeySet, parent: Key | str) -> ElektraDiff:  # noqa: N802 - the binding's name
        """Return what a set of *ks* with *parent* would change now. Raises as ``set``."""
        with noting(parent):
            operation = self._open_session().diff(ks._base, name_of(parent), ks._contents())  # noqa: SLF001 - ours
            return ElektraDiff(Diff(self._run(operation)))

    def get_string(self, name: str) -> str:
        """Return the string that *name* stands for; a cascading name is looked up.

        Raises:
            KDBException: there is no such key, or it holds bytes.

        """
        with noting(None):
            (value,) = self._run(self._open_session().one_key("GetString", "s", (name,)))
        return str(value)

    def set_string(self, name: str, value: str) -> int:
        """Store one string at once, and return its revision. Raises KDBException as ``set``."""
        with noting(None):
            (revision,) = self._run(self._open_session().one_key("SetString", "ss", (name, value)))
        return int(revision)

    def apply(
        self,
        put: Iterable[Key] = (),
        remove: Iterable[Key | str] = (),
        *,
        expected: int = 0,
        reason: str = "",
    ) -> int:
        """Store and remove keys of any namespaces at once, all or nothing, without a get.

        With *expected* above 0 a named key that changed after that revision is a conflict, unless
        it is as asked. The history keeps the *reason*. Returns the commit's revision; or 0 where
        the database already was as asked.

        Raises:
            KDBException: the database refuses and nothing was stored; C02000 is a conflict. Where
                its ``error`` is an OutcomeUnknown, kdbd ended before it answered.

        """
        keys = [(key._name, key._content) for key in put]  # noqa: SLF001 - ours
        names = [name_of(key) for key in remove]
        with noting(None):
            return self._run(self._open_session().apply(keys, names, expected, reason))

    def revision(self) -> int:
        """Return the revision of the last commit. Raises KDBException."""
        with noting(None):
            return self._run(self._open_session().revision())

    def watch(self, parent: Key | str, *, since: int | None = None) -> BlockingWatch:
        """Watch *parent* and the keys below, from now on or from a revision.

        Raises:
            KDBException: the parent cannot be watched, or no kdbd answers.

        """
        return BlockingWatch(watch(name_of(parent), since, self._contract), self._address)

    def _open_session(self) -> Session:
        if self._session is None:
            raise ValueError("this KDB is closed; open it first")
        return self._session

    # --- doing what the session asks for ------------------------------------------------------

    def _run(self, operation: Operation[T]) -> T:
        outcome: Reply | None = None
        failure: Exception | None = None
        try:
            while True:
                request = operation.throw(failure) if failure else operation.send(outcome)
                try:
                    outcome, failure = self._do(request), None
                except (Disconnected, CallFailed, TimedOut) as caught:
                    failure = caught
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # it is the operation's T

    def _do(self, request: Request) -> Reply | None:
        if isinstance(request, Connect):
            if self._connection is None or self._connection.closed:
                self._connection = Connection(self._address)
            return None
        if isinstance(request, Rest):
            time.sleep(request.seconds)
            return None
        if self._connection is None or self._connection.closed:
            raise NotSent("the connection to the bus is lost")
        if isinstance(request, AwaitSignal):
            self._connection.await_signal(request.seconds)
            return None
        return self._connection.call(request)

    def _disconnect(self) -> None:
        self._session = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
