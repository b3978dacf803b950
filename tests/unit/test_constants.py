"""The keys that are built in."""

from core_state import error_of, key

from kdb.model.errors import InterfaceError
from kdb.model.names import escape
from kdbd.constants import LIBELEKTRA_VERSION, built_in


def refuse(error):
    raise error


def test_the_version_is_that_of_libelektra():
    version, _ = built_in()
    assert LIBELEKTRA_VERSION == "0.11.0"
    assert {escape(name): content.value for name, content in version.tree.items()} == {
        "system:/elektra/version": "",
        "system:/elektra/version/constants": "",
        "system:/elektra/version/constants/KDB_VERSION": "0.11.0",
        "system:/elektra/version/constants/KDB_VERSION_MAJOR": "0",
        "system:/elektra/version/constants/KDB_VERSION_MINOR": "11",
        "system:/elektra/version/constants/KDB_VERSION_PATCH": "0",
        "system:/elektra/version/constants/SO_VERSION": "5",
        "system:/elektra/version/infos": "All information you want to know",
        "system:/elektra/version/infos/author": "The authors of kdbd",
        "system:/elektra/version/infos/description": "Version information of the key database",
        "system:/elektra/version/infos/licence": "BSD",
        "system:/elektra/version/infos/version": "1",
    }
    for content in version.tree.values():
        assert (dict(content.meta), content.revision) == ({}, 0)


def test_there_are_no_modules():
    _, modules = built_in()
    assert modules.mountpoint == key("system:/elektra/modules")
    assert dict(modules.tree) == {}


def test_they_are_in_no_journal_and_shown_only_where_asked_for():
    assert [
        (each.identity, escape(each.mountpoint), each.concealed, each.damage) for each in built_in()
    ] == [
        (-1, "system:/elektra/version", True, None),
        (-2, "system:/elektra/modules", True, None),
    ]


def test_they_are_read_only():
    for backend in built_in():
        name = escape(backend.mountpoint)
        assert error_of(refuse, backend.refusal) == (
            InterfaceError,
            "C01320",
            f"{name} is read-only: it describes this kdbd. Nothing was stored\nmountpoint: {name}",
        )


def test_each_database_has_its_own():
    one, other = built_in(), built_in()
    assert one[0] is not other[0]
    assert one[0].tree == other[0].tree
    assert one[0].tree is not other[0].tree
