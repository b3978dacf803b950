"""Contracts of applications."""

import os

import pytest

from kdb import contract
from kdb.model.exceptions import ContractException
from kdb.model.key import Key
from kdb.model.keyset import KeySet


def test_without_a_contract_only_the_directory_is_named():
    assert contract.of(None, "/work") == {"directory": ("s", "/work")}
    assert contract.of(Key("user:/"), None) == {}
    assert contract.of(KeySet(), None) == {}


@pytest.mark.parametrize("name", [contract.CHANGE_TRACKING, contract.CHANGE_TRACKING + "/x"])
def test_change_tracking_is_granted(name):
    assert contract.of(KeySet(1, Key(name)), None) == {"changetracking": ("b", True)}


def test_what_kdbd_does_not_keep_is_refused_by_name():
    with pytest.raises(ContractException, match="system:/elektra/contract/globalkeyset"):
        contract.of(KeySet(1, Key("system:/elektra/contract/globalkeyset")), None)


def test_dir_is_looked_for_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert contract.directory("session", None) == str(tmp_path)
    assert contract.directory("session", "/work") == "/work"
    assert contract.directory("system", None) is None
    tmp_path.rmdir()
    assert contract.directory("session", None) is None
    os.chdir("/")
