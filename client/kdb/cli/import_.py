"""``kdb import``."""

from __future__ import annotations

from kdb.cli.command import OK, parent_key, tell, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "STRATEGIES", "run", "wanted"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kdb.cli.key_sets import Contents
    from kdb.model.content import Content

ARGUMENTS = "[-s STRATEGY] DESTINATION [FORMAT [FILE]]"
OPTIONS = {
    "plugins-config": ("c:", "taken for libelektra's sake; the formats have no settings", "KEYS"),
    "strategy": ("s:", "what becomes of the keys that are there: see above", "STRATEGY"),
    "with-recommends": ("W", "taken for libelektra's sake"),
}
DESCRIPTION = """
Reads keys from standard input or from FILE and brings the key DESTINATION and all keys below it
to them, in one commit: whoever reads sees all of it or nothing. What is not in the file is
removed. The formats are dump and json, as kdb export writes them. If anything is wrong with the
file, that is told with its line, and nothing is changed.

With the strategy "import" the keys that the file does not have stay. The others differ only where
somebody else changes keys while the import is under way: with "cut", as without a strategy, the
file decides all; with "theirs" it decides over the keys that it changes; with "ours" the change
of the other stays; with "preserve" nothing is imported, and the keys are named.
"""
EXAMPLES = (
    ("kdb import user:/sw/editor < editor.ecf", "bring a subtree to what a file holds"),
    ("kdb import -s import user:/sw json more.json", "add the keys of a JSON file"),
)

STRATEGIES = ("cut", "import", "ours", "preserve", "theirs")


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Bring a subtree to what a file holds."""
    if not 1 <= len(arguments) <= 3:
        raise wrong_arguments("need 1 to 3 arguments")
    strategy = options.get("s", "cut")
    if strategy not in STRATEGIES:
        raise wrong_arguments(f"the strategies are {', '.join(STRATEGIES)}, not {strategy!r}")
    from kdb.cli import files, storage_formats
    from kdb.cli.key_sets import Database
    from kdb.cli.progress import Progress
    from kdb.model import names

    destination, form, file = (*arguments, *(storage_formats.DEFAULT, "-")[len(arguments) - 1 :])
    parent = parent_key(destination)
    form = storage_formats.checked_format("import", form)
    if parent[0] == names.Namespace.CASCADING:
        text = f"{destination} is a cascading name; name a namespace, as in user:{destination}"
        raise wrong_arguments(text)
    data = files.read_file(file)
    imported: dict[bytes, Content] = {}
    with Progress("kdb import") as progress:
        shown = files.STANDARD_INPUT if file == "-" else file
        for position in storage_formats.read_slices(form, imported, data, parent, shown):
            progress.show("reading", position / len(data) / 2)
        progress.show("looking what is there", 0.5)
        with Database() as database:
            first = database.read(parent)
            progress.show(f"storing keys ({len(imported):,})", 0.6)
            keys = wanted(strategy, first.contents, imported)
            if strategy == "preserve":
                database.write(first, keys(first.contents))
                replaced = first
            else:
                replaced = database.change(first, keys)
    if "v" in options:
        tell(options, _summary(replaced.contents, keys(replaced.contents)))
    return OK


def wanted(strategy: str, first: Contents, imported: Contents) -> Callable[[Contents], Contents]:
    """Return what makes of the keys that are there what is to be there."""
    from kdb.cli.merging import merge, replaced

    def keys(now: Contents) -> Contents:
        if strategy == "cut":
            return imported
        if strategy == "import":
            return {**now, **imported}
        merged, conflicts = merge(first, ours=imported, theirs=now)
        return merged if strategy == "ours" else replaced(merged, imported, conflicts)

    return keys


def _summary(before: Contents, after: Contents) -> str:
    from kdb.model.diff import Diff

    diff = Diff.compute(after, before)
    counts = f"added {len(diff.added):,}, changed {len(diff.modified):,}"
    return f"Keys: {counts}, removed {len(diff.removed):,}; now {len(after):,}\n"
