"""``kdb export``."""

from __future__ import annotations

from kdb.cli.command import OK, parent_key, say_bytes, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-E] [-j] SOURCE [FORMAT [FILE]]"
OPTIONS = {
    "json": ("j", "the same as the format json"),
    "plugins-config": ("c:", "taken for libelektra's sake; the formats have no settings", "KEYS"),
    "with-recommends": ("W", "taken for libelektra's sake"),
    "without-elektra": ("E", "leave out the keys below elektra"),
}
DESCRIPTION = r"""
Writes the key SOURCE and all keys below it, as they are at one moment, to standard output or to
FILE. The formats are dump, libelektra's own, and json. Both hold all there is, and kdb import
reads it back. Of a cascading name, one that begins with a slash, all namespaces are written, each
name with its namespace, which is for people to read: to bring all namespaces back there are kdb
backup and kdb restore. At most 64 MiB are written; what is larger is exported in parts.

In JSON the keys below a key are an object, by the last part of their names. A value is a string,
or as its metadata "type" and "array" say a number, true, false or an array. A key with other
metadata, with bytes, or with a value beside keys below it, is an object too: its value is ".",
each of its metadata "meta:/NAME", and bytes (metadata "binary") are base64.

A FILE is replaced once all is written. It is not written by kdbd, so it may be anywhere.
"""
EXAMPLES = (
    ("kdb export user:/sw/editor > editor.ecf", "keep a subtree in a file"),
    ("kdb export user:/sw/editor json", "show a subtree as JSON"),
)


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Write keys to standard output or to a file."""
    if not 1 <= len(arguments) <= 3:
        raise wrong_arguments("need 1 to 3 arguments")
    from kdb.cli import files, key_sets, storage_formats
    from kdb.model import names

    default = "json" if "j" in options else storage_formats.DEFAULT
    source, form, file = (*arguments, *(default, "-")[len(arguments) - 1 :])
    parent = parent_key(source)
    form = storage_formats.checked_format("export", form)
    if "j" in options and form != "json":
        raise wrong_arguments(f"-j stands for the format json, not for {form}")
    with key_sets.Database() as database:
        keys = list(database.read(parent).contents.items())
    if "E" in options:
        keys = [(name, key) for name, key in keys if not key_sets.is_elektra(name)]
    if parent[0] == names.Namespace.CASCADING:
        parent, keys = parent[:1], key_sets.qualified(keys)
    chunks = storage_formats.chunks(form, parent, keys)
    if file == "-":
        for chunk in chunks:
            say_bytes(chunk)
    else:
        files.write_file(file, chunks)
    return OK
