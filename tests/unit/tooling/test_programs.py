"""A missing program is named together with its Debian package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import programs

SCRIPT = Path(programs.__file__)
BUS_MISSING = (
    "dbus-daemon and dbus-monitor are missing; the Debian package is dbus: apt-get install dbus"
)


def run(*names: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *names],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_package_is_named_in_one_line(tmp_path: Path) -> None:
    result = run("dbus-daemon", "dbus-monitor", "strace", path=tmp_path)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        BUS_MISSING,
        "strace is missing; the Debian package is strace: apt-get install strace",
    ]


def test_nothing_is_said_where_nothing_is_missing(tmp_path: Path) -> None:
    for name in ("dbus-daemon", "strace"):
        (tmp_path / name).touch(mode=0o755)
    result = run("dbus-daemon", "strace", path=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("target", ["run", "test"])
def test_make_names_what_is_missing(target: str, tmp_path: Path) -> None:
    root = SCRIPT.parents[1]
    for name in ("env", "make", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    virtual = sys.prefix
    result = subprocess.run(
        [
            "make",
            target,
            f"PYTHON={sys.executable}",
            f"VENV={virtual}",
            f"--old-file={virtual}/run.stamp",
            f"--old-file={virtual}/dev.stamp",
        ],
        cwd=root,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == BUS_MISSING


def test_make_names_the_package_of_a_missing_venv(tmp_path: Path) -> None:
    root = SCRIPT.parents[1]
    python = tmp_path / "python3"
    # Debian's python3 without python3-venv: there is a python3, and it has no ensurepip.
    python.write_text(
        f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    result = subprocess.run(
        ["make", "venv", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        "python3's venv is missing; the Debian package is python3-venv: "
        "apt-get install python3-venv"
    )
    assert not (tmp_path / "venv").exists()
