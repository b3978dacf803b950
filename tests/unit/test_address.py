"""Bus addresses."""

import pytest

from kdb._address import bus_address, socket_paths


@pytest.mark.parametrize(
    ("bus", "environment", "expected"),
    [
        ("session", {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a"}, "unix:path=/a"),
        ("session", {"XDG_RUNTIME_DIR": "/run/user/1"}, "unix:path=/run/user/1/bus"),
        (
            "session",
            {"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": "/r"},
            "unix:path=/r/bus",
        ),
        ("session", {}, ""),
        ("system", {}, "unix:path=/var/run/dbus/system_bus_socket"),
        ("system", {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/b"}, "unix:path=/b"),
    ],
)
def test_where_a_bus_is(bus, environment, expected):
    assert bus_address(bus, environment) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("unix:path=/run/bus", ["/run/bus"]),
        ("unix:path=/run/bus,guid=0123", ["/run/bus"]),
        ("unix:guid=0123,path=/run/bus", ["/run/bus"]),
        ("unix:abstract=/tmp/x", [b"\0/tmp/x"]),
        ("unix:path=/a%20b%2c", ["/a b,"]),
        ("unix:path=/%c3%a4", ["/ä"]),
        ("unix:path=/a%zz%4", ["/a%zz\x04"]),
        ("tcp:host=localhost,port=1;unix:path=/a;unix:path=/b", ["/a", "/b"]),
        ("unix:tmpdir=/tmp", []),
        ("", []),
        ("nonsense", []),
    ],
)
def test_the_sockets_of_an_address(address, expected):
    assert socket_paths(address) == expected
