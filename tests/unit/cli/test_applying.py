"""Changes that follow from what was read: planned again where others changed the same keys."""

import pytest

from kdb.cli.applying import apply
from kdb.cli.bus import CallError

CONFLICT = "org.libelektra.KDB1.Error.ConflictingState"


class Bus:
    """kdbd's Apply, which somebody is so often quicker than; revisions grow by one each time."""

    def __init__(self, conflicts):
        self.conflicts = conflicts
        self.present = 6
        self.applied = []

    def revision(self):
        self.present += 1
        return self.present

    def call(self, member, signature, puts, removed, expected, options):
        assert (member, signature, options) == ("Apply", "a(saya{ss})asta{sv}", {})
        if self.conflicts:
            self.conflicts -= 1
            raise CallError(CONFLICT, f"changed after {expected}")
        self.applied.append((puts, removed, expected))


def plan():
    return [("user:/a", b"1", {})], ["user:/b"]


@pytest.mark.parametrize("conflicts", [0, 1, 4])
def test_a_conflict_is_planned_again_with_the_revision_of_then(conflicts):
    bus = Bus(conflicts)
    apply(bus, plan)
    assert bus.applied == [(*plan(), 7 + conflicts)]


def test_a_conflict_that_stays_is_the_callers_error():
    bus = Bus(5)
    with pytest.raises(CallError, match="changed after 11"):
        apply(bus, plan)
    assert bus.applied == []


def test_nothing_to_do_asks_for_nothing():
    bus = Bus(0)
    apply(bus, lambda: ([], []))
    assert bus.applied == []
