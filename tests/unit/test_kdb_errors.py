"""kdb.errors: errors and warnings as they are noted on keys."""

import pytest

import kdb
from kdb.errors import (
    ElektraError,
    ElektraWarning,
    clear,
    get_error,
    get_warnings,
    set_error,
)
from kdb.model.errors import InterfaceError, ResourceError, SyntacticError

FULL = {
    "number": "C01100",
    "description": "Resource",
    "module": "store",
    "file": "source.c",
    "line": "12",
    "mountpoint": "user:/a",
    "configfile": "/etc/a.ecf",
    "reason": "the disk is full",
}


def key_with(**groups):
    """Return a key with metadata as libelektra writes them."""
    key = kdb.Key("/", {"other": "1", "warningsx": "1"})
    for name, fields in groups.items():
        for field, text in fields.items():
            key.setMeta(f"meta:/{name}/{field}", text)
        key.setMeta(f"meta:/{name}", "")
    return key


def metadata(key):
    return {meta.name.removeprefix("meta:/"): meta.value for meta in key.getMeta()}


def test_a_key_without_any():
    key = key_with()
    assert get_error(key) is None
    assert get_warnings(key) == []


def test_an_error_with_all_fields():
    error = get_error(key_with(error=FULL))
    assert error == ElektraError(**FULL)
    assert not isinstance(error, ElektraWarning)
    assert error.reason == "the disk is full"


def test_missing_fields_are_empty():
    assert get_error(key_with(error={})) == ElektraError()
    assert get_error(key_with(error={"reason": "so"})) == ElektraError(reason="so")


def test_an_error_without_its_own_metadata_is_none():
    key = kdb.Key("/", {"error/number": "C01100", "warnings/#0/number": "C01100"})
    assert get_error(key) is None
    assert get_warnings(key) == []


def test_warnings_in_the_order_of_their_numbers():
    key = key_with(warnings={})
    for number in ("#_10", "#0", "#1"):
        key.setMeta(f"warnings/{number}", "")
        key.setMeta(f"warnings/{number}/reason", f"reason {number}")
        key.setMeta(f"warnings/{number}/deeper/reason", "other")
    assert get_warnings(key) == [
        ElektraWarning(reason="reason #0"),
        ElektraWarning(reason="reason #1"),
        ElektraWarning(reason="reason #_10"),
    ]
    assert key.getMeta("meta:/warnings/#0/reason").value == "reason #0"


def test_an_error_is_noted_in_place_of_the_one_before():
    key = key_with(error=FULL | {"more": "1"})
    set_error(key, InterfaceError("get first", module="kdb"))
    assert metadata(key) == {
        "error": "",
        "error/number": "C01320",
        "error/description": "Interface",
        "error/module": "kdb",
        "error/file": "",
        "error/line": "",
        "error/mountpoint": "",
        "error/configfile": "",
        "error/reason": "get first",
        "other": "1",
        "warningsx": "1",
    }
    assert get_error(key) == ElektraError(
        number="C01320", description="Interface", module="kdb", reason="get first"
    )


def test_a_damaged_file_is_noted_with_its_line():
    key = kdb.Key("user:/a")
    set_error(key, SyntacticError("no header", file="/etc/a.ecf", line=7, mountpoint="user:/a"))
    error = get_error(key)
    assert (error.file, error.line, error.configfile) == ("/etc/a.ecf", "7", "/etc/a.ecf")
    assert (error.number, error.mountpoint) == ("C03100", "user:/a")


def test_clear_removes_both_and_nothing_else():
    key = key_with(error=FULL, warnings={"#0": "", "#0/reason": "x"})
    clear(key)
    assert metadata(key) == {"other": "1", "warningsx": "1"}


def test_a_locked_key_takes_no_notes():
    key = kdb.Key("user:/a", kdb.KEY_FLAGS, kdb.KEY_LOCK_META)
    with pytest.raises(kdb.KeyException):
        set_error(key, ResourceError("x"))
