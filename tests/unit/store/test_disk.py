"""The file system as stores use it, on real files."""

import errno
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from refusing_system import file_size_limit, unprivileged

from kdbd.store.disk import FileStat, RealDisk, _take_over


@pytest.fixture
def disk():
    return RealDisk()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "default.ecf")


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def state(path):
    status = os.stat(path)
    return FileStat(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


# Looking and reading


def test_the_state_of_a_file_tells_it_from_any_other(disk, path):
    Path(path).write_bytes(b"one")
    before = disk.stat(path)
    assert before == state(path)
    os.utime(path, ns=(0, 1))
    assert disk.stat(path) == state(path) != before


def test_a_file_is_read_whole_with_its_state(disk, path):
    Path(path).write_bytes(b"one\0two\n" * 100_000)
    assert disk.read(path) == (state(path), b"one\0two\n" * 100_000)


def test_an_empty_file_is_a_file(disk, path):
    Path(path).touch()
    assert disk.read(path) == (state(path), b"")


@pytest.mark.parametrize("name", ["none", "none/below", "file/below"])
def test_no_file_is_no_error(disk, tmp_path, name):
    (tmp_path / "file").touch()
    assert disk.stat(str(tmp_path / name)) is None
    assert disk.read(str(tmp_path / name)) is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_fifo_or_directory_is_refused_at_once_and_left_closed(disk, path, make):
    make(path)
    before = descriptors()
    with pytest.raises(OSError, match="is no regular file") as caught:
        disk.read(path)
    assert str(caught.value) == f"{path} is no regular file"
    assert descriptors() == before


def test_a_file_without_the_right_to_read_is_an_error(disk):
    with unprivileged(), pytest.raises(PermissionError):
        disk.read("/proc/1/environ")


# Staging and replacing


def test_a_file_is_replaced_whole_and_only_then(disk, path):
    Path(path).write_bytes(b"before")
    temporary = disk.stage(path, [b"af", b"", b"ter"], private=True)
    assert temporary == f"{path}.{os.getpid()}.0.tmp"
    assert Path(path).read_bytes() == b"before"
    assert Path(temporary).read_bytes() == b"after"
    staged = os.stat(temporary).st_ino
    assert disk.replace(temporary, path) == state(path)
    assert Path(path).read_bytes() == b"after"
    assert os.stat(path).st_ino == staged
    assert os.listdir(os.path.dirname(path)) == ["default.ecf"]


def test_each_staged_file_has_a_name_of_its_own(disk, path):
    staged = [disk.stage(path, [text], private=True) for text in (b"a", b"b")]
    assert [Path(each).read_bytes() for each in staged] == [b"a", b"b"]


@pytest.mark.parametrize("mask", [0o000, 0o077])
@pytest.mark.parametrize(
    ("private", "file_mode", "directory_mode"), [(True, 0o600, 0o700), (False, 0o644, 0o755)]
)
def test_new_files_and_directories_have_modes_of_their_own(
    disk, tmp_path, private, file_mode, directory_mode, mask
):
    path = str(tmp_path / "new" / "deep" / "default.ecf")
    with umask(mask):
        disk.replace(disk.stage(path, [b"text"], private=private), path)
    assert mode(path) == file_mode
    assert [mode(tmp_path / each) for each in ("new", "new/deep")] == [directory_mode] * 2


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("kept", [0o640, 0o444, 0o666])
def test_a_replaced_file_keeps_its_mode(disk, path, private, kept):
    Path(path).touch()
    os.chmod(path, kept)
    disk.replace(disk.stage(path, [b"text"], private=private), path)
    assert mode(path) == kept


def test_a_replaced_file_keeps_its_owner_and_group(disk, path):
    Path(path).touch()
    # Only root gives files away; an ordinary user's stays that user's.
    owner = (4321, 1234) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    disk.replace(disk.stage(path, [b"text"], private=True), path)
    assert (os.stat(path).st_uid, os.stat(path).st_gid) == owner


def test_the_mode_is_kept_where_the_owner_cannot_be(disk):
    with unprivileged():
        descriptor = os.memfd_create("staged")
        try:
            _take_over("/etc/passwd", descriptor, 0o600)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o644, os.geteuid())


def test_nobody_else_reads_a_file_while_it_is_staged(disk, path):
    modes = []

    def chunks():
        modes.append(mode(f"{path}.{os.getpid()}.0.tmp"))
        yield b"text"

    disk.stage(path, chunks(), private=False)
    assert modes == [0o600]


# Failing


def test_a_file_that_finds_no_room_leaves_nothing_behind(disk, path):
    Path(path).write_bytes(b"before")
    before = descriptors()
    with file_size_limit(100_000), pytest.raises(OSError, match="File too large") as caught:
        disk.stage(path, [b"x" * 60_000] * 2, private=True)
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(os.path.dirname(path)) == ["default.ecf"]
    assert Path(path).read_bytes() == b"before"
    assert descriptors() == before


def test_chunks_that_fail_leave_nothing_behind(disk, path):
    def chunks():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.stage(path, chunks(), private=True)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_directory_without_the_right_to_write_is_an_error_and_stays_as_it_is(disk):
    before = os.listdir("/usr")
    with unprivileged():
        with pytest.raises(PermissionError):
            disk.stage("/usr/default.ecf", [b"text"], private=False)
        with pytest.raises(PermissionError):
            disk.stage("/usr/kdb-new/default.ecf", [b"text"], private=False)
    assert os.listdir("/usr") == before


def test_what_lies_where_a_file_is_to_be_staged_is_not_touched(disk, path, tmp_path):
    victim, planted = tmp_path / "victim", Path(f"{path}.{os.getpid()}.1.tmp")
    victim.write_bytes(b"kept")
    os.symlink(victim, f"{path}.{os.getpid()}.0.tmp")
    planted.write_bytes(b"planted")
    temporary = disk.stage(path, [b"text"], private=True)
    assert temporary == f"{path}.{os.getpid()}.2.tmp"
    assert (victim.read_bytes(), planted.read_bytes()) == (b"kept", b"planted")


@pytest.mark.parametrize("there", [True, False])
def test_of_a_symlink_the_file_behind_is_replaced(disk, path, tmp_path, there):
    behind = tmp_path / "dotfiles" / "keys.ecf"
    behind.parent.mkdir()
    if there:
        behind.write_bytes(b"before")
    os.symlink("dotfiles/keys.ecf", path)
    temporary = disk.stage(path, [b"after"], private=True)
    assert os.path.dirname(temporary) == str(behind.parent)
    assert disk.replace(temporary, path) == state(behind) == disk.stat(path)
    assert os.readlink(path) == "dotfiles/keys.ecf"
    assert behind.read_bytes() == b"after"
    left = disk.stage(path, [b"left"], private=True)
    os.rename(left, swept := f"{behind}.{2**22 + 1}.0.tmp")
    disk.sweep(path, keep=None)
    assert not os.path.exists(swept)
    disk.remove(path)
    assert os.listdir(behind.parent) == []


def test_a_symlink_of_somebody_else_where_all_may_write_is_not_followed(disk, path, tmp_path):
    behind = tmp_path / "victim"
    behind.write_bytes(b"kept")
    os.symlink(behind, path)
    os.lchown(path, 1234, 1234)
    os.chmod(tmp_path, 0o1777)
    for replaces in (lambda: disk.stage(path, [b"text"], private=True), lambda: disk.remove(path)):
        with pytest.raises(OSError, match="somebody else") as caught:
            replaces()
        assert caught.value.errno == errno.ELOOP
    assert behind.read_bytes() == b"kept"
    os.chmod(tmp_path, 0o777)
    disk.remove(path)
    assert not behind.exists()


def test_an_edit_right_after_the_rename_differs_from_what_is_known(path):
    class Edited(RealDisk):
        """Somebody edits the file before its directory is synced."""

        def _sync_directory(self, directory):
            Path(path).write_bytes(b"edited")
            super()._sync_directory(directory)

    for disk in (Edited(), RealDisk()):
        known = disk.replace(disk.stage(path, [b"text"], private=True), path)
        assert (known == disk.stat(path)) is (type(disk) is RealDisk)


def test_a_directory_that_is_a_symlink_to_nowhere_is_an_error(disk, tmp_path):
    os.symlink("nowhere", tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        disk.stage(str(tmp_path / "link" / "default.ecf"), [b"text"], private=True)
    assert os.listdir(tmp_path) == ["link"]


def test_a_staged_file_that_is_gone_replaces_nothing(disk, path):
    Path(path).write_bytes(b"before")
    temporary = disk.stage(path, [b"after"], private=True)
    disk.discard(temporary)
    with pytest.raises(FileNotFoundError):
        disk.replace(temporary, path)
    assert Path(path).read_bytes() == b"before"


# Removing


@pytest.mark.parametrize("name", ["file", "none", "none/below", "other/below"])
def test_a_removed_file_is_gone_whether_it_was_there_or_not(disk, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "other").touch()
    disk.remove(str(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == (["other"] if name == "file" else ["file", "other"])


def test_a_file_that_may_not_be_removed_is_an_error(disk):
    with unprivileged(), pytest.raises(PermissionError):
        disk.remove("/etc/passwd")


def test_discarding_never_fails(disk, path):
    temporary = disk.stage(path, [b"text"], private=True)
    for each in (temporary, temporary, os.path.dirname(path)):
        disk.discard(each)
    assert os.listdir(os.path.dirname(path)) == []


def test_what_processes_that_are_gone_staged_is_swept(disk, path, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own, living = os.getpid(), os.getppid()
    swept = [f"default.ecf.{ended.pid}.0.tmp", f"default.ecf.{ended.pid}.tmp"]
    swept += [f"default.ecf.{own}.7.tmp"]
    stays = ["default.ecf", f"default.ecf.{living}.0.tmp", f"default.ecf.{ended.pid}.1.tmp"]
    stays += [f"default_ecf.{ended.pid}.0.tmp", "default.ecf.x.tmp", "default.ecf.1.2.3.tmp"]
    stays += [f"other.ecf.{ended.pid}.0.tmp", f"default.ecf.{ended.pid}.0.tmp.old"]
    for name in (*swept, *stays):
        (tmp_path / name).touch()
    disk.sweep(path, keep=f"{path}.{ended.pid}.1.tmp")
    assert sorted(os.listdir(tmp_path)) == sorted(stays)


@pytest.mark.parametrize("directory", ["none", "file"])
def test_where_there_is_no_directory_nothing_is_swept(disk, tmp_path, directory):
    (tmp_path / "file").touch()
    disk.sweep(str(tmp_path / directory / "default.ecf"), keep=None)
    assert os.listdir(tmp_path) == ["file"]
