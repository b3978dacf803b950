"""Private buses, and a kdbd of each test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

# What it asserts is told as fully as what tests do.
pytest.register_assert_rewrite("transcripts")

from bus_fixtures import bus, system_bus  # noqa: E402 - the line above comes first
from daemon_process import UNMEASURED, DaemonProcess  # noqa: E402 - the same

from private_bus import PrivateBus  # noqa: E402 - the same

__all__ = ["bus", "kdbd", "system_bus"]


@pytest.fixture
def kdbd(
    bus: PrivateBus, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[DaemonProcess]:
    """Run a kdbd of the test's own, on stores of its own.

    Without coverage, which the integration tests measure of it. The same goes for the commands of
    a module that says ``IS_MEASURED = False``: coverage takes longer than they do.
    """
    clients = {} if getattr(request.module, "IS_MEASURED", True) else UNMEASURED
    with DaemonProcess(bus, tmp_path, environment=UNMEASURED, clients=clients) as running:
        yield running
