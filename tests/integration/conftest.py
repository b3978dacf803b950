"""Private buses, and a kdbd of each test's own."""

from bus_fixtures import bus, kdbd, system_bus

__all__ = ["bus", "kdbd", "system_bus"]
