"""When garbage is collected, and when what is there is frozen."""

import pytest

from kdbd.garbage import Garbage


@pytest.fixture
def asked():
    return []


@pytest.fixture
def garbage(asked):
    return Garbage(
        collect=lambda: asked.append("collect"),
        freeze=lambda: asked.append("freeze"),
        set_threshold=lambda *thresholds: asked.append(thresholds),
    )


def test_what_the_start_loaded_is_frozen(garbage, asked):
    garbage.started()
    assert asked == [(5_000, 5, 100), "collect", "freeze"]


def test_a_large_commit_is_frozen_as_it_is(garbage, asked):
    garbage.changed(2_000)
    assert asked == ["freeze"]


def test_what_many_small_commits_left_is_collected_first(garbage, asked):
    for _ in range(4_999):
        garbage.changed(1)
    assert asked == []
    garbage.changed(1)
    assert asked == ["collect", "freeze"]
    garbage.changed(1)
    assert asked == ["collect", "freeze"]


def test_small_commits_are_counted_anew_after_a_large_one(garbage, asked):
    garbage.changed(1_999)
    garbage.changed(3_000)
    garbage.changed(1_999)
    garbage.changed(1_999)
    assert asked == ["freeze"]
    garbage.changed(1_999)
    assert asked == ["freeze", "collect", "freeze"]
