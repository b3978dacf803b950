"""The methods that write keys: each is a commit of its own, on the present state."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

from kdb.model.content import Content, meta
from kdb.model.errors import InterfaceError
from kdb.model.names import canonical, unescape
from kdbd.bus.calls import AT_ONCE_BYTES, Call
from kdbd.bus.context import Context, view_of
from kdbd.bus.dispatch import Later
from kdbd.bus.values import content
from kdbd.core import requests, structure
from kdbd.core.commit import Caller
from kdbd.core.handles import Handle
from kdbd.core.mounts import MOUNTPOINTS, MountSpec
from kdbd.core.view import View
from kdbd.jobs import Outcome
from kdbd.rewriter import Rewriter

__all__ = ["Writing"]

Subject = View | Handle
Answer = Later[Sequence[Any]]


# All that a view shows.
_ROOT = unescape("/")


class Writing:
    """SetString, Set, SetMeta, RemoveMeta, Remove, Apply, Mount, Unmount, Sync."""

    def __init__(self, context: Context, rewriter: Rewriter) -> None:
        self._context = context
        self._rewriter = rewriter

    def _one(self, call: Call, view: View, key: bytes, request: requests.Request) -> Answer:
        caller = self._context.caller(call)
        self._context.fresh(view, key)
        return self._context.submit(caller, view, request, [key], _revision)

    def set_string(self, subject: Subject, call: Call, name: str, value: str) -> Answer:
        view, key = view_of(subject), unescape(name)
        return self._one(call, view, key, requests.set_string(view, key, value))

    def set(
        self, subject: Subject, call: Call, name: str, value: bytes, metadata: Mapping[str, str]
    ) -> Answer:
        view, key = view_of(subject), unescape(name)
        return self._one(call, view, key, requests.put(view, key, content(value, metadata)))

    def set_meta(
        self, subject: Subject, call: Call, name: str, meta_name: str, value: str
    ) -> Answer:
        view, key = view_of(subject), unescape(name)
        meta({meta_name: value})
        return self._one(call, view, key, requests.set_meta(view, key, meta_name, value))

    def remove_meta(self, subject: Subject, call: Call, name: str, meta_name: str) -> Answer:
        view, key = view_of(subject), unescape(name)
        meta({meta_name: ""})
        return self._one(call, view, key, requests.remove_meta(view, key, meta_name))

    def remove(self, subject: Subject, call: Call, name: str, recursive: bool) -> Answer:
        view, key = view_of(subject), unescape(name)
        caller = self._context.caller(call)
        self._context.fresh_below(view, key)
        request = requests.remove(view, key, recursive=recursive)
        return self._context.submit(caller, view, request, [key], _removed)

    def apply(
        self,
        subject: Subject,
        call: Call,
        put: Sequence[Sequence[Any]],
        remove: Sequence[str],
        expected: int,
        options: Mapping[str, Any],
    ) -> Any:
        view = view_of(subject)
        reason = _reason(options)
        caller = self._context.caller(call)
        if call.size > AT_ONCE_BYTES:
            return self._apply_large(view, caller, (put, remove), expected, reason)
        wanted = _checked(put, remove)
        self._context.fresh_names(view, wanted.names)
        return self._apply(view, caller, wanted, expected, reason)

    async def _apply_large(
        self,
        view: View,
        caller: Caller,
        asked: tuple[Sequence[Sequence[Any]], Sequence[str]],
        expected: int,
        reason: str,
    ) -> Sequence[Any]:
        wanted = await self._context.unhurried.run(_checked, *asked)
        await self._context.freshen_below(view, _ROOT)
        return await self._apply(view, caller, wanted, expected, reason)

    def _apply(
        self, view: View, caller: Caller, wanted: _Wanted, expected: int, reason: str
    ) -> Answer:
        request = requests.apply_all(
            view,
            wanted.puts,
            wanted.removes,
            expected=expected,
            removed_since=self._context.database.removed_since,
        )
        return self._context.submit(caller, view, request, wanted.names, _revision, reason=reason)

    def mount(
        self, subject: Subject, call: Call, mountpoint: str, path: str, options: Mapping[str, str]
    ) -> Answer:
        view = view_of(subject)
        _check_mount(options)
        spec = MountSpec(canonical(mountpoint), path, "announce" in options)
        if not path:
            raise InterfaceError("A mountpoint needs a file. Name one")
        caller = self._context.caller(call)
        self._context.fresh_below(view, MOUNTPOINTS)
        request = structure.mount(view, spec, replace="replace" in options)
        return self._context.submit(caller, view, request, [MOUNTPOINTS], _revision)

    def unmount(self, subject: Subject, call: Call, mountpoint: str) -> Answer:
        view = view_of(subject)
        name = canonical(mountpoint)
        caller = self._context.caller(call)
        self._context.fresh_below(view, MOUNTPOINTS)
        request = structure.unmount(view, name)
        return self._context.submit(caller, view, request, [MOUNTPOINTS], _revision)

    def sync(self, subject: Subject, call: Call) -> Awaitable[Sequence[Any]]:
        self._context.caller(call)
        return self._sync()

    async def _sync(self) -> Sequence[Any]:
        await self._rewriter.sync()
        return ()


class _Wanted(NamedTuple):
    """What Apply is to put and to remove, and all these names."""

    puts: list[tuple[bytes, Content]]
    removes: list[bytes]
    names: list[bytes]


def _checked(put: Sequence[Sequence[Any]], remove: Sequence[str]) -> _Wanted:
    """Check Apply's arguments; raise what is wrong with them."""
    puts = [(unescape(name), content(value, metadata)) for name, value, metadata in put]
    removes = [unescape(name) for name in remove]
    return _Wanted(puts, removes, [*(name for name, _ in puts), *removes])


def _revision(outcome: Outcome) -> Sequence[Any]:
    return (outcome.revision,)


def _removed(outcome: Outcome) -> Sequence[Any]:
    return (outcome.answer, outcome.revision)


def _check_mount(options: Mapping[str, str]) -> None:
    known = {"storage": ("dump",), "announce": ("once",), "replace": ("yes",)}
    for option, value in options.items():
        if option not in known:
            raise InterfaceError(f"Mount knows no option {option!r}, but {', '.join(known)}")
        if value not in known[option]:
            raise InterfaceError(f"The option {option} of Mount is {known[option][0]!r}")


def _reason(options: Mapping[str, Any]) -> str:
    for option, value in options.items():
        if option != "reason" or value.signature != "s":
            raise InterfaceError("Apply knows the option 'reason', a string, and no other")
    return str(options["reason"].value) if options else ""
