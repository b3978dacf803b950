"""Private buses, a kdbd of each test's own, and the counts of what was killed where."""

import pytest

# What it asserts is told as fully as what tests do.
pytest.register_assert_rewrite("crashing")

from bus_fixtures import bus, kdbd, system_bus  # noqa: E402 - the line above comes first

__all__ = ["bus", "kdbd", "system_bus"]


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
