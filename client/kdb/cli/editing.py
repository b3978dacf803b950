"""Keys in an editor: what a person changed there, brought together with what others changed."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from kdb.cli import storage_formats
from kdb.cli.asking import ask, is_answerable
from kdb.cli.command import ABORTED, OK, Failure, report, say
from kdb.cli.key_sets import Contents, Database, KeysRead
from kdb.cli.merging import conflict, merge
from kdb.model.content import Content
from kdb.model.diff import Diff
from kdb.model.errors import KDBError, SyntacticError

__all__ = ["Editing"]


@dataclass(slots=True)
class Editing:
    """Keys as they were read, the format to edit them in, and the editor's command line."""

    database: Database
    read: KeysRead
    form: str
    editor: list[str]
    before: bytes = field(init=False)

    def __post_init__(self) -> None:
        keys = self.read.contents.items()
        self.before = b"".join(storage_formats.chunks(self.form, self.read.parent, keys))

    def is_changed(self, file: Path) -> bool:
        """Tell whether a file is there and differs from what was to be edited."""
        try:
            return file.read_bytes() != self.before
        except OSError:
            return False

    def run(self, file: Path) -> int:
        """Have the keys edited in *file*, which is made, and store them; return the exit code.

        Raises:
            Failure: the editor failed; nothing was changed.
            KDBError: nothing was stored; a conflict names the keys.

        """
        try:
            file.write_bytes(self.before)
        except OSError as error:
            file.unlink(missing_ok=True)
            text = f"kdb: {file} cannot be written: {error.strerror}\n"
            raise Failure(ABORTED, text) from None
        while True:
            self._start(file)
            if not self.is_changed(file):
                say("Nothing was changed\n")
                return OK
            try:
                edited = self._parsed(file)
            except KDBError as error:
                if not is_answerable():
                    raise
                code = report("editor", error)
                if not ask("Edit it again?"):
                    return code
            else:
                self._store(edited)
                return OK

    def _start(self, file: Path) -> None:
        # Ctrl-C is for the editor: a handler, unlike an ignored signal, is not inherited by it.
        before = {each: signal.signal(each, _pass) for each in (signal.SIGINT, signal.SIGQUIT)}
        try:
            code = subprocess.run([*self.editor, file], check=False).returncode
        except OSError as error:
            text = f"kdb: the editor {self.editor[0]!r} cannot be started: {error.strerror}; "
            raise Failure(ABORTED, text + "name another with -e or $EDITOR\n") from None
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        if code != 0:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            text = f"kdb: the editor {self.editor[0]!r} failed with {how}; nothing was changed\n"
            raise Failure(ABORTED, text)

    def _parsed(self, file: Path) -> Contents:
        edited: dict[bytes, Content] = {}
        data = file.read_bytes()
        if not data.strip():
            # An empty dump file is one without keys; here the text was lost.
            reason = "the text is empty; to remove all keys, leave what an export of none has"
            raise SyntacticError(reason, file=str(file), line=1, module="kdb")
        for _ in storage_formats.read_slices(self.form, edited, data, self.read.parent, str(file)):
            pass  # nobody waits for slices here
        return edited

    def _store(self, edited: Contents) -> None:
        base = self.read.contents

        def wanted(now: Contents) -> Contents:
            merged, conflicts = merge(base, ours=edited, theirs=now)
            if conflicts:
                reason = "Somebody else changed what you edited too. Nothing was stored"
                raise conflict(reason, conflicts, base=base, ours=edited, theirs=now)
            return merged

        self.database.change(self.read, wanted)
        diff = Diff.compute(edited, base)
        if not diff:
            say("Nothing was changed\n")
            return
        counts = f"{len(diff.added)} added, {len(diff.modified)} changed"
        say(f"Stored: {counts}, {len(diff.removed)} removed\n")


def _pass(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
