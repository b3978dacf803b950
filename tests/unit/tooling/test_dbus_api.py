"""docs/dbus-api.md is what the XML and the constants say."""

import shutil
from pathlib import Path

import pytest

import dbus_api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the XML, to be changed."""
    return shutil.copytree(dbus_api.FOLDER, tmp_path / "interfaces")


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "org.libelektra.KDB1.xml"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def page() -> str:
    return dbus_api.PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert dbus_api.renewed(page()) == page(), "run make docs"


def test_a_changed_text_is_taken_over(folder: Path) -> None:
    change(folder, "Read a string. ", "Read one string. ")
    assert dbus_api.renewed(page(), folder) == page().replace(
        "Read a string. ", "Read one string. "
    )


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "<!-- Sync:",
            "<!-- Synchronise:",
            "Sync of org.libelektra.KDB1 is not described",
        ),
        (
            "@mounts: ",
            "@mount: ",
            "the arguments of org.libelektra.KDB1.ListMounts are not those described",
        ),
        ("$ ListMounts", "ListMounts", "org.libelektra.KDB1.ListMounts has no example"),
        (
            '<interface name="org.libelektra.KDB1">',
            '<interface name="org.libelektra.KDB2">',
            "org.libelektra.KDB2 of the XML is not described",
        ),
    ],
)
def test_what_is_not_described_is_named(folder: Path, old: str, new: str, complaint: str) -> None:
    change(folder, old, new)
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        dbus_api.renewed(page(), folder)


def test_an_interface_that_the_page_does_not_show_is_named() -> None:
    with pytest.raises(ValueError, match=r"^the page has no place for org\.libelektra$"):
        dbus_api.renewed(page().replace("made of org.libelektra by", "of org.libelektra by"))
