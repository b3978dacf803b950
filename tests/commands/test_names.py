"""find, complete, file and the parts of names: what the transcripts lack, and clumsy use."""

import json
import os
import signal
import subprocess

import pexpect
import pytest
from transcripts import KDB, run

# test_transcripts measures these commands.
IS_MEASURED = False


def test_what_is_found_is_json_where_asked(kdbd):
    run(kdbd, "kdb set 'user:/a \"b\"' 1; kdb set user:/c 1")
    assert json.loads(run(kdbd, "kdb find -j user")[1]) == ['user:/a "b"', "user:/c"]
    assert json.loads(run(kdbd, "kdb find -j none")[1]) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("[[:digit:]]", ["user:/a/1"]),
        ("^user:/a/[^[:digit:]]", ["user:/a/b"]),
        (r"\d$", ["user:/a/1"]),
        ("a/(1|b)$", ["user:/a/1", "user:/a/b"]),
        ("😀", ["user:/😀"]),
        ("[[a]/b", ["user:/a/b"]),
        ("^default:", ["default:/s"]),
    ],
)
def test_an_expression_is_found_in_names(kdbd, expression, found):
    for name in ("user:/a/1", "user:/a/b", "user:/😀"):
        run(kdbd, f"kdb set {name} x")
    run(kdbd, "kdb meta-set spec:/s default x")
    expected = "".join(f"{name}\n" for name in found)
    assert run(kdbd, f"kdb find '{expression}'") == (0, expected, "")


@pytest.mark.parametrize("expression", ["*", "(", "[", "(?P<a", "a{2,1}", "\\"])
def test_what_is_no_expression_is_said_in_one_line(kdbd, expression):
    run(kdbd, "kdb set user:/a 1")
    code, output, errors = run(kdbd, f"kdb find '{expression}'")
    assert (code, output) == (0, "")
    assert errors.startswith(f"Regex error in “{expression}”: ")
    assert errors.count("\n") == 1


def test_found_names_end_with_a_closed_pipe_quietly(kdbd):
    run(kdbd, "kdb set user:/a 1; kdb meta-set user:/a m v")
    for command in ("find a", "complete", "meta-ls user:/a", "file user:/a", "sget user:/a x"):
        # The reader is gone before kdb begins to write.
        line = f"exec 3> >(:); wait $!; kdb {command} >&3; exit $?"
        assert run(kdbd, line) == (128 + signal.SIGPIPE, "", ""), command


@pytest.mark.parametrize("command", ["find user", "complete", "namespace user:/a", "file user:/"])
def test_a_full_disk_is_an_error(kdbd, command):
    run(kdbd, "kdb set user:/a 1")
    code, _, errors = run(kdbd, f"kdb {command} > /dev/full")
    assert (code, errors) == (5, "kdb: cannot write: No space left on device\n")


@pytest.mark.parametrize(
    ("begun", "most", "expected"),
    [
        ("", 1, ["spec:/", "proc:/", "dir:/", "user:/", "system:/"]),
        ("us", 1, ["user:/"]),
        ("user:/", 1, ["user:/a b/", "user:/😀"]),
        ("user:/a", 1, ["user:/a b/"]),
        ("user:/a b/", 1, ["user:/a b/#0", "user:/a b/c"]),
        ("user:/a b/#", 1, ["user:/a b/#0"]),
        ("/", 1, ["user:/a b/", "user:/😀", "system:/x"]),
        ("system:/elektra/version/c", 1, ["system:/elektra/version/constants/"]),
        ("user:/\\", 1, []),
        ("nonsense", 1, []),
        ("-", 1, []),
    ],
)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_name_is_completed(kdbd, begun, most, expected, locale):
    for name in ("user:/a b/c", "user:/a b/#0", "user:/a b", "user:/😀", "system:/x"):
        run(kdbd, f"kdb set '{name}' 1")
    environment = kdbd.client_environment | {"LC_ALL": locale}
    for form in ((), ("-j",)):
        arguments = [*form, "-M", str(most), "--", begun]
        done = kdbd.run("kdb", "complete", *arguments, env=environment, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout) if form else done.stdout.splitlines()
        assert found == expected


def test_keys_of_the_working_directory_are_completed(kdbd):
    run(kdbd, "kdb set dir:/here 1")
    assert run(kdbd, "kdb complete dir:/h")[1] == "dir:/here\n"
    assert run(kdbd, "kdb complete /h")[1] == "dir:/here\n"


def test_what_is_told_about_a_suggestion_is_one_line(kdbd):
    run(kdbd, "kdb meta-set user:/a m $'two\\nlines\\t'; kdb meta-set user:/a n " + "x" * 100)
    records = ["", "m\ttwo lines ", "n\t" + "x" * 60]
    assert run(kdbd, "kdb --complete fish meta-get user:/a ''") == (0, "\0".join(records), "")


def test_names_that_no_line_can_show_are_not_suggested_to_shells(kdbd):
    run(kdbd, "kdb set $'user:/a\\nb' 1; kdb set user:/ab 1")
    assert run(kdbd, "kdb --complete zsh get user:/a") == (0, "\0user:/ab", "")
    assert run(kdbd, "kdb complete user:/a") == (0, "user:/a\nb\nuser:/ab\n", "")


@pytest.mark.parametrize("arguments", ["", "bash", "zsh", "nosuch", "bash 'kdb get user:/'"])
def test_a_shell_that_asks_wrongly_gets_nothing(kdbd, arguments):
    code, output, errors = run(kdbd, f"kdb --complete {arguments}")
    assert (code, output, errors) == (5, "", "")


def test_a_removed_working_directory_has_no_keys_to_suggest(kdbd):
    run(kdbd, "kdb set user:/x 1")
    line = "mkdir gone; cd gone; rmdir ../gone; kdb complete /; kdb complete -M 2 d"
    assert run(kdbd, line) == (0, "user:/x\ndir:/\n", "")


@pytest.mark.parametrize("arguments", ["-m x", "-M ''", "-m", "--min-depth=1.5"])
def test_a_depth_is_a_number(kdbd, arguments):
    code, output, errors = run(kdbd, f"kdb complete {arguments}")
    assert (code, output) == (1, "")
    assert errors.startswith("kdb: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["basename", "user:/a/😀"], "😀\n"),
        (["basename", "user:/a/two\nlines"], "two\nlines\n"),
        (["basename", "--", "/-dash"], "-dash\n"),
        (["basename", "-j", 'user:/say "x"'], '"say \\"x\\""\n'),
        (["dirname", "user:/a b/c"], "/a b\n"),
        (["dirname", "-j", "user:/"], '"/"\n'),
        (["dirname", "user:/.."], "/\n"),
        (["namespace", "-j", "/x"], '""\n'),
    ],
)
def test_parts_of_names_need_no_kdbd(kdbd, arguments, expected):
    kdbd.stop()
    environment = kdbd.client_environment | {"LC_ALL": "C"}
    done = kdbd.run("kdb", *arguments, env=environment)
    assert (done.stdout, done.stderr) == (expected, "")


def test_the_base_of_a_name_that_is_no_utf8_is_printed_as_it_is(kdbd):
    done = kdbd.run(str(KDB), "basename", os.fsdecode(b"user:/a/\xff"), text=False)
    assert done.stdout == b"\xff\n"


def test_a_file_is_that_of_the_mountpoint_and_of_the_nearest_directory(kdbd):
    run(kdbd, "kdb set dir:/x 1; kdb mount m.ecf user:/m; mkdir -p sub")
    assert run(kdbd, "cd sub && kdb file dir:/x")[1] == f"{kdbd.work}/.dir/default.ecf\n"
    assert run(kdbd, "kdb file user:/m")[1] == f"{kdbd.user}/m.ecf\n"
    assert run(kdbd, "kdb umount user:/m && kdb file user:/m")[1] == f"{kdbd.user}/default.ecf\n"
    assert json.loads(run(kdbd, "kdb file -j user:/m")[1]) == f"{kdbd.user}/default.ecf"


def test_the_file_of_a_damaged_mountpoint_is_told(kdbd):
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_text("garbage\n")
    assert run(kdbd, "kdb file user:/x") == (0, f"{kdbd.user}/default.ecf\n", "")


def test_a_script_gets_its_default_whatever_is_wrong_with_the_database(kdbd):
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_text("garbage\n")
    code, output, errors = run(kdbd, "kdb sget user:/x dflt")
    assert (code, output) == (0, "dflt")
    assert "C03100" in errors
    kdbd.stop()
    code, output, errors = run(kdbd, "kdb sget user:/x dflt")
    assert (code, output) == (0, "dflt")
    assert errors.startswith("Sorry, no kdbd answers on the bus")


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ("/none ''", 0, ""),
        ("-- /none -1", 0, "-1"),
        ("/x none", 0, "a\nb"),
        ("-j /x none", 0, '"a\\nb"\n'),
        ("-j /none none", 0, '"none"\n'),
        ("/b none", 0, r"\x31\x0"),
        ("bad none", 7, ""),
        ("'' none", 2, ""),
        ("/x", 2, ""),
        ("/x none more", 2, ""),
    ],
)
def test_a_script_gets_the_value_or_its_default(kdbd, arguments, code, output):
    run(kdbd, "kdb set user:/x $'a\\nb'; kdb set user:/b 1; kdb meta-set user:/b binary ''")
    assert run(kdbd, f"kdb sget {arguments}")[:2] == (code, output)


@pytest.mark.parametrize(
    "command",
    [
        "find x",
        "complete",
        "file user:/x",
        "shell",
        "cp user:/a user:/b",
        "mv user:/a user:/b",
        "meta-get /x m",
        "meta-ls /x",
        "meta-rm /x m",
        "meta-set /x m v",
        "meta-show /x",
    ],
)
def test_without_kdbd_one_line_says_how_to_start_it(kdbd, command):
    kdbd.stop()
    code, output, errors = run(kdbd, f"kdb {command}")
    assert (code, output) == (5, "")
    assert errors.startswith("Sorry, no kdbd answers on the bus")
    assert errors.count("\n") == 1


SESSION = """keySetName user:/s/sp ace
keySetString  hello   world
keySetMeta type  long text
ksAppendKey
kdbGet user:/s
ksAppendKey
kdbSet user:/s
ksOutput
ksCut user:/s
ksOutput
kdbGet user:/s
"""


def test_a_key_set_is_worked_on_step_by_step(kdbd):
    run(kdbd, "kdb set user:/s/old 1; kdb set user:/s/b x; kdb meta-set user:/s/b binary ''")
    code, output, errors = run(kdbd, "kdb shell", SESSION)
    assert (code, errors) == (0, "")
    assert output.replace("> ", "").splitlines() == [
        "Set meta type to long text",
        "return value: 1",
        "return value: 1",
        r"user:/s/b binary: \x78\x0 (length: 2)",
        "user:/s/old string: 1",
        "user:/s/sp ace string: hello   world",
        "return value: 2",
    ]
    assert run(kdbd, "kdb get 'user:/s/sp ace'; kdb meta-get 'user:/s/sp ace' type")[1] == (
        "hello   world\nlong text\n"
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("kdbGet", "Sorry, '' does not begin with a slash"),
        ("kdbGet bad", "Sorry, 'bad' does not begin with a slash"),
        ("kdbSet user:/", "Sorry, C01320: "),
        ("keySetName bad", "Sorry, 'bad' does not begin with a slash"),
        ("keySetMeta", "Sorry, keySetMeta needs a name and a text"),
        ("ksCut", "Sorry, '' does not begin with a slash"),
        ("kdbGet default:/", "Sorry, C01320: "),
    ],
)
def test_what_goes_wrong_in_a_shell_is_told_and_the_next_command_read(kdbd, line, complaint):
    code, output, errors = run(kdbd, "kdb shell", f"{line}\nkeySetMeta m v\n")
    assert (code, output) == (0, "> > Set meta m to v\n> ")
    assert errors.startswith(complaint)
    assert errors.count("\n") == 1


def test_a_shell_goes_on_after_a_restart_of_kdbd_and_ends_quietly_by_ctrl_c(kdbd):
    run(kdbd, "kdb set user:/a 1")
    with subprocess.Popen(
        [KDB, "shell"],
        env=kdbd.client_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as shell:
        assert shell.stdout.read(2) == b"> "
        for answer in (b"return value: 1\n> ", b"return value: 2\n> "):
            shell.stdin.write(b"kdbGet user:/\n")
            shell.stdin.flush()
            assert shell.stdout.read(len(answer)) == answer
            kdbd.restart()
        shell.send_signal(signal.SIGINT)
        assert shell.communicate() == (b"", b"")
        assert shell.returncode == -signal.SIGINT


def test_bytes_that_are_no_utf8_are_told_in_a_shell(kdbd):
    done = kdbd.run(
        "kdb", "shell", input=b"keySetName user:/\xff\nkeySetString \xff\n\xff\n", text=False
    )
    assert done.stdout.count(b"unknown command!") == 1
    assert done.stderr == b""


def test_a_terminal_edits_the_lines_of_a_shell(kdbd):
    terminal = pexpect.spawn(
        "kdb", ["shell"], env=kdbd.client_environment | {"TERM": "dumb"}, encoding="utf-8"
    )
    terminal.expect_exact("> ")
    terminal.send("keySetMeta m wrong\b\b\b\b\bright\r")
    terminal.expect_exact("Set meta m to right\r\n> ")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
