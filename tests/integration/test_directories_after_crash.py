"""What was set in a directory and acknowledged is there after a crash, for whoever looks."""

from __future__ import annotations

from pathlib import Path

from caller import Caller
from daemon_process import DaemonProcess


def test_a_directorys_file_follows_after_a_crash_though_nobody_opens_it(
    kdbd: DaemonProcess, tmp_path: Path
) -> None:
    below = tmp_path / "project" / "below"
    below.mkdir(parents=True)
    with Caller(kdbd.bus.address) as caller:
        caller.open(tmp_path / "project")
        caller.call("SetString", "ss", "dir:/a", "1", path=caller.handle)
    kdbd.kill()
    kdbd.start()
    with Caller(kdbd.bus.address) as caller:
        caller.call("Sync")
        file = tmp_path / "project" / ".dir" / "default.ecf"
        assert file.read_bytes() == b"kdbOpen 2\n$key string 1 1\na\n1\n$end\n"
        caller.open(below)
        assert caller.call("GetString", "s", "dir:/a", path=caller.handle) == ("1",)


def test_a_directory_that_is_gone_is_not_made_anew(kdbd: DaemonProcess, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with Caller(kdbd.bus.address) as caller:
        caller.open(project)
        caller.call("SetString", "ss", "dir:/a", "1", path=caller.handle)
    kdbd.kill()
    for path in sorted(project.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    project.rmdir()
    kdbd.start()
    kdbd.wait_for_event("directory.behind")
    assert not project.exists()
