"""Write the manual pages of kdb: kdb.1, and kdb-COMMAND.1 for each command.

They are made of what each command's module says, as is what ``kdb COMMAND --help`` prints. The
pages use the macros of man(7) that groff and mandoc share.
"""

import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kdb.cli import manual
from kdb.cli.commands import COMMANDS
from kdb.cli.options import COMMON
from kdbd import __version__

__all__ = ["main", "pages"]

FOLDER: Final = Path(__file__).parents[1] / "build" / "man"

_SPECIAL: Final = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    '"': "\\(dq",
}
_WORD: Final = re.compile(r"(--?[A-Za-z0-9-]+|[A-Z]{2,}|[^A-Z-]+|.)")


def main() -> int:
    """Write all pages to build/man; return the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.1"):
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="ascii")
    return 0


def pages() -> dict[str, str]:
    """Return each page's text by the name of its file."""
    found = {"kdb.1": _overview()}
    for name in COMMANDS:
        found[f"kdb-{name}.1"] = _command(manual.page(name))
    return found


def _overview() -> str:
    return _page(
        "kdb",
        manual.SUMMARY,
        [
            ("SYNOPSIS", [".B kdb", "\\fICOMMAND\\fR [\\fIARGUMENT\\fR...]"]),
            ("DESCRIPTION", _paragraphs(manual.OVERVIEW)),
            ("COMMANDS", _commands()),
            ("OPTIONS", _options({name: COMMON[name] for name in ("help", "version")})),
            ("EXIT STATUS", _exit_codes()),
            ("ENVIRONMENT", _definitions(manual.ENVIRONMENT)),
            ("FILES", _definitions(manual.FILES)),
            ("SEE ALSO", _references(f"kdb-{name}" for name in COMMANDS)),
        ],
    )


def _command(shown: manual.Page) -> str:
    return _page(
        f"kdb-{shown.name}",
        shown.summary,
        [
            ("SYNOPSIS", [f".B kdb {_text(shown.name)}", *_synopsis(shown.arguments)]),
            ("DESCRIPTION", _paragraphs(shown.description)),
            ("OPTIONS", _options({**COMMON, **shown.options})),
            ("EXAMPLES", _definitions(dict(shown.examples))),
            ("EXIT STATUS", _exit_codes()),
            ("ENVIRONMENT", _definitions({**manual.ENVIRONMENT, **shown.environment})),
            ("FILES", _definitions(manual.FILES)),
            ("SEE ALSO", _references(["kdb", *_related(shown)])),
        ],
    )


def _page(name: str, summary: str, sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    what = summary[0].lower() + summary[1:].removesuffix(".")
    lines = [
        f'.TH {_text(name.upper())} 1 {_date()} "kdbd {__version__}" "Key database"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(what)}",
    ]
    for title, body in sections:
        if body:
            lines += [f'.SH "{title}"' if " " in title else f".SH {title}", *body]
    return "\n".join(lines) + "\n"


def _date() -> str:
    """Return the day of the pages: today, or SOURCE_DATE_EPOCH, so that builds can be repeated."""
    made = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())), tz=UTC)
    return made.date().isoformat()


def _synopsis(arguments: str) -> list[str]:
    """Return a synopsis: what is typed as it is in bold, what it stands for in italics."""
    if not arguments:
        return []

    def shaped(found: re.Match[str]) -> str:
        word = found[0]
        if word.startswith("-") and len(word) > 1:
            return f"\\fB{_text(word)}\\fR"
        return f"\\fI{word}\\fR" if word.isupper() and word.isalpha() else _text(word)

    lines = textwrap.wrap(arguments, 28, break_long_words=False, break_on_hyphens=False)
    return [_WORD.sub(shaped, line) for line in lines]


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in manual.paragraphs(text):
        if lines:
            lines.append(".PP")
        if paragraph.startswith(" "):
            # As it is: each line ends where it does.
            lines += [".nf", *map(_line, paragraph.splitlines()), ".fi"]
        else:
            lines += _filled(paragraph)
    return lines


def _options(options: Mapping[str, Sequence[str]]) -> list[str]:
    lines = []
    for long, form in sorted(options.items()):
        shown = []
        for each in manual.option_forms(long, form):
            option, mark, argument = each.replace("=", " = ").partition(" ")
            argument = argument.removeprefix("= ")
            mark = "=" if mark and option.startswith("--") else mark
            shown.append(f"\\fB{_text(option)}\\fR" + (f"{mark}\\fI{argument}\\fR" if mark else ""))
        lines += [".TP", ", ".join(shown), *_filled(form[1])]
    return lines


def _definitions(texts: Mapping[str, str]) -> list[str]:
    lines = []
    for term, what in texts.items():
        lines += [".TP", f"\\fB{_text(term)}\\fR", *_filled(what)]
    return lines


def _commands() -> list[str]:
    lines = []
    for name, (_, what) in COMMANDS.items():
        lines += [".TP", f"\\fBkdb\\-{_text(name)}\\fR(1)", *_filled(what)]
    return lines


def _exit_codes() -> list[str]:
    return _definitions({str(code): what for code, what in manual.EXIT_CODES.items()})


def _references(names: Iterable[str]) -> list[str]:
    shown = [f"\\fB{_text(name)}\\fR(1)" for name in names]
    return [f"{each}," for each in shown[:-1]] + shown[-1:]


def _related(shown: manual.Page) -> list[str]:
    """Return the commands that a description speaks of, and those with names alike."""
    told = set(re.findall(r"\bkdb ([a-z-]+)", shown.description))
    told |= {name for name in COMMANDS if shown.name.startswith("meta-") and name[:5] == "meta-"}
    return [f"kdb-{name}" for name in COMMANDS if name in told - {shown.name}]


def _filled(text: str) -> list[str]:
    """Return running text in lines short enough to stay below 80 bytes when escaped."""
    return [_line(line) for line in textwrap.wrap(text, 66, break_on_hyphens=False)]


def _line(text: str) -> str:
    escaped = _text(text)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def _text(text: str) -> str:
    """Return text as roff prints it, letter by letter."""
    return "".join(
        _SPECIAL.get(letter, letter) if letter.isascii() else f"\\[u{ord(letter):04X}]"
        for letter in text
    )


if __name__ == "__main__":
    sys.exit(main())
