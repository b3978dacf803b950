"""Running one command: its arguments, its errors, its exit code."""

from __future__ import annotations

import os

from kdb.cli.bus import Bus, CallError, NoService
from kdb.cli.commands import COMMANDS
from kdb.cli.options import InvalidOption, parse

__all__ = [
    "ABORTED",
    "CASCADING_WRITE",
    "INVALID_NAME",
    "INVALID_OPTION",
    "KDB_ERROR",
    "NOT_FOUND",
    "NO_METADATA",
    "OK",
    "UNKNOWN_COMMAND",
    "WRONG_ARGUMENTS",
    "Failure",
    "bus_for",
    "canonical",
    "checked",
    "end_of_line",
    "existing_key",
    "found_key",
    "invalid_name",
    "kind_of",
    "parent_key",
    "report",
    "report_call",
    "run",
    "say",
    "say_bytes",
    "show_commands",
    "tell",
    "unknown_command",
    "unserved",
    "warn",
    "writable_name",
    "wrong_arguments",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdb.model.errors import KDBError

OK = 0
INVALID_OPTION = 1
WRONG_ARGUMENTS = 2
ABORTED = 3
UNKNOWN_COMMAND = 4
KDB_ERROR = 5
INVALID_NAME = 7
NOT_FOUND = 11
CASCADING_WRITE = 12
NO_METADATA = 12

_VERSION = "KDB_VERSION: 0.11.0\nSO_VERSION: 5\n"


class Failure(Exception):
    """A command ends with an exit code and a text for standard error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def run(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* name, and return its exit code."""
    name, *rest = arguments or ["--help"]
    if name == "--complete":
        return _complete(rest)
    try:
        if name in ("-H", "--help"):
            show_commands({})
            return OK
        if name in ("-V", "--version"):
            say(_VERSION)
            return OK
        if name not in COMMANDS:
            show_commands({})
            raise unknown_command(name)
        return _run(name, rest)
    except Failure as failure:
        warn(failure.text)
        return failure.code
    except CallError as error:
        return report_call(name, error)
    except NoService as error:
        return report_call(name, unserved(error))
    except Exception as error:  # noqa: BLE001 - a person gets a line, never a traceback
        return report(name, error)


def _complete(arguments: Sequence[str]) -> int:
    """Answer a shell, which at TAB wants suggestions or nothing, but no errors."""
    import _signal  # type: ignore[import-not-found]  # typeshed has only `signal`

    from kdb.cli import completion

    # Whoever presses TAB does not wait for a kdbd that hangs.
    _signal.alarm(2)
    try:
        say(completion.answer(arguments))
    except Exception:  # noqa: BLE001 - whatever it is, it suggests nothing
        return KDB_ERROR
    return OK


def _run(name: str, arguments: Sequence[str]) -> int:
    module = __import__(COMMANDS[name][0], fromlist=["run"])
    usage = f"Usage: kdb {name} {module.ARGUMENTS}".rstrip() + "\n"
    try:
        options, others = parse(arguments, module.OPTIONS)
        if "H" in options:
            from kdb.cli import manual

            say(manual.help_text(name))
            return OK
        if "V" in options:
            say(_VERSION)
            return OK
        code: int = module.run(options, others)
    except InvalidOption as error:
        text = f"kdb: {error}\nSorry, I could not process the given options (see errors above)\n"
        raise Failure(INVALID_OPTION, text + usage) from None
    except Failure as failure:
        if failure.code == WRONG_ARGUMENTS:
            failure.text += usage
        raise
    except UnicodeEncodeError:
        # Of what a command sends, only its arguments can hold anything but UTF-8.
        raise invalid_name(name, "the arguments are no UTF-8") from None
    return code


def show_commands(options: Mapping[str, str]) -> None:
    """Print what ``kdb`` is, and its commands."""
    from kdb.cli import colour, manual

    marks = (colour.BOLD, colour.PLAIN) if colour.is_coloured(options) else ()
    say(
        "Usage: kdb COMMAND [ARGUMENT...]\n\n"
        "kdb reads and writes the key database that kdbd serves.\n\n"
        f"Commands:\n{manual.commands_text(*marks)}\n"
        "kdb COMMAND --help tells what a command does.\n"
    )


def unknown_command(name: str) -> Failure:
    """Return the failure for a command that there is not."""
    return Failure(UNKNOWN_COMMAND, f"The command kdb {name} is not known\n")


def end_of_line() -> str:
    """Return what ends a line that libelektra does not end: on a terminal, so that it is one."""
    return "\n" if os.isatty(2) else ""


def say(text: str) -> None:
    """Write to standard output, whatever the locale; a name's stray bytes as they are."""
    _write(1, text.encode("utf-8", "surrogateescape"))


def say_bytes(data: bytes) -> None:
    """Write to standard output what is no text, or is encoded already."""
    _write(1, data)


def tell(options: Mapping[str, str], text: str) -> None:
    """Write what ``-v`` and ``-d`` tell: beside the output, but never into a JSON document."""
    (warn if "j" in options else say)(text)


def warn(text: str) -> None:
    """Write to standard error."""
    _write(2, text.encode("utf-8", "surrogateescape"))


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError as error:
        # A full disk behind standard output is an error; nobody listening at all is not.
        if fd == 1:
            raise Failure(KDB_ERROR, f"kdb: cannot write: {error.strerror}\n") from None


def wrong_arguments(text: str) -> Failure:
    """Return the failure for a wrong number or kind of arguments; the usage follows the text."""
    return Failure(WRONG_ARGUMENTS, f"Sorry, I could not process the arguments: {text}\n")


def invalid_name(command: str, text: str) -> Failure:
    """Return the failure for a name of a key or plugin."""
    info = f"The command kdb {command} terminated unsuccessfully with the info:\n{text}\n"
    return Failure(INVALID_NAME, info)


def checked(name: str) -> str:
    """Return a key's name from the command line, refusing the empty one as libelektra does."""
    if not name:
        raise wrong_arguments("<empty string> is not a valid keyname. Please enter a valid one.")
    return name


def parent_key(name: str) -> bytes:
    """Return the unescaped name of a parent key that kdbd is to be asked for."""
    from kdb.model.names import unescape

    checked(name).encode()  # what is no UTF-8 is told by `_run`
    return unescape(name)


def canonical(name: str) -> str:
    """Return a name, which the service has accepted, in its canonical form."""
    special = ("//", "/.", "/%", "/#", "\\")
    root = name.count("/") == 1
    if (root or name[-1] != "/") and not any(each in name for each in special):
        return name
    # Only such names need the rules, whose import takes 4 ms.
    from kdb.model.names import escape, unescape

    return escape(unescape(name))


def bus_for(*names: str) -> Bus:
    """Return the way to kdbd for these names: dir:/ and look-ups concern the working directory."""
    if any(name.startswith(("/", "dir:")) for name in names):
        try:
            return Bus(os.getcwd())
        except FileNotFoundError:
            # The directory was removed: it holds no keys.
            return Bus()
    return Bus()


def found_key(bus: Bus, name: str) -> tuple[str, bytes, dict[str, str], int] | None:
    """Return the key that *name* stands for, or None: its name, value, metadata and revision."""
    try:
        found, value, meta, revision = bus.call("Get", "s", name)
    except CallError as error:
        kind = kind_of(error)
        if kind == "KeyNotFound":
            return None
        if kind in ("LimitsExceeded", "Semantic"):  # too large, or metadata that are no UTF-8
            from kdb.cli import large

            return large.key(name)
        raise
    return found, value, meta, revision


def existing_key(bus: Bus, name: str) -> tuple[str, bytes, dict[str, str], int] | None:
    """As :func:`found_key`; a namespace that holds nothing says so when it is written to."""
    try:
        return found_key(bus, name)
    except CallError as error:
        if kind_of(error) != "Interface":
            raise
        return None


def writable_name(bus: Bus, name: str) -> str | None:
    """Return the key that *name* stands for, or None where it is to be made.

    Raises Failure for a cascading name that stands for none.
    """
    key = existing_key(bus, name)
    found = None if key is None else key[0]
    if name.startswith("/") and (found is None or found.startswith("default:")):
        text = "Aborting: A cascading write to a non-existent key is ambiguous.\n"
        raise Failure(CASCADING_WRITE, text)
    return found


def kind_of(error: CallError) -> str:
    """Return the last part of an error's name if it is one of kdbd's, else ""."""
    prefix, _, kind = error.name.rpartition(".")
    return kind if prefix == "org.libelektra.KDB1.Error" else ""


def unserved(error: NoService) -> CallError:
    """Return the error of a call that no bus took."""
    return CallError("org.freedesktop.DBus.Error.NoServer", str(error))


def report_call(command: str, error: CallError) -> int:
    """Print an error of the key database, and return the exit code for it."""
    from kdb.dbus_errors import from_dbus_error

    return _report_error(command, from_dbus_error(error.name, error.text))


def report(command: str, error: Exception) -> int:
    """Print an error of the library, or of our own, and return the exit code for it."""
    # Classes that take time to import.
    from kdb.model.errors import KDBError
    from kdb.model.exceptions import KDBException

    found = error.error if isinstance(error, KDBException) else error
    if isinstance(found, KDBError):
        return _report_error(command, found)
    warn(f"kdb: this should not have happened: {error!r}\n")
    return KDB_ERROR


def _report_error(command: str, found: KDBError) -> int:
    from kdb.model.errors import InstallationError, InvalidName, NameTooLong

    if isinstance(found, (InvalidName, NameTooLong)):
        failure = invalid_name(command, f"Invalid Keyname: {found}")
    elif isinstance(found, InstallationError):
        failure = Failure(KDB_ERROR, f"Sorry, {found.reason}\n")
    else:
        text = (
            f"Sorry, module {found.module} issued the error {found.number}:\n"
            f"{found.description}: {found}\n\n"
        )
        failure = Failure(KDB_ERROR, text)
    warn(failure.text)
    return failure.code
