"""Say which program is missing, and which Debian package has it.

    python3 tooling/programs.py dbus-daemon strace

prints one line for each package whose programs are missing and then exits with 1.
"""

import shutil
import sys
from collections.abc import Iterable
from typing import Final

__all__ = ["PACKAGES", "missing", "sentences"]

PACKAGES: Final = {
    "bash": "bash",
    "busctl": "systemd",
    "dbus-daemon": "dbus",
    "dbus-monitor": "dbus",
    "dbus-send": "dbus",
    "dconf": "dconf-cli",
    "fish": "fish",
    "g++": "g++",
    "gcc": "gcc",
    "gdbus": "libglib2.0-bin",
    "gdbus-codegen": "libglib2.0-dev",
    "glib-compile-schemas": "libglib2.0-bin",
    "gsettings": "libglib2.0-bin",
    "mandoc": "mandoc",
    "moc": "qtbase5-dev",
    "pkg-config": "pkg-config",
    "qdbusxml2cpp": "qtbase5-dev",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "valac": "valac",
    "xfconf-query": "xfconf",
    "zsh": "zsh",
}
"""The Debian 12 package of every program that a make target may call."""


def missing(programs: Iterable[str]) -> list[str]:
    """Return those of `programs` that are not on the PATH, in their order."""
    return [program for program in programs if shutil.which(program) is None]


def sentences(programs: Iterable[str]) -> list[str]:
    """Say for each package which of `programs` it would bring, and how to install it."""
    packages: dict[str, list[str]] = {}
    for program in programs:
        packages.setdefault(PACKAGES[program], []).append(program)
    return [
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing; "
        f"the Debian package is {package}: apt-get install {package}"
        for package, names in packages.items()
    ]


if __name__ == "__main__":
    lines = sentences(missing(sys.argv[1:]))
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1 if lines else 0)
