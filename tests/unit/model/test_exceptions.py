"""The exceptions that applications catch, and how they relate to the inner errors."""

import builtins

import pytest

from kdb.model import errors, exceptions

TREE = {
    "Exception": builtins.Exception,
    "KeyException": exceptions.Exception,
    "KeyInvalidName": exceptions.KeyException,
    "KeyInvalidValue": exceptions.KeyException,
    "KeyTypeMismatch": exceptions.KeyException,
    "KeyTypeConversion": exceptions.KeyException,
    "KeyNotFoundException": exceptions.KeyException,
    "KDBException": exceptions.Exception,
    "ContractException": exceptions.KDBException,
    "KDBMountException": exceptions.KDBException,
}


def test_the_tree_is_that_of_the_binding():
    assert sorted(exceptions.__all__) == sorted(TREE)
    for name, parent in TREE.items():
        assert getattr(exceptions, name).__bases__[0] is parent


def test_a_wrong_name_or_value_is_caught_by_the_inner_class_too():
    assert issubclass(exceptions.KeyInvalidName, errors.InvalidName)
    assert issubclass(exceptions.KeyInvalidValue, errors.InvalidValue)
    error = exceptions.KeyInvalidName("it is wrong")
    assert (str(error), error.what(), error.number) == ("it is wrong", "it is wrong", "C01320")


@pytest.mark.parametrize("kind", ["KDBException", "ContractException", "KDBMountException"])
def test_a_kdb_exception_tells_each_field_of_the_inner_error(kind):
    inner = errors.ResourceError(
        "the disk is full; make room",
        module="store",
        mountpoint="user:/a",
        configfile="/home/me/.config/a.ecf",
    )
    error = getattr(exceptions, kind)(inner)
    assert error.error is inner
    assert (
        str(error)
        == error.what()
        == (
            "module store reports error C01100\n"
            "Resource: the disk is full; make room\n"
            "mountpoint: user:/a\n"
            "configfile: /home/me/.config/a.ecf"
        )
    )
    assert (error.number, error.description) == ("C01100", "Resource")
    assert (error.module, error.reason) == ("store", "the disk is full; make room")
    assert (error.mountpoint, error.configfile) == ("user:/a", "/home/me/.config/a.ecf")


def test_a_kdb_exception_tells_the_keys_of_a_conflict_and_the_line_of_a_damaged_file():
    conflict = errors.Conflict("user:/a", 1, "'x'", "'y'")
    told = str(exceptions.KDBException(errors.ConflictError("one", conflicts=(conflict,))))
    assert told.splitlines()[1:3] == [
        "Conflicting state: one",
        "user:/a: base 1, ours 'x', theirs 'y'",
    ]
    told = str(exceptions.KDBException(errors.SyntacticError("no end", file="/a.ecf", line=7)))
    assert told.splitlines()[1] == "Validation syntactic: /a.ecf:7: no end"
