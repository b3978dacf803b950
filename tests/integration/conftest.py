"""What the integration tests share: private buses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# With --import-mode=importlib pytest puts no directory of tests on the path.
sys.path[:0] = [str(Path(__file__).resolve().parents[depth]) for depth in (0, 1)]

# What they assert is told as fully as what tests do.
pytest.register_assert_rewrite("crashing")

from daemon_process import DaemonProcess  # noqa: E402 - needs the path above

from private_bus import PrivateBus  # noqa: E402 - the same


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    """Run a session bus of the test's own."""
    with PrivateBus() as running:
        yield running


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    """Run a system bus of the test's own, with the project's policies."""
    policies = Path(__file__).resolve().parents[2] / "dbus-policy"
    with PrivateBus("system", policies=(policies,)) as running:
        yield running


@pytest.fixture
def kdbd(bus: PrivateBus, tmp_path: Path) -> Iterator[DaemonProcess]:
    """Run a kdbd of the test's own, on stores of its own."""
    with DaemonProcess(bus, tmp_path) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how often kdbd was killed where, and what it had acknowledged until then."""
    kills: dict[str, list[int]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "kills":
                where, count, acknowledged = value
                sums = kills.setdefault(where, [0, 0])
                sums[0] += count
                sums[1] += acknowledged
    for where, (count, acknowledged) in kills.items():
        terminalreporter.write_line(f"killed {where}: {count} times; {acknowledged} acknowledged")
