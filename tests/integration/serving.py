"""A transport that runs in the test's own loop, and blocking clients of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from jeepney import DBusAddress, HeaderFields, Message, MessageFlag, MessageType, new_method_call
from jeepney.bus_messages import MatchRule, message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from kdbd.bus.transport import Call, Transport
from private_bus import PrivateBus

NAME = "org.libelektra.KDB1"
PATH = "/org/libelektra/KDB1"
INTERNAL = "org.libelektra.KDB1.Error.Internal"
WAIT_S = 20.0


class Log:
    """Keeps events as structlog would get them, and lets tests wait for one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self._happened = asyncio.Event()

    def __getattr__(self, level: str) -> Callable[..., None]:
        def record(event: str, **values: Any) -> None:
            self.events.append((level, event, values))
            self._happened.set()

        return record

    def count(self, event: str) -> int:
        return sum(1 for _, name, _ in self.events if name == event)

    async def wait_for(self, event: str, times: int = 1, *, also: str = "") -> None:
        """Wait until `event`, or `also`, was logged so often."""
        async with asyncio.timeout(WAIT_S):
            while self.count(event) + self.count(also) < times:
                self._happened.clear()
                await self._happened.wait()


class Running:
    """A running transport, with what it reported."""

    def __init__(self) -> None:
        self.transport: Transport
        self.task: asyncio.Task[None]
        self.log = Log()
        self.vanished: list[str] = []
        self.gone = asyncio.Condition()

    @property
    def connected(self) -> int:
        """How often it came to the bus."""
        return self.log.count("bus.connected")

    async def wait_until_gone(self, name: str) -> None:
        async with asyncio.timeout(WAIT_S), self.gone:
            await self.gone.wait_for(lambda: name in self.vanished)


async def _notify(condition: asyncio.Condition) -> None:
    async with condition:
        condition.notify_all()


Dispatch = Callable[[Transport, Call], Awaitable[None] | None]


def echo(transport: Transport, call: Call) -> None:
    """Answer what came in."""
    transport.reply(call, call.signature, call.body)


@asynccontextmanager
async def serving(
    bus: PrivateBus, dispatch: Dispatch = echo, *, stall_s: float = 5.0, name: str = NAME
) -> AsyncIterator[Running]:
    """Run a transport on `bus` for the time of the block."""
    running = Running()
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
    ready = asyncio.Event()

    def vanished(unique_name: str) -> None:
        running.vanished.append(unique_name)
        tasks.append(asyncio.ensure_future(_notify(running.gone)))

    tasks: list[asyncio.Future[None]] = []
    running.transport = Transport(
        address=bus.address,
        bus="session" if bus.kind == "session" else "system",
        name=name,
        dispatch=lambda call: dispatch(running.transport, call),
        on_vanished=vanished,
        log=running.log,
        stall_s=stall_s,
    )
    running.task = asyncio.create_task(running.transport.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait({running.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.task.done():
            await running.task
        yield running
    finally:
        waiting.cancel()
        running.task.cancel()
        await asyncio.gather(running.task, waiting, *tasks, return_exceptions=True)
        assert unhandled == []
        assert running.transport._connection is None
        assert running.transport._writer._look is None


class Answer(NamedTuple):
    """A reply: the error's name, "" for none, and the values."""

    error: str
    body: tuple[Any, ...]


class Client:
    """A blocking jeepney client, used from a thread."""

    def __init__(self, address: str, *, enable_fds: bool = False) -> None:
        self.connection: DBusConnection = open_dbus_connection(address, enable_fds=enable_fds)
        self.name: str = self.connection.unique_name
        self.socket: socket.socket = self.connection.sock

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def message(self, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> Message:
        return new_method_call(DBusAddress(PATH, NAME, NAME), member, signature or None, body)

    def call(self, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> Answer:
        return self.answer(
            self.connection.send_and_get_reply(
                self.message(member, signature, body), timeout=WAIT_S
            )
        )

    def send(
        self, member: str, signature: str = "", body: tuple[Any, ...] = (), *, reply: bool = True
    ) -> int:
        """Send a call without waiting; return its serial number."""
        message = self.message(member, signature, body)
        if not reply:
            message.header.flags |= MessageFlag.no_reply_expected
        serial = next(self.connection.outgoing_serial)
        self.connection.send(message, serial=serial)
        return serial

    def receive(self) -> Message:
        return self.connection.receive(timeout=WAIT_S)

    def subscribe(self, interface: str) -> None:
        rule = MatchRule(type="signal", interface=interface)
        self.connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=WAIT_S)

    def signals(self, count: int) -> list[tuple[Any, ...]]:
        """Return the bodies of the next `count` broadcast signals."""
        bodies = []
        while len(bodies) < count:
            message = self.receive()
            if (
                message.header.message_type is MessageType.signal
                and HeaderFields.destination not in message.header.fields
            ):
                bodies.append(message.body)
        return bodies

    def ask_bus(self, message: Message) -> tuple[Any, ...]:
        body: tuple[Any, ...] = self.connection.send_and_get_reply(message, timeout=WAIT_S).body
        return body

    @staticmethod
    def answer(message: Message) -> Answer:
        error = message.header.fields.get(HeaderFields.error_name, "")
        return Answer(error, message.body)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
