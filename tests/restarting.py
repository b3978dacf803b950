"""Ways in which a bus and a kdbd end and come back."""

from __future__ import annotations

from daemon_process import DaemonProcess

from private_bus import PrivateBus

__all__ = ["kill_both", "kill_daemon", "restart_bus"]


def kill_daemon(kdbd: DaemonProcess, bus: PrivateBus) -> None:
    """Kill kdbd, and start it again."""
    kdbd.kill()
    kdbd.start()


def restart_bus(kdbd: DaemonProcess, bus: PrivateBus) -> None:
    """Restart the bus, and wait until kdbd is on it."""
    connected = sum(each.get("event") == "bus.connected" for each in kdbd.events)
    bus.restart()
    kdbd.wait_for_event("bus.connected", connected + 1)


def kill_both(kdbd: DaemonProcess, bus: PrivateBus) -> None:
    """Kill both, and start both again."""
    bus.kill()
    kdbd.kill()
    bus.start()
    kdbd.start()
