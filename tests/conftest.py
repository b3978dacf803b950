"""What all tests share: options, hypothesis profiles, and programs that may be missing."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import programs

LIBRARIES = ("dbus-next", "dbus-fast")

# `ci` finds the same examples each time, so that a red run is red again; `search` looks for new
# ones; `soak` does so for long. None has a deadline: two cores are shared with daemons under load.
settings.register_profile(
    "ci", derandomize=True, deadline=None, print_blob=True, database=None, max_examples=100
)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=1_000)
settings.register_profile(
    "soak",
    deadline=None,
    print_blob=True,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)

_left_out = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kdbd")
    group.addoption(
        "--dbus-library",
        choices=LIBRARIES,
        default=LIBRARIES[0],
        help="the D-Bus library that kdbd and kdb.aio run on",
    )
    group.addoption("--soak", action="store_true", help="run the long forms of the tests")
    group.addoption(
        "--all-programs",
        action="store_true",
        help="fail where a program is missing instead of leaving its tests out",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Read by kdbd.bus.library when it is imported, here and in every process that a test starts.
    os.environ["KDBD_DBUS_LIBRARY"] = config.getoption("--dbus-library")
    # An installed console script is what users run: the tests find it first.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings.load_profile(
        os.environ.get("HYPOTHESIS_PROFILE", "soak" if config.getoption("--soak") else "ci")
    )
    config.stash[_left_out] = {}
    config.addinivalue_line(
        "markers", "needs(*programs): the test calls these; without them it is left out"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count, the tests that need a program which is not installed."""
    if config.getoption("--all-programs"):
        return
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    counts = config.stash[_left_out]
    for item in items:
        absent = programs.missing(_needed(item))
        (dropped if absent else kept).append(item)
        for name in absent:
            counts[name] = counts.get(name, 0) + 1
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    absent = programs.missing(_needed(item))
    if absent:
        pytest.fail("\n".join(programs.sentences(absent)), pytrace=False)


def _needed(item: pytest.Item) -> list[str]:
    return [name for marker in item.iter_markers("needs") for name in marker.args]


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Under pytest-xdist only the workers collect, and only the controller prints.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Each worker collects all tests, so any one of them tells the whole.
    node.config.stash[_left_out].update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for name, count in config.stash[_left_out].items():
        (line,) = programs.sentences([name])
        terminalreporter.write_line(f"{count} tests left out: {line}")


@pytest.fixture(scope="session")
def dbus_library(pytestconfig: pytest.Config) -> str:
    """Return the D-Bus library under test: `dbus-next` or `dbus-fast`."""
    return str(pytestconfig.getoption("--dbus-library"))


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Tell whether the long forms are asked for."""
    return bool(pytestconfig.getoption("--soak"))


@pytest.fixture
def uncovered_environment() -> dict[str, str]:
    """Return the environment without what makes Python programs measure their coverage.

    For programs that are no part of kdbd, and for tests of what a start imports.
    """
    return {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
