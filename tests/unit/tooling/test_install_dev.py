"""`make install-dev` writes the unit and the activation file with this checkout's command."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


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
