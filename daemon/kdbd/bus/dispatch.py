"""From a call to the method that it names, and from what that comes to to its reply.

A method is a plain function of the service: it answers the reply's body, or what
awaits it (``Later``, where that is the result of a future).
Where it needs something that takes time first (who the caller is; a file that somebody edited), it
raises ``Await``: that is done, and the method is called again.

Everything that is wrong with a call is an error of its own name; nothing of the service's inside
is told.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from kdb.model.errors import InternalError, KDBError, LimitsExceeded
from kdbd.bus.calls import Call
from kdbd.bus.interfaces import Method, methods
from kdbd.bus.load import Load

__all__ = ["Await", "Dispatcher", "Later", "Objects", "Refusal", "Reply", "Target"]

T = TypeVar("T")

_FREEDESKTOP = "org.freedesktop.DBus.Error."
# What a method may wait for before it goes on: the caller's credentials, and each file that it
# touches being read anew. A file that changes faster than it is read is not waited for longer.
_MAX_AWAITS = 8


class Await(Exception):  # no failure: the method goes on afterwards
    """The method needs this awaited, then it can be called again."""

    def __init__(self, what: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.what = what


class Refusal(Exception):  # a fact for the caller
    """The call asks for what D-Bus itself has an error for; ``name`` comes without its prefix."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


class Later(Generic[T]):
    """A reply's body that is made of a future's result once it is there."""

    __slots__ = ("body", "future")

    def __init__(self, future: asyncio.Future[Any], body: Callable[[Any], T]) -> None:
        self.future = future
        self.body = body

    def __await__(self) -> Generator[Any, None, T]:
        return self.body((yield from self.future))


class Reply(NamedTuple):
    """A reply's body and the descriptors that it refers to, which are closed once it is sent."""

    body: Sequence[Any]
    fds: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """An object as one caller may use it: its interfaces, and what its methods work on."""

    interfaces: tuple[str, ...]
    subject: Any = None


class Objects(Protocol):
    """The service's objects and methods."""

    def find(self, path: str, sender: str) -> Target | None:
        """Answer the object at a path as the sender may use it."""

    @property
    def handlers(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        """The functions by (interface, member); called with the target, the call and its body."""


class Sender(Protocol):
    """What answers calls."""

    def reply(
        self, call: Call, signature: str, body: Sequence[Any], fds: Sequence[int] = ()
    ) -> None: ...

    def error(self, call: Call, name: str, text: str) -> None: ...


class Dispatcher:
    """Calls the service's methods and answers their callers."""

    def __init__(self, objects: Objects, sender: Sender, log: Any) -> None:
        self._objects = objects
        self._sender = sender
        self._log = log
        self._load = Load()

    def __call__(self, call: Call) -> Awaitable[None] | None:
        """Deal with a call; what is answered is awaited by the transport."""
        target = self._objects.find(call.path, call.sender)
        if target is None:
            self._refuse(call, "UnknownObject", f"There is no object {call.path} for you")
            return None
        interface, method = self._method(call, target)
        if method is None:
            return None
        if call.signature != method.takes:
            self._refuse(
                call,
                "InvalidArgs",
                f"{call.member} takes the arguments '{method.takes}', not '{call.signature}'",
            )
            return None
        handler = partial(self._objects.handlers[interface, call.member], target.subject, call)
        size = 0
        try:
            # Counted before: what the handler sends on its way cannot be called back.
            size = self._load.take_on(call)
        except LimitsExceeded as error:
            self._fail(call, error)
            return None
        try:
            result = handler(*call.body)
        except Await as pending:
            return self._await(call, method, self._retry(call, handler, pending), size)
        except (KDBError, Refusal) as error:
            self._load.give_back(call, size)
            self._fail(call, error)
            return None
        except BaseException:
            self._load.give_back(call, size)
            raise
        if isinstance(result, Later):
            finish = partial(self._finish, call, method, size, result.body)
            result.future.add_done_callback(finish)
        elif isinstance(result, (Coroutine, asyncio.Future)):
            return self._await(call, method, result, size)
        else:
            self._load.give_back(call, size)
            self._reply(call, method, result)
        return None

    def _method(self, call: Call, target: Target) -> tuple[str, Method | None]:
        if call.interface is None:
            for interface in target.interfaces:
                if call.member in methods(interface):
                    return interface, methods(interface)[call.member]
        elif call.interface not in target.interfaces:
            self._refuse(call, "UnknownInterface", f"{call.path} has no interface {call.interface}")
            return call.interface, None
        elif call.member in methods(call.interface):
            return call.interface, methods(call.interface)[call.member]
        self._refuse(call, "UnknownMethod", f"{call.path} has no method {call.member}")
        return "", None

    def _refuse(self, call: Call, name: str, text: str) -> None:
        self._sender.error(call, _FREEDESKTOP + name, text)

    def _finish(
        self,
        call: Call,
        method: Method,
        size: int,
        body: Callable[[Any], Any],
        done: asyncio.Future[Any],
    ) -> None:
        self._load.give_back(call, size)
        if done.cancelled():
            return
        try:
            result = body(done.result())
        except Exception as error:  # noqa: BLE001  # the message boundary
            self._fail(call, error)
        else:
            self._reply(call, method, result)

    def _fail(self, call: Call, error: BaseException) -> None:
        if isinstance(error, Refusal):
            self._refuse(call, error.name, error.text)
            return
        if not isinstance(error, KDBError):
            self._log.error("call.failed", member=call.member, exc_info=error)
            error = InternalError("kdbd failed on this call; its log tells more")
        self._sender.error(call, error.dbus_name, str(error))

    def _reply(self, call: Call, method: Method, result: Any) -> None:
        body, fds = result if isinstance(result, Reply) else (result, ())
        try:
            self._sender.reply(call, method.answers, body, fds)
        finally:
            for fd in fds:
                os.close(fd)

    async def _await(self, call: Call, method: Method, result: Awaitable[Any], size: int) -> None:
        try:
            answer = await result
        except Exception as error:  # noqa: BLE001  # the message boundary
            self._fail(call, error)
        else:
            self._reply(call, method, answer)
        finally:
            self._load.give_back(call, size)

    async def _retry(self, call: Call, handler: Callable[..., Any], pending: Await) -> Any:
        """Do what the method waits for, and call it again."""
        for _ in range(_MAX_AWAITS):
            await pending.what()
            try:
                result = handler(*call.body)
            except Await as more:
                pending = more
                continue
            return await result if isinstance(result, Awaitable) else result
        raise InternalError("What this call needs changes faster than it can be read")
