"""The keys that every store begins with, in each store's own files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

__all__ = ["PARENT", "path_of", "seed_dconf", "seed_kdbd", "seed_xfconfd"]

PARENT = "/sw/bench"
_GROUP = 100


def path_of(index: int) -> str:
    """Return the path of a key, 28 characters; paths are in order."""
    return f"{PARENT}/g{index // _GROUP:05d}/key{index:07d}"


def _value(index: int) -> str:
    return f"value {index}"


def _groups(count: int) -> Iterator[tuple[str, list[int]]]:
    for group, indices in groupby(range(count), lambda index: index // _GROUP):
        yield f"g{group:05d}", list(indices)


def seed_kdbd(directory: Path, count: int) -> None:
    """Write user:/'s default file; kdbd takes it in when it starts."""
    if not count:
        return
    with (directory / "default.ecf").open("w", encoding="ascii") as file:
        file.write("kdbOpen 2\n")
        for index in range(count):
            name, value = path_of(index)[1:], _value(index)
            file.write(f"$key string {len(name)} {len(value)}\n{name}\n{value}\n")
        file.write("$end\n")


def seed_xfconfd(directory: Path, count: int) -> None:
    """Write the channel `bench`."""
    channel = directory / "xfce4" / "xfconf" / "xfce-perchannel-xml" / "bench.xml"
    channel.parent.mkdir(parents=True)
    with channel.open("w", encoding="ascii") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<channel name="bench" version="1.0">\n')
        parts = PARENT.strip("/").split("/")
        for part in parts:
            file.write(f'<property name="{part}" type="empty">\n')
        for group, indices in _groups(count):
            file.write(f'<property name="{group}" type="empty">\n')
            for index in indices:
                name = path_of(index).rpartition("/")[2]
                file.write(f'<property name="{name}" type="string" value="{_value(index)}"/>\n')
            file.write("</property>\n")
        file.write("</property>\n" * len(parts) + "</channel>\n")


def seed_dconf(directory: Path, count: int) -> None:
    """Compile the database `user`. Raises CalledProcessError."""
    sources = directory / "sources"
    sources.mkdir()
    (directory / "dconf").mkdir()
    with (sources / "bench").open("w", encoding="ascii") as file:
        for group, indices in _groups(count):
            file.write(f"[{PARENT[1:]}/{group}]\n")
            for index in indices:
                file.write(f"{path_of(index).rpartition('/')[2]}='{_value(index)}'\n")
    subprocess.run(["dconf", "compile", directory / "dconf" / "user", sources], check=True)
