"""D-Bus errors as the key database's errors."""

import pytest

from kdb.dbus_errors import check_sendable, from_dbus_error, no_service, parse_conflicts
from kdb.model import errors
from kdb.model.errors import Conflict, ConflictError, InstallationError, KDBError, SyntacticError

FREEDESKTOP = "org.freedesktop.DBus.Error."


@pytest.mark.parametrize("kind", sorted(errors.BY_DBUS_NAME.values(), key=str))
def test_every_error_arrives_as_it_was_sent(kind):
    sent = kind("it is wrong", mountpoint="user:/m")
    arrived = from_dbus_error(sent.dbus_name, str(sent))
    assert type(arrived) is kind
    assert (arrived.reason, arrived.mountpoint, str(arrived)) == (
        "it is wrong",
        "user:/m",
        str(sent),
    )


def test_a_file_and_its_mountpoint_arrive():
    sent = errors.ResourceError("full", mountpoint="user:/", configfile="/x/default.ecf")
    arrived = from_dbus_error(sent.dbus_name, str(sent))
    assert (arrived.reason, arrived.configfile) == ("full", "/x/default.ecf")


def test_where_a_file_is_damaged_arrives():
    sent = SyntacticError("no $key", file="/a:1/b.ecf", line=12, mountpoint="user:/m")
    arrived = from_dbus_error(sent.dbus_name, str(sent))
    assert isinstance(arrived, SyntacticError)
    assert (arrived.reason, arrived.file, arrived.line) == ("no $key", "/a:1/b.ecf", 12)


def test_a_damaged_file_without_a_line_keeps_its_reason():
    arrived = from_dbus_error(errors.ERROR_PREFIX + "Syntactic", "cut off\nconfigfile: /x")
    assert isinstance(arrived, SyntacticError)
    assert (arrived.reason, arrived.file, arrived.line) == ("cut off", "/x", 0)


def test_a_conflict_names_its_keys():
    conflicts = (
        Conflict("user:/a", 3, '"x"', "removed"),
        Conflict("user:/b: base 1, ours", 0, '"a, theirs b"', '"c"'),
        Conflict("/with\nline", 9, "removed", '"z"'),
    )
    sent = ConflictError("2 keys changed", conflicts=conflicts, mountpoint="user:/")
    arrived = from_dbus_error(sent.dbus_name, str(sent))
    assert isinstance(arrived, ConflictError)
    assert [each.name for each in arrived.conflicts] == [each.name for each in conflicts]
    assert [each.base for each in arrived.conflicts] == [3, 0, 9]
    assert arrived.conflicts[0] == conflicts[0]
    assert (arrived.reason, arrived.mountpoint) == ("2 keys changed", "user:/")


def test_a_conflict_without_keys_has_none():
    assert parse_conflicts("something changed") == ()
    arrived = from_dbus_error(errors.ERROR_PREFIX + "ConflictingState", "something changed")
    assert arrived.reason == "something changed"


@pytest.mark.parametrize(
    "name", ["ServiceUnknown", "NameHasNoOwner", "NoServer", "Spawn.ChildExited"]
)
def test_no_service_says_in_one_line_how_to_start_it(name):
    error = from_dbus_error(FREEDESKTOP + name, "it was not\nprovided")
    assert isinstance(error, InstallationError)
    assert error.number == "C01200"
    assert "\n" not in str(error)
    assert "systemctl --user start kdbd" in str(error)
    assert str(no_service()) == (
        "no kdbd answers on the bus: start it with 'systemctl --user start kdbd' or 'kdbd &',"
        " in a checkout with '.venv/bin/kdbd &' or, from then on, 'make install-dev'"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (FREEDESKTOP + "LimitsExceeded", errors.LimitsExceeded),
        (FREEDESKTOP + "AccessDenied", errors.AccessDenied),
        (FREEDESKTOP + "UnknownMethod", errors.InstallationError),
        (FREEDESKTOP + "NoReply", errors.ResourceError),
        (errors.ERROR_PREFIX + "FromTheFuture", errors.InternalError),
        ("com.example.Error", errors.InternalError),
        ("", errors.InternalError),
    ],
)
def test_foreign_errors_become_the_nearest(name, kind):
    error: KDBError = from_dbus_error(name, "text")
    assert type(error) is kind
    assert "text" in str(error)


@pytest.mark.parametrize("text", ["", "plain", "ä€😀", "\x7f\n"])
def test_what_may_be_sent_is_returned(text):
    assert check_sendable(text) is text


@pytest.mark.parametrize("text", ["\0", "a\0b", "ä\0", "\udcff", "a\ud800"])
def test_what_the_bus_cuts_its_sender_off_for_is_refused(text):
    with pytest.raises(errors.InvalidValue):
        check_sendable(text)
