"""A watch's logic, on a bus without I/O: every change once, in order, across restarts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_bus import Service

from kdb.model import errors
from kdb.model.names import unescape
from kdb.requests import AwaitSignal, Call, CallFailed, Connect, Disconnected, Rest, TimedOut
from kdb.watching import Deliver, WatchEvent, watch


class Watcher:
    """Drives a watch until it waits, and keeps what it delivers."""

    def __init__(self, service, parent="user:/", since=None):
        self.service = service
        self.events = []
        self.steps = watch(unescape(parent), since, {"directory": ("s", "/")})
        self.request = None
        self.go(lambda: next(self.steps))

    def go(self, resume):
        """Go on until it waits for what does not come."""
        while True:
            self.request = resume()
            if isinstance(self.request, Deliver):
                self.events += self.request.events
                resume = self.steps.__next__
                continue
            if isinstance(self.request, AwaitSignal) and self.waits():
                return
            if isinstance(self.request, Rest) and not self.service.bus:
                return
            resume = self.outcome()

    def waits(self):
        return self.service.connected and not self.service.signalled

    def outcome(self):
        try:
            reply = self.service.do(self.request)
        except (Disconnected, CallFailed, TimedOut) as failure:
            caught = failure
            return lambda: self.steps.throw(caught)
        return lambda: self.steps.send(reply)

    def wake(self):
        """Let it see what happened."""
        if isinstance(self.request, AwaitSignal) and not self.service.connected:
            self.go(lambda: self.steps.throw(Disconnected("it broke")))
        else:
            self.go(self.outcome())

    def told(self):
        return [(event.kind, event.name) for event in self.events]


def test_changes_come_from_the_start_on_and_only_of_the_parent():
    service = Service()
    service.put("user:/a", "before")
    watcher = Watcher(service, "user:/a")
    service.put("user:/a", "1")
    service.put("user:/b", "1")
    service.put("user:/a/b", "1")
    service.put("user:/a", None)
    watcher.wake()
    assert watcher.events == [
        WatchEvent(3, "changed", "user:/a"),
        WatchEvent(5, "added", "user:/a/b"),
        WatchEvent(6, "removed", "user:/a"),
    ]


def test_a_watch_goes_on_from_a_revision():
    service = Service()
    service.put("user:/a", "1")
    service.put("user:/b", "1")
    assert Watcher(service, since=2).told() == [("added", "user:/b")]


def test_many_changes_come_page_by_page():
    service = Service(page=3)
    watcher = Watcher(service)
    for number in range(10):
        service.put(f"user:/{number}", "1")
    watcher.wake()
    assert [name for _, name in watcher.told()] == [f"user:/{number}" for number in range(10)]


def test_signals_that_bring_nothing_new_deliver_nothing():
    service = Service()
    watcher = Watcher(service)
    service.signalled = True
    watcher.wake()
    assert watcher.events == []


def test_matches_are_made_before_the_first_question():
    service = Service()
    Watcher(service)
    assert service.done == ["AddMatch", "AddMatch", "AddMatch", "Get", "Changes"]


def test_only_a_handle_knows_dir():
    service = Service()
    Watcher(service, "dir:/a")
    Watcher(service, "/a")
    assert service.done.count("Open") == 2


def test_after_a_restart_of_kdbd_what_was_missed_is_delivered_once():
    service = Service()
    watcher = Watcher(service)
    service.put("user:/a", "1")
    watcher.wake()
    service.owner = None
    service.signalled = True
    watcher.wake()
    service.owner = ":1.1"
    service.put("user:/b", "1")
    service.restart()
    watcher.wake()
    assert watcher.told() == [("added", "user:/a"), ("added", "user:/b")]


def test_the_handle_of_a_watch_is_opened_again_only_where_it_is_gone():
    service = Service()
    watcher = Watcher(service, "/a")
    for number in range(3):
        service.reconnect()
        service.put(f"user:/a/{number}", "1")
        watcher.wake()
    assert (service.done.count("Open"), len(service.handles)) == (1, 1)
    service.restart()
    service.put("user:/a/3", "1")
    watcher.wake()
    assert (service.done.count("Open"), len(service.handles)) == (2, 1)
    assert watcher.told() == [("added", f"user:/a/{number}") for number in range(4)]


def test_while_kdbd_is_away_it_is_not_started_by_a_watch():
    service = Service(activatable=True)
    watcher = Watcher(service)
    service.owner = None
    service.signalled = True
    watcher.wake()
    assert service.owner is None


def test_a_watch_starts_kdbd_where_it_can():
    service = Service(activatable=True, owner=None)
    Watcher(service)
    assert service.owner == ":1.1"


def test_after_a_restart_of_the_bus_what_was_missed_is_delivered_once():
    service = Service()
    watcher = Watcher(service)
    service.put("user:/a", "1")
    watcher.wake()
    service.bus = service.connected = False
    watcher.wake()
    rests = []
    for _ in range(12):
        assert isinstance(watcher.request, Rest)
        rests.append(watcher.request.seconds)
        watcher.wake()
    assert rests[:3] == [0.02, 0.05, 0.1]
    assert rests[-2:] == [2.0, 2.0]
    service.put("user:/b", "1")
    service.restart_bus()
    watcher.wake()
    assert watcher.told() == [("added", "user:/a"), ("added", "user:/b")]
    assert service.done.count("AddMatch") == 6


def test_a_lost_history_is_an_event_and_what_comes_after_it_follows():
    service = Service()
    watcher = Watcher(service, "user:/a")
    service.put("user:/a", "1")
    service.trimmed = 2
    watcher.wake()
    service.put("user:/a", "2")
    watcher.wake()
    assert watcher.events == [
        WatchEvent(2, "lost", "user:/a"),
        WatchEvent(3, "changed", "user:/a"),
    ]


def test_a_store_that_was_replaced_by_an_older_one_is_a_lost_history():
    service = Service(revision=50)
    watcher = Watcher(service)
    service.revision, service.signalled = 3, True
    watcher.wake()
    service.put("user:/a", "1")
    watcher.wake()
    assert watcher.events == [WatchEvent(3, "lost", "user:/"), WatchEvent(4, "added", "user:/a")]


def test_without_kdbd_a_watch_does_not_start():
    with pytest.raises(errors.InstallationError):
        Watcher(Service(owner=None))
    with pytest.raises(errors.InstallationError):
        Watcher(Service(bus=False))


def test_a_refusal_is_raised():
    service = Service()
    watcher = Watcher(service)
    service.trimmed = 0
    service.signalled = True
    service._changes = lambda *_: (_ for _ in ()).throw(errors.AccessDenied("not yours"))
    with pytest.raises(errors.AccessDenied):
        watcher.wake()


def test_a_question_without_an_answer_is_asked_again():
    service = Service()
    watcher = Watcher(service)
    service.put("user:/a", "1")
    watcher.request = watcher.steps.send(None)
    assert isinstance(watcher.request, Call)
    watcher.go(lambda: watcher.steps.throw(TimedOut()))
    assert watcher.told() == [("added", "user:/a")]


def test_a_lost_connection_is_made_anew():
    service = Service()
    steps = watch(unescape("user:/"), None, {})
    assert next(steps) == Connect()
    service.connected = True


EVENTS = st.lists(
    st.sampled_from(["put", "put", "put", "wake", "restart", "restart_bus", "away", "bus_away"]),
    max_size=40,
)


@given(EVENTS, st.integers(1, 4))
def test_every_change_comes_once_and_in_order_whatever_happens(events, page):
    service = Service(page=page)
    watcher = Watcher(service)
    for number, event in enumerate(events):
        if event == "put":
            service.put(f"user:/{number % 5}", str(number) if number % 3 else None)
        elif event == "wake":
            if not watcher.waits():
                watcher.wake()
        elif event == "away":
            service.owner = None
        elif event == "bus_away":
            service.bus = service.connected = False
        else:
            getattr(service, event)()
    service.restart_bus()
    watcher.wake()
    assert watcher.events == [WatchEvent(*row) for row in service.history]
