"""The introspection XML: the one source of the interfaces' signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from xml.etree import ElementTree  # noqa: ICN001  # the name says what it is

__all__ = ["Method", "document", "methods"]

_FILES = (
    "org.libelektra.KDB1.xml",
    "org.libelektra.KDB1.Handle.xml",
    "org.libelektra.xml",
    "standard.xml",
)
_DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method's signatures."""

    takes: str
    answers: str


@cache
def _interfaces() -> Mapping[str, ElementTree.Element]:
    found = {}
    for name in _FILES:
        for interface in ElementTree.fromstring(
            (files(__name__) / name).read_text("utf-8")
        ):  # our own
            found[interface.attrib["name"]] = interface
    return found


@cache
def methods(interface: str) -> Mapping[str, Method]:
    """Answer an interface's methods by name."""

    def signature(method: ElementTree.Element, direction: str) -> str:
        return "".join(
            each.attrib["type"]
            for each in method.findall("arg")
            if each.attrib["direction"] == direction
        )

    return {
        each.attrib["name"]: Method(signature(each, "in"), signature(each, "out"))
        for each in _interfaces()[interface].findall("method")
    }


def document(interfaces: Iterable[str], children: Iterable[str]) -> str:
    """Answer the introspection document of an object with these interfaces and child nodes."""
    node = ElementTree.Element("node")
    node.extend(_interfaces()[name] for name in interfaces)
    for child in children:
        ElementTree.SubElement(node, "node", {"name": child})
    ElementTree.indent(node)
    return _DOCTYPE + ElementTree.tostring(node, "unicode") + "\n"
