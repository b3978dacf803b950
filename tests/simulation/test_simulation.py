"""The service against its model, everything around it moved at random.

Short histories are drawn by hypothesis, which makes a shorter one of each that fails; long ones
come of seeds, in the soak of new seeds each time.

Each seed is one history: several clients, edited files, mounts, full and failing disks, journals
that refuse, and crashes that drop whatever was not synced, in any order. `World` checks after every
step, and at rest, that what was acknowledged is there and nothing is half there, that revisions,
files and signals agree with the model, and that no edit was overwritten unseen.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulated.world import World

STEPS = 400
GROUPS = 20
SEEDS_IN_A_GROUP = 3
SOAK_SEEDS_IN_A_GROUP = 100
SHORT_STEPS = 60


@pytest.mark.parametrize("readonly", [False, True])
def test_whatever_happens_in_a_short_history_is_as_the_model_says(
    readonly: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # What one draw leads to depends on all before it, so many draws are much alike.
    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.randoms(use_true_random=False))
    def history(chance: random.Random) -> None:
        directory = tmp_path_factory.mktemp("world")
        world = World(directory, chance, readonly=readonly)
        try:
            world.start()
            world.run(SHORT_STEPS)
        except BaseException:
            sys.stdout.write("\n".join([*world.trace, ""]))
            raise
        finally:
            world.close()

    history()


@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_happens_is_as_the_model_says(group: int, soak: bool, tmp_path: Path) -> None:
    first = group * SOAK_SEEDS_IN_A_GROUP
    seeds = [*range(first, first + SEEDS_IN_A_GROUP)]
    if soak:
        fresh = random.SystemRandom()
        seeds += [fresh.randrange(2**32) for _ in range(SOAK_SEEDS_IN_A_GROUP - len(seeds))]
    for seed in seeds:
        directory = tmp_path / f"{seed}"
        directory.mkdir()
        world = World(directory, seed, readonly=seed % 4 == 0)
        try:
            world.start()
            world.run(STEPS)
        except BaseException:
            # pytest shows this where the test fails: what led there.
            sys.stdout.write("\n".join([*world.trace[-100:], f"seed {seed}", ""]))
            raise
        finally:
            world.close()
        assert world.model.revision > 0, "something was committed"
