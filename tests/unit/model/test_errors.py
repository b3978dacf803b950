"""The errors: numbers, D-Bus names, and the text made from the fields."""

import pytest

from kdb.model.errors import (
    BY_DBUS_NAME,
    ERROR_PREFIX,
    AccessDenied,
    Conflict,
    ConflictError,
    HistoryLost,
    InstallationError,
    InterfaceError,
    InternalError,
    InvalidBlock,
    InvalidFileDescriptor,
    InvalidName,
    InvalidValue,
    KDBError,
    KeyNotFound,
    LimitsExceeded,
    NameTooLong,
    OutOfMemoryError,
    ResourceError,
    SemanticError,
    SyntacticError,
    ValueTooLarge,
)

TREE = {
    ResourceError: ("C01100", "Resource", "Resource"),
    OutOfMemoryError: ("C01110", "OutOfMemory", "Out of memory"),
    AccessDenied: ("C01100", "AccessDenied", "Resource"),
    LimitsExceeded: ("C01100", "LimitsExceeded", "Resource"),
    InstallationError: ("C01200", "Installation", "Installation"),
    InternalError: ("C01310", "Internal", "Internal"),
    InterfaceError: ("C01320", "Interface", "Interface"),
    InvalidName: ("C01320", "InvalidName", "Interface"),
    NameTooLong: ("C01320", "NameTooLong", "Interface"),
    InvalidValue: ("C01320", "InvalidValue", "Interface"),
    ValueTooLarge: ("C01320", "ValueTooLarge", "Interface"),
    InvalidBlock: ("C01320", "InvalidBlock", "Interface"),
    InvalidFileDescriptor: ("C01320", "InvalidFileDescriptor", "Interface"),
    KeyNotFound: ("C01320", "KeyNotFound", "Interface"),
    HistoryLost: ("C01320", "HistoryLost", "Interface"),
    ConflictError: ("C02000", "ConflictingState", "Conflicting state"),
    SyntacticError: ("C03100", "Syntactic", "Validation syntactic"),
    SemanticError: ("C03200", "Semantic", "Validation semantic"),
}


@pytest.mark.parametrize(("error", "expected"), TREE.items())
def test_each_error_has_its_number_dbus_name_and_description(error, expected):
    made = error("why")
    assert (made.number, made.dbus, made.description) == expected
    assert made.dbus_name == ERROR_PREFIX + expected[1]
    assert BY_DBUS_NAME[made.dbus_name] is error
    assert isinstance(made, KDBError)
    assert str(made) == "why"


def test_every_dbus_name_maps_back_to_one_error():
    assert set(BY_DBUS_NAME.values()) == set(TREE)


@pytest.mark.parametrize("error", [InvalidName, NameTooLong, InvalidValue, ValueTooLarge])
def test_errors_about_arguments_are_value_errors(error):
    assert issubclass(error, ValueError)


def test_the_text_is_made_from_the_fields():
    error = ResourceError(
        "no space is left", module="store", mountpoint="user:/a", configfile="/home/me/a.ecf"
    )
    assert (error.reason, error.module) == ("no space is left", "store")
    assert str(error) == "no space is left\nmountpoint: user:/a\nconfigfile: /home/me/a.ecf"


def test_an_error_without_a_place_is_its_reason_in_module_kdbd():
    error = KDBError("why")
    assert (error.module, error.mountpoint, error.configfile, str(error)) == ("kdbd", "", "", "why")


def test_a_conflict_names_every_key_with_base_ours_and_theirs():
    conflicts = (Conflict("user:/a", 4, "'x'", "'y'"), Conflict("user:/b", 0, "removed", "'z'"))
    error = ConflictError("2 keys changed; get again", conflicts=conflicts, mountpoint="user:/")
    assert error.conflicts == conflicts
    assert str(error) == (
        "2 keys changed; get again\n"
        "user:/a: base 4, ours 'x', theirs 'y'\n"
        "user:/b: base 0, ours removed, theirs 'z'\n"
        "mountpoint: user:/"
    )


def test_a_conflict_names_the_file_it_is_about():
    error = ConflictError("changed", module="store", configfile="/etc/kdb/a.ecf")
    assert (error.module, str(error)) == ("store", "changed\nconfigfile: /etc/kdb/a.ecf")


def test_a_syntactic_error_names_file_line_and_reason():
    error = SyntacticError("no number", file="/etc/kdb/a.ecf", line=3, mountpoint="system:/a")
    assert (error.file, error.line, error.configfile) == ("/etc/kdb/a.ecf", 3, "/etc/kdb/a.ecf")
    assert str(error) == (
        "/etc/kdb/a.ecf:3: no number\nmountpoint: system:/a\nconfigfile: /etc/kdb/a.ecf"
    )
