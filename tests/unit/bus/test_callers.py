import pytest

from kdbd.bus.callers import Callers, Credentials
from kdbd.bus.library import Variant

ROOT = Credentials(uid=0, pid=1, gids=(0,))


def test_credentials_are_taken_from_the_buss_variants() -> None:
    values = {
        "UnixUserID": Variant("u", 1000),
        "ProcessID": Variant("u", 7),
        "UnixGroupIDs": Variant("au", [5, 6]),
        "LinuxSecurityLabel": Variant("ay", b"x\0"),
    }
    assert Credentials.from_bus(values) == Credentials(uid=1000, pid=7, gids=(5, 6))


def test_a_process_and_groups_may_be_unknown_but_not_the_user() -> None:
    known = Credentials.from_bus({"UnixUserID": Variant("u", 1000)})
    assert known == Credentials(uid=1000, pid=None, gids=())
    with pytest.raises(KeyError):
        Credentials.from_bus({"ProcessID": Variant("u", 7)})


def test_credentials_are_kept_until_the_name_vanishes() -> None:
    callers = Callers()
    callers.add(":1.1")
    assert callers.credentials(":1.1") is None
    callers.learn(":1.1", ROOT)
    callers.add(":1.1")
    assert callers.credentials(":1.1") == ROOT
    assert callers.vanish(":1.1")
    assert not callers.vanish(":1.1")
    assert callers.credentials(":1.1") is None


def test_what_is_learned_of_a_name_that_is_gone_is_not_kept() -> None:
    callers = Callers()
    callers.learn(":1.1", ROOT)
    assert callers.credentials(":1.1") is None
    assert callers.names() == set()


def test_another_bus_makes_all_names_others() -> None:
    callers = Callers()
    assert callers.enter("first") == []
    callers.add(":1.1")
    callers.add(":1.2")
    assert callers.enter("first") == []
    assert callers.names() == {":1.1", ":1.2"}
    assert callers.enter("second") == [":1.1", ":1.2"]
    assert callers.names() == set()
