"""The words of a line of shell that is being typed: quotes may still be open.

bash completes not words but what lies behind the last of its COMP_WORDBREAKS, such as the colon of
a key's name, so what it is told is that part only, quoted as it was begun.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Line", "of_line", "quoted", "unquoted"]

_SPECIAL = re.compile(r"[\s\\'\"`$&;()<>|*?\[\]{}!^~]")
_IN_DOUBLE = '"\\$`'


class Line(NamedTuple):
    """A line's words without their quotes; the last one ends at the cursor.

    Of the last word so many characters are ``kept``, as they are not the shell's to replace.
    ``quote`` is the quote that is open, or "".
    """

    words: list[str]
    kept: int
    quote: str


def of_line(line: str, breaks: str, escaped_in_single: str = "") -> Line:
    """Split a line that ends at the cursor, as bash does; fish escapes in single quotes too."""
    escaped = {"'": escaped_in_single, '"': _IN_DOUBLE}
    words: list[str] = []
    word = ""
    kept, quote, begun, at = 0, "", False, 0
    while at < len(line):
        letter = line[at]
        at += 1
        if quote and letter == quote:
            quote, kept = "", len(word)
        elif letter == "\\" and (not quote or line[at : at + 1] in set(escaped[quote])):
            word, begun, at = word + line[at : at + 1], True, at + 1
        elif quote:
            word += letter
        elif letter in "'\"":
            quote, begun, kept = letter, True, len(word)
        elif letter.isspace():
            words += [word] if begun else []
            word, kept, begun = "", 0, False
        else:
            word, begun = word + letter, True
            if letter in breaks:
                kept = len(word)
    return Line([*words, word], kept, quote)


def unquoted(word: str, shell: str) -> str:
    """Return one word of zsh or fish without its quotes."""
    return " ".join(of_line(word, "", "'\\" if shell == "fish" else "").words)


def quoted(text: str, quote: str) -> str:
    """Return a text as it is typed within an open quote, or without one."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote:
        return "".join(f"\\{letter}" if letter in _IN_DOUBLE else letter for letter in text)
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)
