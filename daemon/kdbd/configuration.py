"""kdbd's options, and where stores lie by default."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_config_path, user_state_path

from kdbd import __version__
from kdbd.logs import LogFormat
from kdbd.store.locations import Locations

__all__ = ["Configuration", "parse"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one kdbd is started with. ``address`` is the bus's, None for the user's or system's."""

    bus: Literal["session", "system"]
    address: str | None
    locations: Locations
    log_format: LogFormat
    log_level: str
    history_bytes: int
    history_s: float


def parse(arguments: Sequence[str]) -> Configuration:
    """Read the command line; exits with a message where it is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    state = options.state_dir
    if state is None:
        state = "/var/lib/kdbd" if options.bus == "system" else str(user_state_path("kdbd"))
    try:
        locations = Locations(
            spec=_absolute(options.spec_dir),
            user=_absolute(options.user_dir or str(user_config_path())),
            system=_absolute(options.system_dir),
            state=_absolute(state),
        )
    except RuntimeError as error:  # a ~user who does not exist
        parser.error(str(error))
    return Configuration(
        options.bus,
        options.address,
        locations,
        options.log_format,
        options.log_level,
        options.history_mib * _MIB,
        options.history_days * 86_400.0,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdbd",
        description="Serve a key database of configuration over D-Bus.",
        epilog="Talk to it with `kdb`, or with any D-Bus client: org.libelektra.KDB1.",
    )
    parser.add_argument("--version", action="version", version=f"kdbd {__version__}")
    parser.add_argument(
        "--bus",
        choices=("session", "system"),
        default="session",
        help="the bus to serve on (default: session)",
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="the bus's address, if it is not the usual one"
    )
    stores = parser.add_argument_group("stores")
    stores.add_argument(
        "--system-dir", metavar="DIR", default="/etc/kdb", help="system:/ (default: /etc/kdb)"
    )
    stores.add_argument(
        "--spec-dir",
        metavar="DIR",
        default="/usr/share/elektra/specification",
        help="spec:/ (default: /usr/share/elektra/specification)",
    )
    stores.add_argument("--user-dir", metavar="DIR", help="user:/ (default: ~/.config)")
    stores.add_argument(
        "--state-dir", metavar="DIR", help="the journal (default: ~/.local/state/kdbd)"
    )
    history = parser.add_argument_group("history")
    history.add_argument(
        "--history-mib",
        type=_positive,
        metavar="MIB",
        default=256,
        help="keep at most this much history (default: 256)",
    )
    history.add_argument(
        "--history-days",
        type=_positive,
        metavar="DAYS",
        default=90,
        help="keep history at most this long (default: 90)",
    )
    log = parser.add_argument_group("log, on standard error")
    log.add_argument(
        "--log-format",
        choices=("auto", "console", "json"),
        default="auto",
        help="auto is readable on a terminal, JSON otherwise",
    )
    log.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what to log (default: info)",
    )
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def _absolute(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())
