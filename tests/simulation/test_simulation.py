"""The service against its model, everything around it moved at random.

Each seed is one history: several clients, edited files, mounts, full and failing disks, journals
that refuse, and crashes that drop whatever was not synced, in any order. `World` checks after every
step, and at rest, that what was acknowledged is there and nothing is half there, that revisions,
files and signals agree with the model, and that no edit was overwritten unseen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simulated.world import World

STEPS = 400
GROUPS = 20
SEEDS_IN_A_GROUP = 3
SOAK_SEEDS_IN_A_GROUP = 100


@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_happens_is_as_the_model_says(group: int, soak: bool, tmp_path: Path) -> None:
    count = SOAK_SEEDS_IN_A_GROUP if soak else SEEDS_IN_A_GROUP
    for seed in range(group * SOAK_SEEDS_IN_A_GROUP, group * SOAK_SEEDS_IN_A_GROUP + count):
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
