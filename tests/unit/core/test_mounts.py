"""Mountpoints as the keys that declare them."""

import pytest
from core_state import content, error_of, key

from kdb.model.content import Content
from kdb.model.errors import InstallationError, InvalidName, SemanticError
from kdb.model.names import Namespace as Ns
from kdb.model.names import add_name, escape
from kdbd.core.mounts import MOUNTPOINTS, MountSpec, declare, declared, root_of

ROOT = r"system:/elektra/mountpoints/user:\/m"


def keys_of(spec, **changed):
    """Return the keys of a declaration; `changed` by suffix, None where one is missing."""
    keys = {**declare(spec)}
    for suffix, value in changed.items():
        name = add_name(root_of(spec.mountpoint), suffix)
        if value is None:
            keys.pop(name)
        else:
            keys[name] = value
    return keys


def read(*declarations):
    """Return the specifications, and class and text of each error."""
    keys = {name: each for declaration in declarations for name, each in declaration.items()}
    specs, errors = declared(sorted(keys.items()))
    return specs, [(type(error), error.number, str(error)) for error in errors]


def named(mountpoint):
    """Return the keys that declare a mountpoint of this name, in whatever form it is given."""
    return {
        add_name(root_of(mountpoint), "definition/path"): Content("m.ecf"),
        add_name(root_of(mountpoint), "definition/positions/set/storage"): Content("dump"),
    }


def test_a_mountpoint_is_declared_below_one_part():
    assert escape(root_of("user:/m")) == ROOT
    assert escape(root_of("/")) == r"system:/elektra/mountpoints/\/"


def test_a_declaration_is_as_libelektra_writes_it():
    wanted = {
        "": "",
        "/config": "",
        "/config/fcrypt/textmode": "0",
        "/definition/path": "m.ecf",
        "/definition/positions/get/resolver": "resolver",
        "/definition/positions/get/storage": "dump",
        "/definition/positions/set/commit": "resolver",
        "/definition/positions/set/precommit/#0": "sync",
        "/definition/positions/set/resolver": "resolver",
        "/definition/positions/set/rollback": "resolver",
        "/definition/positions/set/storage": "dump",
        "/plugins/backend": "",
        "/plugins/backend/name": "backend",
        "/plugins/dump": "",
        "/plugins/dump/name": "dump",
        "/plugins/resolver": "",
        "/plugins/resolver/name": "resolver_fm_hpu_b",
        "/plugins/sync": "",
        "/plugins/sync/name": "sync",
    }
    keys = declare(MountSpec("user:/m", "m.ecf"))
    assert {escape(name): each for name, each in keys.items()} == {
        ROOT + suffix: Content(value) for suffix, value in wanted.items()
    }


def test_announce_once_declares_the_dbus_plugin():
    plain, once = (declare(MountSpec("user:/m", "m.ecf", each)) for each in (False, True))
    assert {escape(name): once[name].value for name in once.keys() - plain.keys()} == {
        f"{ROOT}/plugins/dbus": "",
        f"{ROOT}/plugins/dbus/config": "",
        f"{ROOT}/plugins/dbus/config/announce": "once",
        f"{ROOT}/plugins/dbus/name": "dbus",
    }
    assert plain.items() <= once.items()


@pytest.mark.parametrize(
    "spec",
    [
        MountSpec("user:/m", "m.ecf"),
        MountSpec("user:/m", "/etc/m.ecf", announce_once=True),
        MountSpec("/", "root.ecf"),
        MountSpec("spec:/a/b", "spec.ecf"),
        MountSpec(r"dir:/a\/b/%", "dir.ecf"),
    ],
)
def test_what_is_declared_is_read_again(spec):
    assert read(declare(spec)) == ([spec], [])


def test_mountpoints_are_read_in_the_order_of_their_declarations():
    specs = [
        MountSpec(name, f"{number}.ecf") for number, name in enumerate(["/a", "spec:/", "user:/m"])
    ]
    assert read(*map(declare, reversed(specs))) == (specs, [])


def test_the_key_of_all_mountpoints_declares_none():
    assert declared([(MOUNTPOINTS, content(""))]) == ([], [])
    assert declared([]) == ([], [])


@pytest.mark.parametrize(
    ("name", "namespaces"),
    [
        ("/a", (Ns.DIR, Ns.USER, Ns.SYSTEM)),
        ("user:/a", (Ns.USER,)),
        ("spec:/", (Ns.SPEC,)),
        ("dir:/a", (Ns.DIR,)),
    ],
)
def test_a_cascading_mountpoint_is_one_in_all_namespaces_but_spec(name, namespaces):
    spec = MountSpec(name, "m.ecf")
    assert (spec.unescaped, spec.namespaces) == (key(name), namespaces)


@pytest.mark.parametrize(
    ("storage", "shown"),
    [("yajl", "'yajl'"), (None, "None"), (Content(b"dump", {"binary": ""}), "None")],
)
def test_an_unknown_storage_is_a_mountpoint_that_answers_with_an_error(storage, shown):
    given = Content(storage) if isinstance(storage, str) else storage
    keys = keys_of(MountSpec("user:/m", "m.json"), **{"definition/positions/set/storage": given})
    text = f"user:/m wants the storage {shown}, which kdbd has not. Use dump\nmountpoint: user:/m"
    specs, errors = read(keys)
    assert errors == [(InstallationError, "C01200", text)]
    (spec,) = specs
    assert (spec.mountpoint, spec.path, spec.announce_once) == ("user:/m", "m.json", False)
    assert str(spec.error) == text


@pytest.mark.parametrize("path", [None, Content(""), Content(b"m.ecf", {"binary": ""})])
def test_a_declaration_without_a_file_is_no_mountpoint(path):
    keys = keys_of(MountSpec("user:/m", "m.ecf"), **{"definition/path": path})
    text = f"{ROOT} declares a mountpoint without a file. Set {ROOT}/definition/path"
    assert read(keys) == ([], [(SemanticError, "C03200", text)])


def test_another_announcement_than_once_is_the_usual_one():
    keys = keys_of(
        MountSpec("user:/m", "m.ecf", announce_once=True),
        **{"plugins/dbus/config/announce": Content("always")},
    )
    assert read(keys) == ([MountSpec("user:/m", "m.ecf")], [])


def test_a_declaration_of_no_name_is_no_mountpoint():
    reason = error_of(key, "nowhere:/m")[2]
    assert error_of(key, "nowhere:/m")[0] is InvalidName
    root = r"system:/elektra/mountpoints/nowhere:\/m"
    assert read(named("nowhere:/m")) == (
        [],
        [(SemanticError, "C03200", f"{root} declares no mountpoint: {reason}")],
    )


def test_a_declaration_of_a_name_that_is_not_canonical_is_no_mountpoint():
    text = (
        r"system:/elektra/mountpoints/user:\/m\/ declares the mountpoint user:/m/, whose canonical"
        " name is user:/m. Declare that"
    )
    assert read(named("user:/m/")) == ([], [(SemanticError, "C03200", text)])


@pytest.mark.parametrize("name", ["meta:/a", "proc:/", "default:/a"])
def test_what_is_not_stored_is_not_mounted(name):
    text = (
        f"{name} cannot be mounted: keys of its namespace are not stored. Mount at a name in"
        " spec:/, dir:/, user:/, system:/ or at a cascading name"
    )
    assert read(named(name)) == ([], [(SemanticError, "C03200", text)])


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("system:/elektra", "system:/elektra"),
        ("system:/elektra/mountpoints", "system:/elektra"),
        ("/elektra", "/elektra"),
        ("/elektra/mountpoints/x", "/elektra"),
    ],
)
def test_nothing_is_mounted_over_the_declarations(name, reserved):
    text = f"{name} cannot be mounted: {reserved} is built in. Mount elsewhere"
    assert read(named(name)) == ([], [(SemanticError, "C03200", text)])


@pytest.mark.parametrize("name", ["user:/elektra", "spec:/elektra", "system:/", "/", "/elektrax"])
def test_what_only_looks_like_the_declarations_is_mounted(name):
    assert read(named(name)) == ([MountSpec(name, "m.ecf")], [])


def test_a_name_is_mounted_once():
    text = (
        "/a and user:/a cannot both be mounted: both would be at user:/a. Unmount the one that is"
        " there first, or mount elsewhere"
    )
    assert read(named("/a"), named("user:/a"), named("spec:/a"), named("/b")) == (
        [MountSpec(name, "m.ecf") for name in ("/a", "/b", "spec:/a")],
        [(SemanticError, "C03200", text)],
    )


def test_what_is_wrong_with_one_declaration_leaves_the_others():
    specs, errors = read(named("user:/a"), named("proc:/a"), named("user:/b"))
    assert specs == [MountSpec("user:/a", "m.ecf"), MountSpec("user:/b", "m.ecf")]
    assert [number for _, number, _ in errors] == ["C03200"]
