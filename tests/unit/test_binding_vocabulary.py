"""The vocabulary of libelektra's Python binding, as programs use it: `import kdb`."""

import builtins
import copy
import json
import os
import subprocess
import sys

import pytest
from binding_vocabulary import CONSTANTS, ERRORS, EXCEPTIONS, METHODS

import kdb
import kdb.constants
from kdb.model import exceptions


def python(program):
    """Run a program in a fresh interpreter and return what it prints, as JSON.

    It does not measure its coverage: that would load modules of its own.
    """
    measured = ("COVERAGE_", "COV_")
    ran = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{program}"],
        env={name: text for name, text in os.environ.items() if not name.startswith(measured)},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout)


# --- the module


def test_constants():
    assert {name: getattr(kdb, name) for name in kdb.constants.__all__} == CONSTANTS


@pytest.mark.parametrize(
    ("owner", "method"),
    [(owner, method) for owner, methods in METHODS.items() for method in methods.split()],
)
def test_methods_are_there(owner, method):
    assert hasattr(getattr(kdb, owner), method)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_exceptions_are_there(name):
    assert getattr(kdb, name) is getattr(exceptions, name)
    assert issubclass(getattr(kdb, name), builtins.Exception)


@pytest.mark.parametrize("name", ERRORS)
def test_functions_and_fields_of_errors_are_there(name):
    assert hasattr(kdb.errors, name) or getattr(kdb.errors.ElektraWarning(), name) == ""


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match=r"^module 'kdb' has no attribute 'nothing'$"):
        _ = kdb.nothing
    assert not hasattr(kdb, "_Namespace")
    assert not hasattr(kdb, "__wrapped__")


def test_all_names_are_listed_and_import_as_one():
    assert kdb.__all__ == sorted(kdb.__all__)
    expected = {*METHODS, *EXCEPTIONS, *CONSTANTS, "KeyInvalidValue"}
    assert set(kdb.__all__) == expected
    assert {*expected, "aio", "errors"} <= set(dir(kdb))
    namespace = {}
    exec("from kdb import Key, KeySet, KEY_VALUE, KS_END, KDBException", namespace)
    assert namespace["Key"] is kdb.Key


@pytest.mark.parametrize(
    "program", ["import kdb", "import kdb\nkdb.KeySet(1, kdb.Key('user:/a'))", "import kdb.errors"]
)
def test_importing_loads_no_bus_library(program):
    heavy = {"asyncio", "dbus_fast", "dbus_next", "jeepney", "msgpack", "socket"}
    loaded = python(f"{program}\nprint(json.dumps(sorted(sys.modules)))")
    assert "kdb" in loaded
    assert heavy.isdisjoint(loaded)


def test_importing_the_package_loads_nothing_else_of_it():
    loaded = python("import kdb\nprint(json.dumps(sorted(sys.modules)))")
    assert [name for name in loaded if name.startswith("kdb")] == ["kdb"]


def test_submodules_are_found_without_importing_them():
    assert python("import kdb\nprint(json.dumps(kdb.errors.__name__))") == "kdb.errors"
    assert kdb.__getattr__("errors").__name__ == "kdb.errors"


# --- programs, written as for libelektra


def test_a_program_with_keys():
    key = kdb.Key(
        "user:/foo/bar",
        kdb.KEY_VALUE, "value",
        kdb.KEY_META, "by", "me",
        kdb.KEY_META, "owner", "myowner",
    )  # fmt: skip
    binary = kdb.Key(
        "system:/bkey", kdb.KEY_VALUE, b"b\0\0", kdb.KEY_END, kdb.KEY_META, "lost", "1"
    )
    assert (key.name, key.value, key.basename, str(key)) == (
        "user:/foo/bar", "value", "bar", "user:/foo/bar",
    )  # fmt: skip
    assert repr(binary) == "kdb.Key('system:/bkey')"
    assert key.isUser()
    assert binary.isSystem()
    assert binary.isBinary()
    assert key.getMeta("owner").name == "meta:/owner"
    assert sum(1 for _ in key.getMeta()) == 2
    assert sum(1 for _ in binary.getMeta()) == 1
    with pytest.raises(kdb.KeyException):
        key.name = "wrongname"

    other = copy.copy(key)
    assert other == key
    other.name = "user:/copied"
    assert other != key

    shown = [f"{meta.name}={meta.value}" for meta in other.getMeta()]
    assert shown == ["meta:/by=me", "meta:/owner=myowner"]
    assert kdb.Key("user:/some/array/#_12").array_elements().index == 12


def test_a_program_with_key_sets():
    ks = kdb.KeySet(
        100,
        kdb.Key("system:/key1"),
        kdb.Key("user:/key3"),
        kdb.Key("user:/key4"),
        kdb.KS_END,
        kdb.Key("user:/lost"),
    )
    assert str(ks) == "['user:/key3', 'user:/key4', 'system:/key1']"
    ks.append(kdb.Key("user:/key5", "five"))
    ks.extend([kdb.Key("user:/key6"), kdb.Key("user:/key7")])
    ks.remove("user:/key6")
    try:
        key = ks["user:/app/mykey"]
    except KeyError:
        key = kdb.Key("user:/app/mykey")
        ks.append(key)
    key.value = "new"
    assert ks["user:/app/mykey"].value == ks["/app/mykey"].value == "new"
    assert ks.filter_below(kdb.Key("user:/")).unpack_basenames() == {"key3", "key4", "key5", "key7"}
    below = ks.cut(kdb.Key("user:/"))
    assert (len(below), len(ks)) == (5, 1)

    shallow, deep = copy.copy(below), copy.deepcopy(below)
    assert shallow[0].getKey() == below[0].getKey()
    assert deep[0].getKey() != below[0].getKey()
    assert deep == below


def test_a_program_with_a_diff():
    old = kdb.KeySet(2, kdb.Key("user:/test/a"), kdb.Key("user:/test/b", "1"))
    new = kdb.KeySet(1, kdb.Key("user:/test/a"))
    diff = kdb.ElektraDiff.calculateDiff(new, old, kdb.Key("user:/test"))
    assert not diff.isEmpty()
    assert diff.getRemovedKeys()["user:/test/b"].value == "1"
    diff.undo(new)
    assert new == old


def test_a_program_that_catches():
    caught = []
    for do in (lambda: kdb.Key("x"), lambda: kdb.KeySet().pop()):
        try:
            do()
        except kdb.KeyInvalidName:
            caught.append("KeyInvalidName")
        except kdb.Exception as error:
            caught.append(error.what())
    assert caught == ["KeyInvalidName", "the key set is empty, there is no key to pop"]
