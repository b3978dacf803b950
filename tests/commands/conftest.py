"""Private buses, and a kdbd of each test's own."""

import pytest

# What it asserts is told as fully as what tests do.
pytest.register_assert_rewrite("transcripts")

from bus_fixtures import bus, kdbd, system_bus  # noqa: E402 - the line above comes first

__all__ = ["bus", "kdbd", "system_bus"]
