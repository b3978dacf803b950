"""Let this checkout's kdbd be started by systemd and by the session bus.

Copies the user unit and the activation file to where both look for a user's own, with the path of
this checkout's command in them, quoted as each reads it. Says what it wrote and how to undo it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["main"]

ROOT: Final = Path(__file__).parents[1]
INSTALLED: Final = "/usr/bin/kdbd"


def main() -> int:
    """Write both files; return the exit status."""
    command = Path(sys.executable).parent / "kdbd"
    if not str(command).isprintable() or set(str(command)) & set("\\\"'"):
        raise SystemExit(
            f"systemd starts nothing whose path has quotes, backslashes or line ends: {command}\n"
            "Move the checkout."
        )
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    targets = (
        (ROOT / "systemd" / "kdbd.service", config / "systemd" / "user", _for_systemd),
        (
            ROOT / "dbus-policy" / "org.libelektra.KDB1.service",
            data / "dbus-1" / "services",
            shlex.quote,
        ),
    )
    for source, folder, quoted in targets:
        text = source.read_text(encoding="utf-8")
        if INSTALLED not in text:
            raise SystemExit(f"{source} does not start {INSTALLED}")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / source.name
        target.write_text(text.replace(INSTALLED, quoted(str(command))), encoding="utf-8")
        print(f"wrote {target}; remove it to undo this")
    _reload()
    print(
        f"The first 'kdb get' on the session bus starts kdbd now; kdb is {command.with_name('kdb')}"
    )
    return 0


def _for_systemd(command: str) -> str:
    """Quote a path for ExecStart=, where a per cent sign begins a specifier."""
    escaped = command.replace("%", "%%")
    return escaped if shlex.quote(command) == command else f'"{escaped}"'


def _reload() -> None:
    """Tell systemd and the bus, where they run; at the next login they look by themselves."""
    commands = [
        ["systemctl", "--user", "daemon-reload"],
        [
            "dbus-send",
            "--session",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.ReloadConfig",
        ],
    ]
    for command in commands:
        if shutil.which(command[0]) is not None:
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
