"""``kdb mount``."""

from __future__ import annotations

from kdb.cli.bus import Bus
from kdb.cli.command import OK, canonical, checked, invalid_name, say, wrong_arguments
from kdb.cli.options import JSON

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-0123jf] [-R RESOLVER] [PATH MOUNTPOINT [PLUGIN...] [KEY=VALUE...]]"
OPTIONS = {
    "first": ("1", "list only the mountpoints"),
    "force": ("f", "mount in place of what is mounted there"),
    "null": ("0", "end each line with NUL, not with a newline"),
    "quiet": ("q", "say nothing where all went well"),
    "resolver": (
        "R:",
        "the plugin that finds and locks the file; kdbd does this itself",
        "RESOLVER",
    ),
    "second": ("2", "list only the paths"),
    "third": ("3", "list as without it"),
    "with-recommends": ("W", "taken for libelektra's sake"),
    **JSON,
}
DESCRIPTION = """
Puts the file PATH, in the dump format, in charge of the keys at and below MOUNTPOINT. A path
that is not absolute is below the namespace's directory. Without arguments, lists what is
mounted.

What is mounted is kept in system:/elektra. A kdbd that may not write /etc/kdb, as an ordinary
user's, can mount if it is started with --system-dir and a directory of the user's own.

kdbd does itself what the plugins dump, resolver, sync and dbus do, and knows no others. Of
KEY=VALUE it knows announce=once: one signal for the mountpoint instead of one for each key.
"""
EXAMPLES = (
    ("kdb mount editor.ecf user:/sw/editor", "keep a subtree in a file of its own"),
    ("kdb mount", "list what is mounted"),
)

# What kdbd does itself, whether it is named or not.
_PLUGINS = ("dbus", "dump", "resolver", "sync")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Mount a file in the dump format; without arguments list what is mounted."""
    if not arguments:
        _list(options)
        return OK
    if len(arguments) == 1:
        raise wrong_arguments("wrong number of arguments, 0 or more than 1 needed")
    path, mountpoint, *rest = arguments
    checked(mountpoint)
    config = _config([options.get("R", "resolver"), *rest])
    bus = Bus()
    if _is_mounted(bus, mountpoint):
        if "f" not in options:
            text = f"Mountpoint {mountpoint} is one of the already used names"
            raise invalid_name("mount", text)
        config["replace"] = "yes"
    bus.root("Mount", "ssa{ss}", mountpoint, path, config)
    return OK


def _list(options: dict[str, str]) -> None:
    (mounted,) = Bus().root("ListMounts")
    if "j" in options:
        from kdb.cli import as_json

        forms = ("mountpoint", "path", "config")
        as_json.show([dict(zip(forms, each, strict=True)) for each in mounted])
        return
    end = "\0" if "0" in options else "\n"
    lines = []
    for mountpoint, path, _ in mounted:
        if "1" in options:
            lines.append(mountpoint + end)
        elif "2" in options:
            lines.append(path + end)
        else:
            lines.append(f"{path} on {mountpoint}{end}")
    say("".join(lines))


def _config(plugins: list[str]) -> dict[str, str]:
    """Return the plugins' configuration, after a check that kdbd does what they do."""
    config = {}
    for plugin in plugins:
        key, equals, value = plugin.partition("=")
        if equals:
            config[key] = value
        elif plugin not in _PLUGINS:
            raise invalid_name("mount", f"No plugin that provides {plugin} could be found")
    return config


def _is_mounted(bus: Bus, mountpoint: str) -> bool:
    from kdb.model.errors import InvalidName

    try:
        name = canonical(mountpoint)
    except InvalidName as error:
        raise invalid_name("mount", f"Invalid Keyname: {error}") from None
    (mounted,) = bus.root("ListMounts")
    return name in [each for each, _, _ in mounted]
