"""What the files hold, beside what they must hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daemon_process import DaemonProcess

from crashing.operations import Stored
from kdb.formats import dump
from kdb.model.names import unescape

__all__ = ["check_files", "paths"]


def paths(
    daemon: DaemonProcess, mounts: Iterable[tuple[str, str, Any]], directory: Path
) -> dict[str, Path]:
    """Answer the file of each mountpoint; ``mounts`` is what ListMounts told."""
    files = {
        "user:/": daemon.user / "default.ecf",
        "system:/": daemon.system / "default.ecf",
        "spec:/": daemon.spec / "default.ecf",
        "dir:/": directory / ".dir/default.ecf",
        "system:/elektra": daemon.system / "elektra.ecf",
    }
    for mountpoint, path, _ in mounts:
        root = daemon.user if mountpoint.startswith("user:/") else daemon.system
        files[mountpoint] = root / path
    return files


def check_files(
    files: Mapping[str, Path], keys: Mapping[str, Stored], elsewhere: Mapping[str, Path]
) -> None:
    """Check that each file holds just these keys; ``elsewhere`` are those of another directory."""
    held: dict[tuple[str, Path], dict[str, Stored]] = {each: {} for each in files.items()}
    for name in elsewhere:
        held["dir:/", elsewhere[name]] = {}
    for name, stored in keys.items():
        mountpoint = max((each for each in files if _covers(each, name)), key=len)
        held[mountpoint, elsewhere.get(name, files[mountpoint])][name] = stored
    for (mountpoint, path), expected in held.items():
        if not expected:
            assert not path.exists(), f"{path} has no keys to hold"
            continue
        read = dump.read(path.read_bytes(), unescape(mountpoint), str(path))
        assert dict(read) == {unescape(name): each.content for name, each in expected.items()}


def _covers(mountpoint: str, name: str) -> bool:
    return name == mountpoint or name.startswith(mountpoint.rstrip("/") + "/")
