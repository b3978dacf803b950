"""Which D-Bus library kdb.aio runs on."""

import os
import subprocess
import sys

import pytest


def chosen(library):
    return subprocess.run(
        [sys.executable, "-c", "from kdb import _dbus_library; print(_dbus_library.NAME)"],
        env=os.environ | {"KDBD_DBUS_LIBRARY": library},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("library", ["dbus-next", "dbus-fast"])
def test_the_environment_decides(library):
    assert chosen(library).stdout == library + "\n"


def test_without_a_wish_the_fast_one_is_taken_where_it_is_installed():
    assert chosen("").stdout == "dbus-fast\n"


def test_another_library_is_an_error_that_names_the_choice():
    assert "KDBD_DBUS_LIBRARY is 'gio'; it can be dbus-next or dbus-fast" in chosen("gio").stderr
