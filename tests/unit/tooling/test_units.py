"""The unit and the activation file name what the code names."""

from configparser import ConfigParser
from pathlib import Path

from kdb import protocol

ROOT = Path(__file__).parents[3]


def sections(path: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # as configparser documents
    parser.read_string((ROOT / path).read_text(encoding="utf-8"))
    return parser


def test_the_bus_starts_the_unit_that_takes_the_name() -> None:
    service = sections("dbus-policy/org.libelektra.KDB1.service")["D-BUS Service"]
    unit = sections("systemd/kdbd.service")["Service"]
    assert service["Name"] == protocol.BUS_NAME == unit["BusName"]
    assert (ROOT / "systemd" / service["SystemdService"]).is_file()
    assert service["Exec"] == unit["ExecStart"]


def test_the_unit_waits_until_kdbd_says_that_it_is_ready() -> None:
    assert sections("systemd/kdbd.service")["Service"]["Type"] == "notify"
