"""What the tests on real buses share: private buses, and a kdbd of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess

from private_bus import PrivateBus

__all__ = ["bus", "kdbd", "system_bus"]


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    """Run a session bus of the test's own."""
    with PrivateBus() as running:
        yield running


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    """Run a system bus of the test's own, with the project's policies."""
    policies = Path(__file__).resolve().parents[1] / "dbus-policy"
    with PrivateBus("system", policies=(policies,)) as running:
        yield running


@pytest.fixture
def kdbd(bus: PrivateBus, tmp_path: Path) -> Iterator[DaemonProcess]:
    """Run a kdbd of the test's own, on stores of its own."""
    with DaemonProcess(bus, tmp_path) as running:
        yield running
