"""What the parts without I/O ask a shell to do, and how it fails.

Operations (:mod:`kdb.session`) and watches (:mod:`kdb.watching`) are generators. Each yields
what is to be done and gets the outcome sent in, so that the blocking library and the one for
asyncio are thin: each knows only how to do four things.

====================  ==========================================================================
yielded               what the shell does
====================  ==========================================================================
Connect()             have a connection to the bus: if there is none, try once to make one
Call(…)               make the call, send in its Reply
AwaitSignal(seconds)  wait until a signal has come since the last AwaitSignal (at once if one
                      has), at most so long; None: without end
Rest(seconds)         wait so long
====================  ==========================================================================

Failures are thrown in: :class:`Disconnected` where the bus is gone, :class:`NotSent` of these where
surely nothing reached it, :class:`CallFailed` with the name and text of a D-Bus error,
:class:`TimedOut`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from kdb.dbus_errors import from_dbus_error, no_service
from kdb.model.errors import KDBError, ResourceError
from kdb.protocol import BUS_NAME, INTERFACE, OBJECT_PATH

__all__ = [
    "CALL_TIMEOUT_S",
    "CONNECT_TIMEOUT_S",
    "OWNER_RULE",
    "PROPERTIES",
    "RESTART_WAIT_S",
    "RESTS_S",
    "UNKNOWN_OBJECT",
    "AwaitSignal",
    "Call",
    "CallFailed",
    "Connect",
    "Disconnected",
    "GivenUp",
    "NotSent",
    "Operation",
    "Reply",
    "Request",
    "Rest",
    "TimedOut",
    "as_error",
    "await_service",
    "bus_call",
    "find_again",
    "is_gone",
    "may_be_done",
]

# Most calls take a millisecond; an import of a million keys some seconds. Polkit may ask a person
# and take 120 s, but only where a caller allows it, which the libraries do not.
CALL_TIMEOUT_S: Final = 30.0
# Local sockets answer at once; a bus that takes longer to let somebody in is stopped.
CONNECT_TIMEOUT_S: Final = 5.0
# systemd starts a service again after 100 ms, and kdbd starts in 1.5 s with 100,000 keys.
RESTART_WAIT_S: Final = 10.0
# Before each further try for a bus that is away: soon at first, for a restart takes less than a
# second; together RESTART_WAIT_S.
RESTS_S: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)
_DBUS: Final = "org.freedesktop.DBus"
PROPERTIES: Final = f"{_DBUS}.Properties"
_PEER: Final = f"{_DBUS}.Peer"
# What kdbd answers where it has no such handle of ours, as after a restart.
UNKNOWN_OBJECT: Final = f"{_DBUS}.Error.UnknownObject"
OWNER_RULE: Final = (
    f"type='signal',sender='{_DBUS}',path='/org/freedesktop/DBus',interface='{_DBUS}',"
    f"member='NameOwnerChanged',arg0='{BUS_NAME}'"
)


class Disconnected(Exception):
    """The connection to the bus is lost, or there is no bus."""


class NotSent(Disconnected):
    """The connection was lost before the whole call had been sent: nobody can have acted on it."""


class GivenUp(Disconnected):
    """The bus or kdbd stayed away for ``RESTART_WAIT_S``."""


class TimedOut(Exception):
    """No answer came in time."""


class CallFailed(Exception):
    """The answer to a call was a D-Bus error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


@dataclass(frozen=True, slots=True)
class Connect:
    """Make sure that there is a connection to the bus."""


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """Wait until a signal has come since the last AwaitSignal."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """A method call. A *block* stands for two more arguments ``ayah``, of which it fills one."""

    member: str
    signature: str = ""
    body: tuple[Any, ...] = ()
    block: bytes | None = None
    path: str = OBJECT_PATH
    interface: str = INTERFACE
    destination: str = BUS_NAME
    start_service: bool = True


class Reply(NamedTuple):
    """The answer to a call. Each received descriptor is replaced by the bytes that it held."""

    body: tuple[Any, ...]
    sender: str


T = TypeVar("T")
Request = Connect | Call | AwaitSignal | Rest
Operation = Generator[Request, Reply | None, T]


def await_service() -> Operation[None]:
    """Wait for the bus, then for kdbd, to be there again; kdbd is started if the bus can.

    Raises:
        GivenUp: they stayed away.

    """
    for seconds in RESTS_S:
        try:
            yield Connect()
            break
        except Disconnected:
            yield Rest(seconds)
    else:
        raise GivenUp(f"the bus was gone for {RESTART_WAIT_S:.0f} s")
    yield bus_call("AddMatch", "s", OWNER_RULE)
    while not (yield from _is_there()):
        try:
            yield AwaitSignal(RESTART_WAIT_S)
        except TimedOut:
            raise GivenUp(f"kdbd was gone for {RESTART_WAIT_S:.0f} s") from None
    yield bus_call("RemoveMatch", "s", OWNER_RULE)


def _is_there() -> Operation[bool]:
    """Tell whether kdbd is on the bus; start it if the bus knows how."""
    reply = yield bus_call("NameHasOwner", "s", BUS_NAME)
    assert reply is not None
    if reply.body[0]:
        return True
    try:
        yield bus_call("StartServiceByName", "su", BUS_NAME, 0)
    except CallFailed as failure:
        if is_gone(failure):
            return False
        raise
    return True


def find_again(path: str, *, start_service: bool = True) -> Operation[str]:
    """Return the unique name of the kdbd that has this handle of ours, or "" where none has.

    kdbd may have come back to the bus under another name; handles belong to the client's name,
    so ours is there still.
    """
    try:
        reply = yield Call("Ping", path=path, interface=_PEER, start_service=start_service)
    except CallFailed as failure:
        if failure.name == UNKNOWN_OBJECT:
            return ""
        raise
    assert reply is not None
    return reply.sender


def bus_call(member: str, signature: str, *body: Any) -> Call:
    """Return a call to the bus itself."""
    return Call(member, signature, body, None, "/org/freedesktop/DBus", _DBUS, _DBUS)


def as_error(failure: Disconnected | CallFailed | TimedOut) -> KDBError:
    """Return the key database's error for a failure that the shell threw in."""
    if isinstance(failure, CallFailed):
        return from_dbus_error(failure.name, failure.text)
    if isinstance(failure, Disconnected):
        return no_service(str(failure))
    return ResourceError(
        f"kdbd did not answer within {CALL_TIMEOUT_S:.0f} s; what was asked may still be done, "
        "so get again to see",
        module="kdb",
    )


# What nobody can have acted on: the destination was not there, or not the handle.
_UNDELIVERED: Final = frozenset(
    (f"{_DBUS}.Error.ServiceUnknown", f"{_DBUS}.Error.NameHasNoOwner", UNKNOWN_OBJECT)
)
_GONE: Final = _UNDELIVERED | {f"{_DBUS}.Error.NoReply", f"{_DBUS}.Error.Disconnected"}


def is_gone(failure: Exception) -> bool:
    """Tell whether the kdbd of the handle, or the bus, went away."""
    return isinstance(failure, Disconnected) or (
        isinstance(failure, CallFailed) and failure.name in _GONE
    )


def may_be_done(failure: Exception) -> bool:
    """Tell whether what was asked may be done, though no answer to it came."""
    if isinstance(failure, CallFailed):
        return is_gone(failure) and failure.name not in _UNDELIVERED
    return isinstance(failure, Disconnected | TimedOut) and not isinstance(failure, NotSent)
