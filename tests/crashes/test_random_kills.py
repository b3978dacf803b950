"""kill -9 at any moment under load: 200 times, with --soak 1,000 times.

Each time everything is looked at that was done since (`crashing.lane`). kdbd runs as users run it;
now and then it is killed while it starts, which is recovery from the kill before.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from crashing.lane import Lane
from crashing.slots import editing_slots, mounting_slots, slots
from daemon_process import UNMEASURED, DaemonProcess

from private_bus import PrivateBus

LANES = 4
KILLS = 200
SOAK_KILLS = 1_000
# A hundred commits take about so long, and a start until it serves.
LOAD_S = 0.12
START_S = 0.25

Record = Callable[[str, object], None]


@pytest.mark.parametrize("number", range(LANES))
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(
    number: int, bus: PrivateBus, tmp_path: Path, soak: bool, record_property: Record
) -> None:
    wanted = (SOAK_KILLS if soak else KILLS) // LANES
    chance = random.Random(number)
    # Of a process that is killed, coverage has nothing; it only slows the start.
    daemon = DaemonProcess(
        bus, tmp_path, command=(sys.executable, "-m", "kdbd"), environment=UNMEASURED
    )
    load = [*slots(chance), *mounting_slots(), *editing_slots(daemon.user / "edited.ecf")]
    kills = 0
    with Lane(daemon, load, chance) as lane:
        daemon.start()
        lane.prepare()
        while kills < wanted:
            if daemon.process is None:
                daemon.start(ready=False)
            if chance.random() < 0.1:
                daemon.is_ready(chance.uniform(0, START_S))
            else:
                assert daemon.is_ready(), daemon.events
                lane.look()
                lane.load(lambda: True, monotonic() + chance.uniform(0, LOAD_S))
            daemon.kill()
            lane.lost()
            kills += 1
        daemon.start()
        lane.look()
        assert lane.looked > wanted // 2
        assert daemon.stop() == 0
    record_property("kills", ["at random", kills, lane.acknowledged])
