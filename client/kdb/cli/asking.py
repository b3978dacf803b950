"""Asking the person at the terminal."""

from __future__ import annotations

import os

from kdb.cli.command import ABORTED, Failure, warn

__all__ = ["ask", "confirm", "is_answerable"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def is_answerable() -> bool:
    """Tell whether somebody is there to be asked: a terminal for the question and the answer."""
    return os.isatty(0) and os.isatty(2)


def ask(question: str) -> bool:
    """Ask for a yes; anything else is a no."""
    warn(f"{question} [y/N] ")
    answer = b""
    while not answer.endswith(b"\n"):
        piece = os.read(0, 256)
        if not piece:
            warn("\n")
            break
        answer += piece
    return answer.strip().lower() in (b"y", b"yes")


def confirm(options: Mapping[str, str], what: str) -> None:
    """Ask before *what* is done, unless -f is given.

    Raises:
        Failure: nobody is there to be asked, or the answer is no.

    """
    if "f" in options:
        return
    if not is_answerable():
        text = f"kdb: this would {what}; with -f it is done without being asked\n"
        raise Failure(ABORTED, text)
    if not ask(f"This will {what}. Go on?"):
        raise Failure(ABORTED, "Nothing was changed\n")
