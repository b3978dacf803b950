"""`make install-dev` writes the unit and the activation file with this checkout's command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What each of the formats has a meaning of its own for.
ODD = "100% my $HOME dir; #1"


def install(home: Path, python: Path) -> subprocess.CompletedProcess[str]:
    """Install as the checkout does that has this interpreter."""
    return subprocess.run(
        [python, ROOT / "tooling" / "install_dev.py"],
        env={"HOME": str(home), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def checkout(directory: Path) -> Path:
    """Make an interpreter with a kdbd beside it, as in a virtual environment; answer the first."""
    directory.mkdir(parents=True)
    shutil.copy("/bin/true", directory / "kdbd")
    python = directory / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    return python


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", ["my dir", ODD])
def test_systemd_finds_the_command_in_any_directory(tmp_path: Path, name: str) -> None:
    assert install(tmp_path, checkout(tmp_path / name)).returncode == 0
    unit = tmp_path / ".config" / "systemd" / "user" / "kdbd.service"
    command = ["systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify", unit]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}

    def verified() -> tuple[int, str]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert verified() == (0, "")
    (tmp_path / name / "kdbd").unlink()
    code, told = verified()
    assert code != 0
    assert f"Command {tmp_path / name / 'kdbd'} is not executable" in told


@pytest.mark.parametrize("name", ["two\nlines", "it's", 'my "own"', "back\\slash"])
def test_a_directory_that_systemd_takes_no_command_from_is_refused(
    tmp_path: Path, name: str
) -> None:
    done = install(tmp_path, checkout(tmp_path / name))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "systemd starts nothing whose path has quotes, backslashes or line ends:"
        f" {tmp_path / name / 'kdbd'}\nMove the checkout.\n"
    )
    assert not (tmp_path / ".config").exists()


def test_both_files_start_this_checkouts_command(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tooling" / "install_dev.py"],
        env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    unit = tmp_path / ".config" / "systemd" / "user" / "kdbd.service"
    service = tmp_path / "data" / "dbus-1" / "services" / "org.libelektra.KDB1.service"
    command = f"{Path(sys.executable).parent / 'kdbd'} --bus session"
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == [
        f"wrote {unit}; remove it to undo this",
        f"wrote {service}; remove it to undo this",
    ]
    assert f"\nExecStart={command}\n" in unit.read_text(encoding="utf-8")
    assert f"\nExec={command}\n" in service.read_text(encoding="utf-8")
