"""Make the reference in docs/dbus-api.md of what the code says.

The page is written by hand, but for the parts between `<!-- made of X … -->` and `<!-- end -->`:

    an interface   of the XML with its comments, which have the form that gdbus-codegen reads
    `errors`       of the classes in `kdb.model.errors`: when, then what to do
    `bounds`       of the constants that the code obeys

In a comment, lines after `$` are a call and what gdbus prints, lines after `>>>` are Python; the
tests run both in the order of the page.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from kdb import protocol
from kdb.model import content, errors, lookup, names
from kdb.requests import CALL_TIMEOUT_S, RESTART_WAIT_S
from kdbd import announcer, configuration, files, pipeline
from kdbd.bus import interfaces, load, marshal, objects, outgoing, reading
from kdbd.core import handles, requests

__all__ = ["FOLDER", "PAGE", "Comment", "comments", "main", "renewed"]

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "dbus-api.md"
FOLDER: Final = Path(interfaces.__file__).parent
PATHS: Final = {
    protocol.HANDLE_INTERFACE: protocol.HANDLE_PATH_PREFIX + "2",
    protocol.SIGNAL_INTERFACE: protocol.SIGNAL_PATH,
}
"""The object that the examples call, where it is not the database."""

_MADE: Final = re.compile(r"(<!-- made of (\S+)[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
_MEMBERS: Final = ("method", "signal", "property")
_MIB: Final = 1 << 20
_DEFAULTS: Final = configuration.parse([])
_BOUNDS: Final = (
    ("a key name", f"{names.MAX_NAME_BYTES:,} bytes", "NameTooLong"),
    ("a value, and each metadatum", f"{content.MAX_VALUE_BYTES // _MIB} MiB", "ValueTooLarge"),
    (
        "a reply",
        f"{reading.MAX_REPLY_BYTES // _MIB} MiB",
        "pages end earlier; of a single key LimitsExceeded: get it through a handle",
    ),
    ("a page, where the limit is 0", f"{reading.DEFAULT_LIMIT:,} keys, names or changes", "`more`"),
    (
        "a block in `data`, as kdbd sends it",
        f"{protocol.INLINE_BLOCK_BYTES // _MIB} MiB",
        "it sends a memfd",
    ),
    (
        "a block in a memfd",
        f"{protocol.MAX_BLOCK_BYTES // _MIB} MiB",
        "InvalidFileDescriptor; of a get LimitsExceeded: use narrower parents",
    ),
    ("the names in Committed", f"{announcer.MAX_TOLD_NAMES:,}", "`complete` is false: ask Changes"),
    (
        "the keys that a conflict names",
        f"{requests.MAX_TOLD_CONFLICTS:,}, in {marshal.MAX_ERROR_TEXT:,} characters",
        "the text ends there",
    ),
    ("links from one name to the next", f"{lookup.MAX_DEPTH}", "Semantic"),
    ("open handles of a client", f"{objects.MAX_HANDLES}", "LimitsExceeded: close some"),
    ("parents got by a handle", f"{handles.GOT_PARENTS:,}", "Interface: open another handle"),
    ("unanswered calls of a client", f"{load.MAX_CALLS:,}", "LimitsExceeded: wait for answers"),
    (
        "unanswered calls of all clients",
        f"{load.MAX_WAITING_BYTES // _MIB} MiB, {pipeline.MAX_WAITING:,} writes",
        "LimitsExceeded: try again in a moment",
    ),
    (
        "signals that wait for the bus",
        f"{outgoing.MAX_SIGNAL_BYTES // _MIB} MiB",
        "they are dropped: ask Changes",
    ),
    (
        "the history that Changes tells",
        f"{_DEFAULTS.history_bytes // _MIB} MiB, {_DEFAULTS.history_s / 86_400:.0f} days; options",
        "HistoryLost",
    ),
    (
        "a mountpoint's file that is written before the answer",
        f"{files.SYNCHRONOUS_BYTES // 1024} KiB",
        "it follows within 5 s, as the other files do",
    ),
    ("a call, in the libraries", f"{CALL_TIMEOUT_S:.0f} s", "an error; it may still be done"),
    ("a restart of kdbd, in the libraries", f"{RESTART_WAIT_S:.0f} s", "an error"),
)
"""What, how much at most, and what comes then."""


class Comment(NamedTuple):
    """The comment of an interface, method, signal or property, taken apart."""

    arguments: dict[str, str]
    text: str
    examples: list[str]

    @classmethod
    def of(cls, lines: list[str]) -> "Comment":
        """Take apart the lines after the name."""
        arguments: dict[str, str] = {}
        while lines and (found := re.fullmatch(r"@(\w+): (.+)", lines[0])):
            arguments[found[1]] = found[2]
            lines = lines[1:]
        paragraphs = "\n".join(lines).strip().split("\n\n")
        examples = [each for each in paragraphs if each.startswith(("$ ", ">>> "))]
        text = "\n\n".join(each for each in paragraphs if each not in examples)
        return cls(arguments, text, examples)


def main() -> int:
    """Renew the page; return the exit status."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def renewed(page: str, folder: Path = FOLDER) -> str:
    """Return the page with what is made of the code, and of the XML in `folder`, made anew.

    Raises ValueError where something is not described, or a method has no example.
    """
    makers: dict[str, Callable[[], Iterator[str]]] = {"errors": _errors, "bounds": _bounds}
    found = dict(_interfaces(folder))

    def made(part: re.Match[str]) -> str:
        subject = part[2]
        lines = makers[subject]() if subject in makers else _interface(*found.pop(subject))
        return part[1] + "\n" + "\n".join(lines) + "\n" + part[3]

    page = _MADE.sub(made, page)
    if found:
        raise ValueError(f"the page has no place for {', '.join(sorted(found))}")
    return page


def comments(file: Path) -> Iterator[tuple[str, Comment]]:
    """Yield the comment of each interface and member of a file, by name."""
    for interface, comment in _described(_root(file), ("interface",)):
        yield interface.attrib["name"], comment
        for member, described in _described(interface, _MEMBERS):
            yield member.attrib["name"], described


def _root(file: Path) -> ET.Element:
    return ET.parse(file, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))).getroot()


def _interfaces(folder: Path) -> Iterator[tuple[str, tuple[ET.Element, Comment]]]:
    for file in folder.glob("*.xml"):
        for element, comment in _described(_root(file), ("interface",)):
            yield element.attrib["name"], (element, comment)


def _described(parent: ET.Element, tags: tuple[str, ...]) -> Iterator[tuple[ET.Element, Comment]]:
    """Yield the children of these tags, each with the comment before it."""
    before = ""
    for child in parent:
        if child.tag in tags:
            name = child.attrib["name"]
            symbol, _, rest = before.partition(":")
            if symbol != name:
                raise ValueError(f"{name} of {parent.get('name', 'the XML')} is not described")
            yield child, Comment.of(rest.lstrip(" ").lstrip("\n").splitlines())
        tag: object = child.tag  # of a comment it is a function
        before = inspect.cleandoc(child.text or "") if tag is ET.Comment else ""


def _interface(element: ET.Element, comment: Comment) -> Iterator[str]:
    name = element.attrib["name"]
    yield f"## {name}"
    yield f"\n{comment.arguments['short_description']}."
    yield from _texts(name, comment)
    for member, described in _described(element, _MEMBERS):
        yield from _member(name, member, described)
    yield ""


def _member(interface: str, element: ET.Element, comment: Comment) -> Iterator[str]:
    name = element.attrib["name"]
    if element.tag == "property":
        yield f"\n### {name}, property `{element.attrib['type']}`"
    else:
        yield f"\n### {name}{', signal' if element.tag == 'signal' else ''}"
    arguments = element.findall("arg")
    if [each.attrib["name"] for each in arguments] != list(comment.arguments):
        raise ValueError(f"the arguments of {interface}.{name} are not those described")
    if element.tag == "method" and not comment.examples:
        raise ValueError(f"{interface}.{name} has no example")
    yield from _texts(interface, comment._replace(examples=[]))
    if arguments:
        yield "\n| argument | type | |\n|---|---|---|"
    for each in arguments:
        argument, arrow = each.attrib["name"], "→ " if each.get("direction") == "out" else ""
        yield f"| {arrow}`{argument}` | `{each.attrib['type']}` | {comment.arguments[argument]} |"
    yield from _texts(interface, comment._replace(text=""))


def _texts(interface: str, comment: Comment) -> Iterator[str]:
    if comment.text:
        yield "\n" + comment.text
    for example in comment.examples:
        if example.startswith(">>> "):
            # A blank line ends what an example prints.
            yield f"\n```python\n{example}\n\n```"
        else:
            call = partial(_call, interface)
            calls = re.sub(r"^\$ (\w+)", call, example, flags=re.MULTILINE)
            yield f"\n```console\n{calls}\n```"


def _call(interface: str, found: re.Match[str]) -> str:
    path = PATHS.get(interface, protocol.OBJECT_PATH)
    return (
        f"$ gdbus call --session --dest {protocol.BUS_NAME} \\\n"
        f"    --object-path {path} --method {interface}.{found[1]}"
    )


def _errors() -> Iterator[str]:
    yield "| `org.libelektra.KDB1.Error.` | number | when | what to do |\n|---|---|---|---|"
    for name, error in sorted(errors.BY_DBUS_NAME.items()):
        when, what = (inspect.getdoc(error) or "").split("\n\n")[:2]
        cells = (name.removeprefix(errors.ERROR_PREFIX), error.number, when, what)
        yield f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |"
    yield ""


def _bounds() -> Iterator[str]:
    yield "| what | at most | beyond |\n|---|---|---|"
    for row in _BOUNDS:
        yield f"| {' | '.join(row)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
