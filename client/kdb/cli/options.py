"""The arguments of a command, as ``getopt_long`` takes them: options anywhere, ``--`` ends them."""

from __future__ import annotations

__all__ = ["COMMON", "JSON", "InvalidOption", "number", "parse"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# By long name: the letter, with a colon where it takes an argument; what it does; the argument's
# name.
COMMON = {
    "color": ("C:", "colour the output: never, always, or auto, on a terminal only", "WHEN"),
    "debug": ("d", "tell what is needed to find a fault"),
    "help": ("H", "show what the command does and takes"),
    "profile": ("p:", "taken for libelektra's sake; there are no profiles", "NAME"),
    "verbose": ("v", "tell more"),
    "version": ("V", "print the version"),
}
"""What every command takes."""

JSON = {"json": ("j", "print JSON")}
"""What every command takes that prints data."""


class InvalidOption(Exception):
    """An option that is not known, or whose argument is missing or wrong."""


def number(options: Mapping[str, str], long: str, form: Sequence[str], default: int) -> int:
    """Return the argument of an option, which is a number.

    Raises:
        InvalidOption: it is none.

    """
    letter = form[0][0]
    try:
        return int(options.get(letter, default))
    except ValueError:
        raise InvalidOption(f"-{letter} --{long} needs a valid number as argument") from None


def parse(
    arguments: Sequence[str], options: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the options, by their letters with their arguments, and the other arguments.

    *options* has the form of `COMMON`.

    Raises:
        InvalidOption: with what is wrong.

    """
    known = {long: form[0] for long, form in {**COMMON, **options}.items()}
    takes = {letter[0]: letter.endswith(":") for letter in known.values()}
    found: dict[str, str] = {}
    others: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            others += rest
            break
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            letter = known[_long(name, known)][0]
            if takes[letter]:
                found[letter] = value if equals else _argument(rest, f"'--{name}'")
            elif equals:
                raise InvalidOption(f"option '--{name}' doesn't allow an argument")
            else:
                found[letter] = ""
        elif argument.startswith("-") and len(argument) > 1:
            _letters(argument[1:], rest, takes, found)
        else:
            others.append(argument)
    if found.get("C", "auto") not in ("never", "auto", "always"):
        raise InvalidOption("-C --color needs never, auto, or always as argument")
    return found, others


def _letters(
    letters: str, rest: list[str], takes: Mapping[str, bool], found: dict[str, str]
) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in takes:
            raise InvalidOption(f"invalid option -- '{letter}'")
        if takes[letter]:
            found[letter] = letters or _argument(rest, f"-- '{letter}'")
            return
        found[letter] = ""


def _argument(rest: list[str], option: str) -> str:
    if not rest:
        raise InvalidOption(f"option {option} requires an argument")
    return rest.pop(0)


def _long(name: str, known: Mapping[str, str]) -> str:
    """Return the long option that *name* is, or is the unique beginning of."""
    if name in known:
        return name
    begun = [each for each in known if name and each.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    what = "is ambiguous" if begun else "is unknown"
    raise InvalidOption(f"option '--{name}' {what}")
