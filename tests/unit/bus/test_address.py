import pytest

from kdbd.bus.address import InvalidAddress, bus_address, socket_paths


@pytest.mark.parametrize(
    ("bus", "environment", "address"),
    [
        (
            "session",
            {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a", "XDG_RUNTIME_DIR": "/r"},
            "unix:path=/a",
        ),
        ("session", {"XDG_RUNTIME_DIR": "/r"}, "unix:path=/r/bus"),
        ("session", {"DBUS_SESSION_BUS_ADDRESS": "", "XDG_RUNTIME_DIR": "/r"}, "unix:path=/r/bus"),
        ("system", {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/b"}, "unix:path=/b"),
        ("system", {}, "unix:path=/var/run/dbus/system_bus_socket"),
    ],
)
def test_the_address_is_found_as_libdbus_does(
    bus: str, environment: dict[str, str], address: str
) -> None:
    assert bus_address(bus, environment) == address  # type: ignore[arg-type]  # a parameter


def test_no_session_bus_names_what_is_not_set() -> None:
    with pytest.raises(InvalidAddress) as caught:
        bus_address("session", {})
    assert str(caught.value) == (
        "no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"
    )


@pytest.mark.parametrize(
    ("address", "paths"),
    [
        ("unix:path=/run/bus,guid=12", ("/run/bus",)),
        ("unix:abstract=/tmp/x", ("\0/tmp/x",)),
        ("unix:path=/a%20b%2c", ("/a b,",)),
        ("tcp:host=localhost,port=1;unix:path=/a;;unix:guid=1,path=/b", ("/a", "/b")),
    ],
)
def test_the_sockets_of_an_address_in_their_order(address: str, paths: tuple[str, ...]) -> None:
    assert socket_paths(address) == paths


@pytest.mark.parametrize("address", ["", "tcp:host=localhost", "unix:tmpdir=/tmp", "rubbish"])
def test_an_address_without_a_socket_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress, match="names no Unix socket"):
        socket_paths(address)
