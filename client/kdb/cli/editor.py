"""``kdb editor``."""

from __future__ import annotations

from kdb.cli.command import ABORTED, OK, Failure, parent_key, report, warn, wrong_arguments

__all__ = ["ARGUMENTS", "DESCRIPTION", "EXAMPLES", "OPTIONS", "run"]

ARGUMENTS = "[-e EDITOR] NAME [FORMAT]"
OPTIONS = {"editor": ("e:", "the editor to start, with its arguments", "EDITOR")}
DESCRIPTION = """
Opens the key NAME and all keys below it in an editor, and stores what was changed there, in one
commit. The editor is EDITOR, else $VISUAL, else $EDITOR, else vi. The formats are json, which is
taken if none is given, and dump; kdb export --help tells about them.

What others change in the meantime stays. Where they changed a key that was edited too, and not to
the same, nothing is stored; each such key is named, and the edited text is kept in a file. So it
is where anything else goes wrong. If the text is no JSON, kdb tells the line and offers to edit
it again.
"""
EXAMPLES = (
    ("kdb editor user:/sw/editor", "edit a subtree"),
    ("kdb editor -e 'code --wait' user:/sw", "in an editor of your choice"),
)

_FORMAT = "json"
_ENDINGS = {"json": ".json", "dump": ".ecf"}


def run(options: dict[str, str], arguments: list[str]) -> int:
    """Let a person edit keys, and store what was changed."""
    if not 1 <= len(arguments) <= 2:
        raise wrong_arguments("1 or 2 arguments needed")
    import os
    import shutil
    import tempfile
    from pathlib import Path

    from kdb.cli import storage_formats
    from kdb.cli.editing import Editing
    from kdb.cli.key_sets import Database
    from kdb.model import names
    from kdb.model.errors import KDBError

    parent = parent_key(arguments[0])
    form = storage_formats.checked_format("editor", (*arguments, _FORMAT)[1])
    if parent[0] == names.Namespace.CASCADING:
        text = f"{arguments[0]} is a cascading name; name a namespace, as in user:{arguments[0]}"
        raise wrong_arguments(text)
    database = Database()  # closed by the end of the process: the editing takes as long as it likes
    editing = Editing(database, database.read(parent), form, _editor(options))
    # Values may be secret: the directory, and what an editor writes beside the file, are private.
    try:
        directory = Path(tempfile.mkdtemp(prefix="kdb-editor-"))
    except OSError as error:
        raise Failure(ABORTED, f"kdb: no temporary file: {error.strerror}\n") from None
    os.umask(0o077)
    file = directory / f"keys{_ENDINGS[form]}"
    try:
        code = editing.run(file)
    except KDBError as error:
        code = report("editor", error)
    except Failure as failure:
        code = failure.code
        warn(failure.text)
    if code != OK and editing.is_changed(file):
        warn(f"What you edited is kept in {file}\n")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return code


def _editor(options: dict[str, str]) -> list[str]:
    """Return the editor's command line."""
    import os
    import shlex

    chosen = options.get("e") or os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        return shlex.split(chosen) or ["vi"]
    except ValueError as error:
        text = f"the editor {chosen!r} is no command line: {error}"
        raise wrong_arguments(text) from None
