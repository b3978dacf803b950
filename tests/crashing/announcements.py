"""A subscriber that stays on the bus while kdbd comes and goes, and what it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jeepney import HeaderFields, Message
from jeepney.bus_messages import MatchRule

from crashing.peer import Peer
from kdb.protocol import BUS_NAME, INTERFACE, SIGNAL_INTERFACE

__all__ = ["ChangeSet", "Subscriber"]

ChangeSet = frozenset[tuple[str, str]]
"""What a commit did: (added, changed or removed, name), …"""

_MEMBERS: Final = {"KeyAdded": "added", "KeyChanged": "changed", "KeyDeleted": "removed"}


class Subscriber:
    """Takes signals apart into announcements of commits.

    An announcement is whole when it ends with its ``Committed``; one that the end of kdbd cut off
    does not count. ``quiet`` tells the keys for which their mountpoint's ``Commit`` stands.
    """

    def __init__(self, address: str, *, quiet: Callable[[str], str]) -> None:
        self._peer = Peer(address)
        self._quiet = quiet
        self._keys: set[tuple[str, str]] = set()
        self._mountpoints: set[str] = set()
        self._announced: dict[int, ChangeSet] = {}
        # Whether kdbd is on the bus, and how often it left.
        self._alive = False
        self._deaths = 0
        self._peer.subscribe(MatchRule(type="signal", interface=SIGNAL_INTERFACE))
        self._peer.subscribe(MatchRule(type="signal", interface=INTERFACE, member="Committed"))
        owner = MatchRule(
            type="signal", interface="org.freedesktop.DBus", member="NameOwnerChanged"
        )
        owner.add_arg_condition(0, BUS_NAME)
        self._peer.subscribe(owner)

    def close(self) -> None:
        """Leave the bus."""
        self._peer.close()

    def read(self) -> None:
        """Take in what has come."""
        self._peer.answers()
        signals, self._peer.signals = self._peer.signals, []
        for message in signals:
            self._take(message)

    def announced(self, revision: int) -> ChangeSet | None:
        """Answer what was announced as this revision."""
        return self._announced.get(revision)

    def wait_for(self, revision: int) -> bool:
        """Wait until a revision is announced or kdbd leaves the bus; tell whether it is."""
        deaths = self._deaths
        self.read()
        while revision not in self._announced and self._deaths == deaths:
            self._peer.wait()
            self.read()
        return revision in self._announced

    def wait_for_death(self) -> None:
        """Wait until kdbd has left the bus."""
        self.read()
        while self._alive:
            self._peer.wait()
            self.read()

    def _take(self, message: Message) -> None:
        member = message.header.fields[HeaderFields.member]
        if member == "NameOwnerChanged":
            self._keys.clear()
            self._mountpoints.clear()
            self._alive = bool(message.body[2])
            self._deaths += not self._alive
        elif member == "Commit":
            self._mountpoints.add(message.body[0])
        elif member in _MEMBERS:
            change = (_MEMBERS[member], message.body[0])
            assert change not in self._keys, f"{change} is told twice for one commit"
            self._keys.add(change)
        else:
            self._finish(message)

    def _finish(self, message: Message) -> None:
        """Check that key signals and Committed tell the same."""
        revision, added, changed, removed, complete = message.body
        assert complete
        kinds = {"added": added, "changed": changed, "removed": removed}
        for kind, names in kinds.items():
            assert len(set(names)) == len(names), f"{revision} names {kind} keys twice"
        changes = frozenset((kind, name) for kind, names in kinds.items() for name in names)
        quiet = {self._quiet(name): (kind, name) for kind, name in changes}
        loud = {(kind, name) for kind, name in changes if not self._quiet(name)}
        assert self._keys == loud, f"revision {revision}: {self._keys} told, {loud} committed"
        assert self._mountpoints == set(quiet) - {""}, f"revision {revision}: Commit"
        before = self._announced.get(revision, changes)
        assert before == changes, f"revision {revision} is announced as two different commits"
        self._announced[revision] = changes
        self._keys.clear()
        self._mountpoints.clear()
