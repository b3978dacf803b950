"""What is measured: how each service is started and seeded, and the calls it understands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jeepney import DBusAddress, new_method_call

from figures import KDBD
from kdb.wire import BUS_NAME, INTERFACE, OBJECT_PATH, SIGNAL_INTERFACE
from seeds import path_of, seed_dconf, seed_kdbd, seed_xfconfd

__all__ = ["SUBJECT_BY_NAME", "Subject", "missing_services"]

_SERVICES: Final = Path("/usr/share/dbus-1/services")
_XFCONF, _DCONF = "org.xfce.Xfconf", "ca.desrt.dconf"
_PACKAGES: Final = {_XFCONF: "xfconf", _DCONF: "dconf-service"}
_XFCONF_ADDRESS = DBusAddress("/org/xfce/Xfconf", _XFCONF, _XFCONF)
_DCONF_ADDRESS = DBusAddress("/ca/desrt/dconf/Writer/user", _DCONF, "ca.desrt.dconf.Writer")
_KDBD_ADDRESS = DBusAddress(OBJECT_PATH, BUS_NAME, INTERFACE)


@dataclass(frozen=True, slots=True)
class Subject:
    """One service. Its files lie in a directory that is its XDG_CONFIG_HOME.

    `set_message` and `get_message` take the number of a key; where a service has no call to get
    (dconf's clients read its file), there is no `get_message`. `rule` matches the signal that a
    set of one key makes it send.
    """

    name: str
    bus_name: str
    command: Callable[[Path], list[str]]
    seed: Callable[[Path, int], None]
    rule: str
    set_message: Callable[[int, str], Any]
    get_message: Callable[[int], Any] | None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_kdbd(self) -> bool:
        """Whether this is kdbd, which has handles too."""
        return self.name in KDBD


def _kdbd(library: str) -> Subject:
    return Subject(
        library,
        BUS_NAME,
        lambda directory: [
            sys.executable,
            "-m",
            "kdbd",
            f"--user-dir={directory}",
            f"--system-dir={directory.parent / 'system'}",
            f"--spec-dir={directory.parent / 'spec'}",
            f"--state-dir={directory.parent / 'state'}",
            "--log-format=json",
        ],
        seed_kdbd,
        f"type='signal',interface='{SIGNAL_INTERFACE}',member='KeyChanged'",
        lambda index, value: new_method_call(
            _KDBD_ADDRESS, "SetString", "ss", (f"user:{path_of(index)}", value)
        ),
        lambda index: new_method_call(_KDBD_ADDRESS, "GetString", "s", (f"user:{path_of(index)}",)),
        {"KDBD_DBUS_LIBRARY": library},
    )


def _xfconfd() -> Subject:
    return Subject(
        "xfconfd",
        _XFCONF,
        lambda _: [_program(_XFCONF)],
        seed_xfconfd,
        f"type='signal',interface='{_XFCONF}',member='PropertyChanged'",
        lambda index, value: new_method_call(
            _XFCONF_ADDRESS, "SetProperty", "ssv", ("bench", path_of(index), ("s", value))
        ),
        lambda index: new_method_call(
            _XFCONF_ADDRESS, "GetProperty", "ss", ("bench", path_of(index))
        ),
    )


def _dconf() -> Subject:
    return Subject(
        "dconf",
        _DCONF,
        lambda _: [_program(_DCONF)],
        seed_dconf,
        "type='signal',interface='ca.desrt.dconf.Writer',member='Notify'",
        lambda index, value: new_method_call(
            _DCONF_ADDRESS, "Change", "ay", (_changeset(path_of(index), value),)
        ),
        None,
    )


def _changeset(path: str, value: str) -> bytes:
    """Return one string put, as dconf sends it: GVariant's form of `a{smv}`, little-endian.

    A dictionary entry is the key, padding to 8 bytes, the variant with the zero byte of "there is
    one", and the offset of the key's end; the array ends with the offset of the entry's end.
    """
    key = path.encode() + b"\0"
    entry = key + bytes(-len(key) & 7) + value.encode() + b"\0\0s\0" + bytes((len(key),))
    assert len(entry) < 255, "offsets of one byte end here"
    return entry + bytes((len(entry),))


def _program(bus_name: str) -> str:
    """Return the program that the bus would start. Raises OSError where it is not installed."""
    for line in (_SERVICES / f"{bus_name}.service").read_text(encoding="utf-8").splitlines():
        if line.startswith("Exec="):
            return line.removeprefix("Exec=").split()[0]
    raise FileNotFoundError(bus_name)


def missing_services(names: list[str]) -> list[str]:
    """Say which of the peers' services are not installed, and what brings them."""
    sentences = []
    for name, bus_name in (("xfconfd", _XFCONF), ("dconf", _DCONF)):
        if name not in names:
            continue
        try:
            there = os.access(_program(bus_name), os.X_OK)
        except OSError:
            there = False
        if not there:
            package = _PACKAGES[bus_name]
            sentences.append(
                f"{bus_name}'s service is missing; the Debian package is {package}:"
                f" apt-get install {package}"
            )
    return sentences


SUBJECT_BY_NAME: Final = {
    subject.name: subject for subject in (*(_kdbd(each) for each in KDBD), _xfconfd(), _dconf())
}
