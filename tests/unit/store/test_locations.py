"""Where stores lie, and which directories are trusted."""

import os

import pytest
from core_state import error_of
from refusing_system import unprivileged

from kdb.model.errors import AccessDenied, InterfaceError
from kdb.model.names import Namespace
from kdbd.store.locations import DEFAULT_FILE, ELEKTRA_FILE, Locations, nearest_directory

LOCATIONS = Locations(spec="/spec", user="/home/user", system="/etc/kdb", state="/state")


def untrusted(path, reason):
    return (
        AccessDenied,
        "C01100",
        (
            f"{path} {reason}, so its keys are not trusted. Let it be yours, with no write"
            " permission for others, or work in another directory"
        ),
    )


def stored(directory, name=DEFAULT_FILE):
    """Make a file in a directory's store."""
    path = directory / ".dir" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in (directory / ".dir", path.parent):
        each.chmod(0o755)
    path.touch(mode=0o644)
    return path


def test_the_files_names_are_those_of_libelektra():
    assert (DEFAULT_FILE, ELEKTRA_FILE) == ("default.ecf", "elektra.ecf")


@pytest.mark.parametrize(
    ("which", "root", "private"),
    [
        (Namespace.SPEC, "/spec", False),
        (Namespace.USER, "/home/user", True),
        (Namespace.SYSTEM, "/etc/kdb", False),
        (Namespace.DIR, "/work/.dir", True),
    ],
)
def test_each_namespace_has_its_root(which, root, private):
    assert LOCATIONS.root(which, "/work") == root
    assert LOCATIONS.file(which, "default.ecf", "/work") == f"{root}/default.ecf"
    assert LOCATIONS.file(which, "./sub//a.ecf", "/work") == f"{root}/sub/a.ecf"
    assert LOCATIONS.is_private(which) is private


@pytest.mark.parametrize("which", [Namespace.SPEC, Namespace.USER, Namespace.SYSTEM])
def test_an_absolute_path_is_taken_as_it_is(which):
    assert LOCATIONS.file(which, "/srv//app/./app.ecf") == "/srv/app/app.ecf"


def test_an_absolute_path_would_leave_the_directory_of_dir():
    assert error_of(LOCATIONS.file, Namespace.DIR, "/srv/app.ecf", "/work") == (
        InterfaceError,
        "C01320",
        (
            "The path '/srv/app.ecf' is absolute, but a file of dir:/ lies in each directory's"
            " .dir. Name it relative to that"
        ),
    )


@pytest.mark.parametrize("path", ["../a.ecf", "a/../../b", "..", "/srv/../etc/passwd", "a\0b"])
@pytest.mark.parametrize("which", [Namespace.DIR, Namespace.SYSTEM])
def test_a_path_that_climbs_is_refused(which, path):
    assert error_of(LOCATIONS.file, which, path, "/work") == (
        InterfaceError,
        "C01320",
        f"The path {path!r} of a mountpoint must not climb by '..'. Name the file itself",
    )


def test_dots_within_a_name_do_not_climb():
    assert LOCATIONS.file(Namespace.USER, "..a/b..ecf") == "/home/user/..a/b..ecf"


def test_a_root_that_can_be_made_is_writable(tmp_path):
    assert LOCATIONS.is_writable(str(tmp_path)) is True
    assert LOCATIONS.is_writable(str(tmp_path / "new" / "deep")) is True


def test_a_root_in_a_strangers_directory_is_not_writable():
    with unprivileged():
        assert LOCATIONS.is_writable("/usr") is False
        assert LOCATIONS.is_writable("/usr/none/deep") is False


def test_a_root_that_is_or_lies_below_no_directory_is_not_writable(tmp_path):
    (tmp_path / "file").touch()
    os.symlink("nowhere", tmp_path / "link")
    for name in ("file", "file/below", "link", "link/below"):
        assert LOCATIONS.is_writable(str(tmp_path / name)) is False


# dir:/


def test_without_any_store_it_is_the_directory_itself(tmp_path):
    (tmp_path / ".dir").mkdir()
    assert nearest_directory(str(tmp_path), [DEFAULT_FILE]) == str(tmp_path)
    assert nearest_directory("/", [".kdbd-has-no-such-file"]) == "/"


def test_the_nearest_directory_with_one_of_the_files_is_taken(tmp_path):
    here = tmp_path / "a" / "b" / "c"
    here.mkdir(parents=True)
    stored(tmp_path)
    assert nearest_directory(str(here), [DEFAULT_FILE, "sub/app.ecf"]) == str(tmp_path)
    stored(tmp_path / "a", "sub/app.ecf")
    assert nearest_directory(str(here), [DEFAULT_FILE]) == str(tmp_path)
    assert nearest_directory(str(here), [DEFAULT_FILE, "sub/app.ecf"]) == str(tmp_path / "a")
    assert nearest_directory(str(tmp_path), [DEFAULT_FILE]) == str(tmp_path)


def test_looking_creates_nothing(tmp_path):
    nearest_directory(str(tmp_path), [DEFAULT_FILE])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("bit", [0o020, 0o002])
@pytest.mark.parametrize("name", ["", "sub", "sub/app.ecf"])
def test_what_others_write_is_refused_by_name(tmp_path, name, bit):
    stored(tmp_path, "sub/app.ecf")
    path = tmp_path / ".dir" / name
    path.chmod(path.stat().st_mode | bit)
    assert error_of(nearest_directory, str(tmp_path), [DEFAULT_FILE, "sub/app.ecf"]) == untrusted(
        path, "is writable by others"
    )


@pytest.mark.parametrize("name", ["", "sub", "sub/app.ecf"])
def test_a_symlink_is_refused_by_name(tmp_path, name):
    real = stored(tmp_path / "real", "sub/app.ecf").parents[1] / name
    if name:
        stored(tmp_path, "sub/other.ecf")
    link = tmp_path / ".dir" / name
    if name == "sub":
        (link / "other.ecf").unlink()
        link.rmdir()
    os.symlink(real, link)
    assert error_of(nearest_directory, str(tmp_path), ["sub/app.ecf"]) == untrusted(
        link, "is a symlink"
    )


def test_a_symlink_to_nowhere_is_refused_too(tmp_path):
    stored(tmp_path, "other.ecf")
    os.symlink("nowhere", tmp_path / ".dir" / DEFAULT_FILE)
    assert error_of(nearest_directory, str(tmp_path), [DEFAULT_FILE]) == untrusted(
        tmp_path / ".dir" / DEFAULT_FILE, "is a symlink"
    )


@pytest.mark.parametrize("name", ["", DEFAULT_FILE])
def test_what_a_stranger_owns_is_refused_by_name(tmp_path, name):
    stored(tmp_path)
    path = tmp_path / ".dir" / name
    if os.geteuid() == 0:
        os.chown(path, 4321, -1)
        assert error_of(nearest_directory, str(tmp_path), [DEFAULT_FILE]) == untrusted(
            path, "belongs to user 4321"
        )
    else:
        # An ordinary user gives nothing away: the nearest that there is, root's, is trusted.
        assert nearest_directory(str(tmp_path), [DEFAULT_FILE]) == str(tmp_path)
