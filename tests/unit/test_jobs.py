"""What requests take of a flight."""

from __future__ import annotations

from kdb.model.content import make
from kdb.model.names import unescape
from kdbd.core.backend import Backend
from kdbd.core.commit import KeyChange
from kdbd.jobs import FLIGHT_BYTES, flight_bytes

BACKEND = Backend(1, unescape("user:/"))


def _change(old: str | None, new: str | None, **metadata: str) -> KeyChange:
    return KeyChange(
        BACKEND,
        unescape("user:/a"),
        None if old is None else make(old, {}),
        None if new is None else make(new, metadata),
    )


def test_changes_take_what_they_hold_and_a_little_each() -> None:
    assert flight_bytes([]) == 0
    assert flight_bytes([_change("12", "123")]) == 1024 + 5
    assert flight_bytes([_change(None, "1", note="12345"), _change("1", None)]) == 2 * 1024 + 7


def test_many_changes_fill_a_flight() -> None:
    assert flight_bytes([_change(None, "1")] * (FLIGHT_BYTES // 1024)) == FLIGHT_BYTES
