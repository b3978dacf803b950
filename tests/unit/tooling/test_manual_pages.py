"""The manual pages: every option of every command, in roff that is in order, in the wheel."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import manual_pages
from kdb.cli import manual
from kdb.cli.commands import COMMANDS
from kdb.cli.options import COMMON

ROOT = Path(__file__).parents[3]
NAMES = ("kdb.1", *(f"kdb-{name}.1" for name in COMMANDS))


def mandoc(kind: str, text: str) -> str:
    done = subprocess.run(
        ["mandoc", "-T", kind], input=text, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


def plain(text: str) -> str:
    """Return a page as it is read: without what prints letters bold or underlined."""
    printed = re.sub(".\b", "", mandoc("utf8", text))
    assert all(len(line) <= 78 for line in printed.splitlines()), "man shows it on 80 columns"
    return " ".join(printed.split())


def test_there_is_a_page_for_kdb_and_for_each_command() -> None:
    assert tuple(manual_pages.pages()) == NAMES


@pytest.mark.needs("mandoc")
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_in_order(name: str) -> None:
    assert mandoc("lint", manual_pages.pages()[name]) == ""


@pytest.mark.needs("mandoc")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_every_option_example_and_exit_code(name: str) -> None:
    shown = manual.page(name)
    text = plain(manual_pages.pages()[f"kdb-{name}.1"])
    for long, form in {**COMMON, **shown.options}.items():
        short, spelled = manual.option_forms(long, form)
        assert f"{short}, {spelled} {form[1]}" in text
    for command, what in shown.examples:
        assert f"{' '.join(command.split())} {what}" in text
    for code, what in manual.EXIT_CODES.items():
        assert f"{code} {what}" in text
    for paragraph in manual.paragraphs(shown.description):
        assert " ".join(paragraph.split()) in text
    sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS"]
    sections += ["ENVIRONMENT", "FILES", "SEE ALSO"]
    assert sorted(sections, key=text.index) == sections


@pytest.mark.needs("mandoc")
def test_the_page_of_kdb_lists_the_commands() -> None:
    text = plain(manual_pages.pages()["kdb.1"])
    for name, (_, what) in COMMANDS.items():
        assert f"kdb-{name}(1) {what}" in text


def test_the_day_of_a_page_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert " 1 1970-01-02 " in manual_pages.pages()["kdb.1"]


def test_a_wheel_brings_pages_and_completions(tmp_path: Path) -> None:
    for name in ("client", "completions", "daemon", "tooling"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for command in (
        [sys.executable, "tooling/manual_pages.py"],
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
    ):
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = {name.partition(".data/data/")[2] for name in archive.namelist()}
    assert files - {""} == {
        "share/bash-completion/completions/kdb",
        "share/fish/vendor_completions.d/kdb.fish",
        "share/zsh/site-functions/_kdb",
        *(f"share/man/man1/{name}" for name in NAMES),
    }
