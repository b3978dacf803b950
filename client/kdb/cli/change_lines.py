"""Changes of keys as lines: for a person, or as JSON objects."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from kdb.cli.bus import Bus, CallError, NoService
from kdb.cli.colour import GREEN, PLAIN, RED, YELLOW, is_coloured
from kdb.cli.command import bus_for
from kdb.watching import ADDED, CHANGED, LOST, REMOVED, WatchEvent

__all__ = ["Lines"]

_COLOURS: Final = {ADDED: GREEN, CHANGED: YELLOW, REMOVED: RED, LOST: RED}
# Somebody else chose the name and the value: neither may begin a line or steer the terminal.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Lines:
    """Turns changes into lines, as the options of the command ask."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._json = "j" in options
        self._verbose = "v" in options
        self._values = "w" in options
        self._coloured = is_coloured(options)
        self._bus: Bus | None = None

    def line(self, event: WatchEvent) -> str:
        """Return the line of a change, with its end."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        key = self._key(event) if self._values else None
        if self._json:
            return self._object(event, now, key)
        name = _visible(event.name)
        what = f"{event.kind} key:"
        if event.kind == LOST:
            what, name = "lost:", f"more changed than kdbd remembers; read {name} again"
        if self._coloured:
            what = f"{_COLOURS[event.kind]}{what}{PLAIN}"
        line = f"{what} {name}"
        if key is not None:
            line += f" = {_shown(*key)}"
        if self._verbose:
            line = f"{now} {event.revision} {line}"
        return line + "\n"

    def _object(
        self, event: WatchEvent, now: str, key: tuple[bytes, Mapping[str, str]] | None
    ) -> str:
        import json

        document: dict[str, Any] = {
            "revision": event.revision,
            "time": now,
            "change": event.kind,
            "name": event.name,
        }
        if key is not None:
            from kdb.cli import as_json

            value, meta = key
            document |= {**as_json.value(value, meta), "meta": dict(meta)}
        return json.dumps(document, ensure_ascii=False) + "\n"

    def _key(self, event: WatchEvent) -> tuple[bytes, Mapping[str, str]] | None:
        """Return the value and metadata of a key that is there, else None."""
        if event.kind not in (ADDED, CHANGED):
            return None
        # After a restart the connection is gone: once more with a new one.
        for bus in (self._bus or bus_for(event.name), bus_for(event.name)):
            self._bus = bus
            try:
                _, value, meta, _ = bus.call("Get", "s", event.name)
            except (CallError, NoService):
                continue
            return value, meta
        return None


def _shown(value: bytes, meta: Mapping[str, str]) -> str:
    if "binary" in meta:
        return f"{len(value)} bytes" if len(value) != 1 else "1 byte"
    return _visible(value.decode("utf-8", "surrogateescape"))


def _visible(text: str) -> str:
    r"""Return a text on one line: control characters as ``\xXX``."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)
