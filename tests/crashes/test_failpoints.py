"""kill -9 at every step of the pipeline and of file writing.

Each failpoint is hit at least ten times under load, and each time everything is looked at that was
done since (`crashing.lane`). The run prints how often each failpoint was hit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crashing.announcements import Subscriber
from crashing.failpoints import FAILPOINTS
from crashing.fork_server import ForkedDaemon, ForkServer
from crashing.lane import Died, Lane
from crashing.peer import Peer, Request
from crashing.slots import editing_slots, mounting_slots, slots
from daemon_process import UNMEASURED, DaemonProcess

from private_bus import PrivateBus

COMMAND = (sys.executable, str(Path(__file__).parents[1] / "failpoint_daemon.py"))
HITS = 10
# How often a failpoint is passed at most before it kills, by how often it is reached.
PASSES = {
    "backend.": 1,
    "default.remove.": 1,
    "default.": 8,
    "merge.": 3,
    "mount.": 1,
    "mountpoint.remove.": 2,
    "mountpoint.stage.directory": 0,
    "note.": 8,
    "signals.": 100,
    "umount.": 1,
    "": 40,
}
MOUNTING = ("backend.", "mount.", "umount.", "mountpoint.stage.directory")
EDITING = ("merge.",)

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with closing(ForkServer({**os.environ, **UNMEASURED})) as server:
        yield server


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    failpoint: str,
    bus: PrivateBus,
    tmp_path: Path,
    fork_server: ForkServer,
    record_property: Record,
) -> None:
    chance = random.Random(failpoint)
    daemon = ForkedDaemon(bus, tmp_path, fork_server)
    load = list(slots(chance))
    if failpoint.startswith(MOUNTING):
        load += mounting_slots()
    if failpoint.startswith(EDITING):
        load += editing_slots(daemon.user / "edited.ecf")
    most = next(most for start, most in PASSES.items() if failpoint.startswith(start))
    with Lane(daemon, load, chance) as lane:
        daemon.start()
        lane.prepare()
        daemon.stop()
        hits = 0
        while hits < HITS:
            # Asleep it does not keep the look from its end; awake it is met by recovery too.
            asleep = hits % 3 != 2
            daemon.set_failpoint(failpoint, passes=chance.randint(0, most), asleep=asleep)
            hits += _hit(lane, daemon, failpoint, asleep=asleep)
        daemon.environment.clear()
        daemon.start()
        lane.look()
        # Two of three hits are looked at alone, the others with those that follow.
        assert lane.looked > HITS // 2
        assert daemon.stop() == 0
    record_property("kills", [f"failpoint {failpoint}", hits, lane.acknowledged])


def _hit(lane: Lane, daemon: ForkedDaemon, failpoint: str, *, asleep: bool) -> int:
    """Let the daemon run into its failpoint; answer how often it was hit: once."""
    daemon.start(ready=False)
    try:
        if daemon.is_ready():
            lane.look()
            if asleep:
                daemon.wake_failpoint()
            lane.load(lambda: True)
    except Died:
        pass
    assert daemon.wait() == -signal.SIGKILL, daemon.events
    hits = [each for each in daemon.events if each.get("event") == "failpoint"]
    assert hits == [{"event": "failpoint", "name": failpoint}], daemon.events
    if failpoint == "reply.after":
        # So it is where its name says, and no signal left before the reply.
        assert lane.unannounced()
    return len(hits)


def test_what_the_bus_had_not_taken_is_announced_after_the_restart(
    bus: PrivateBus, tmp_path: Path
) -> None:
    # Short calls with much to tell: 60 times 60 signals take about 600 kB.
    trees, keys = 60, 60
    # What counts as announced is noted in the journal with the first rewrite of a file.
    environment = {"KDBD_FAILPOINT": "note.committed", "KDBD_FAILPOINT_ASLEEP": "1"}
    with (
        DaemonProcess(bus, tmp_path, command=COMMAND, environment=environment) as daemon,
        closing(Peer(bus.address)) as peer,
        closing(Subscriber(bus.address, quiet=lambda name: "")) as subscriber,
    ):
        for tree in range(trees):
            put: list[Any] = [(f"user:/{tree}/{key}", b"", {}) for key in range(keys)]
            assert not peer.call(Request("Apply", "a(saya{ss})asta{sv}", (put, [], 0, {}))).error
        assert not peer.call(Request("Sync")).error
        # All calls lie in kdbd's socket when it goes on, with a bus that takes nothing.
        daemon.suspend()
        for tree in range(trees):
            peer.send(Request("Remove", "sb", (f"user:/{tree}", True)))
        peer.ask_bus()
        bus.suspend()
        daemon.wake_failpoint()
        daemon.resume()
        assert daemon.wait() == -signal.SIGKILL
        bus.resume()
        subscriber.wait_for_death()
        announced = [each for each in range(1, 2 * trees + 1) if subscriber.announced(each)]
        daemon.environment.clear()
        daemon.start()
        revision = daemon.wait_for_event("ready")["revision"]
        assert len(announced) < revision
        for each in range(1, revision + 1):
            assert subscriber.wait_for(each)


def test_the_entry_script_runs_by_itself(bus: PrivateBus, tmp_path: Path) -> None:
    environment = {"KDBD_FAILPOINT": "reply.before", "KDBD_FAILPOINT_PASSES": "1"}
    with DaemonProcess(bus, tmp_path, command=COMMAND, environment=environment) as daemon:
        command = [sys.executable, "-m", "kdb.cli", "set", "user:/a"]
        daemon.run(*command, "1")
        with pytest.raises(subprocess.CalledProcessError):
            daemon.run(*command, "2")
        assert daemon.wait() == -signal.SIGKILL
        assert daemon.events[-1] == {"event": "failpoint", "name": "reply.before"}
