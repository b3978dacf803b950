"""cp, mv and the metadata commands: what the transcripts lack, and clumsy use."""

import json
import subprocess
import sys

import pytest
from process_state import wait_until_it_asks
from transcripts import KDB, run

from kdb.cli.applying import apply
from kdb.cli.bus import Bus, CallError
from kdb.cli.command import found_key

NAMES = {
    "space": "user:/t/a b",
    "single quote": "user:/t/it's",
    "double quote": 'user:/t/say "x"',
    "newline": "user:/t/two\nlines",
    "dash": "user:/t/-dash",
    "emoji": "user:/t/😀",
    "backslash": "user:/t/a\\\\b",
    "slash": "user:/t/a\\/b",
    "empty part": "user:/t/%/x",
    "array": "user:/t/#_10",
}


def kdb(kdbd, *arguments, environment=()):
    """Run kdb with arguments as they are; return its exit code, output and errors."""
    done = kdbd.run("kdb", *arguments, check=False, env=kdbd.client_environment | dict(environment))
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_any_name_is_copied_and_moved_with_its_metadata(kdbd, name, locale):
    environment = {"LC_ALL": locale}
    kdb(kdbd, "set", "--", name, "-v\n'\"😀")
    assert kdb(kdbd, "meta-set", "--", name, "-m", "-1\n😀", environment=environment) == (0, "", "")
    copied = name.replace("user:/t", "system:/c")
    assert kdb(kdbd, "cp", "-r", "user:/t", "system:/c", environment=environment) == (0, "", "")
    assert kdb(kdbd, "mv", name, "user:/m", environment=environment) == (0, "", "")
    for each in (copied, "user:/m"):
        assert kdb(kdbd, "get", each, environment=environment) == (0, "-v\n'\"😀\n", "")
        assert kdb(kdbd, "meta-get", "--", each, "-m", environment=environment)[1] == "-1\n😀\n"
    assert kdb(kdbd, "ls", "user:/")[1] == "user:/m\n"


def test_a_binary_value_is_copied_as_it_is(kdbd):
    run(kdbd, "kdb set user:/b text && kdb meta-set user:/b binary '' && kdb cp user:/b user:/c")
    assert run(kdbd, "kdb get user:/c")[1] == r"\x74\x65\x78\x74\x0" + "\n"
    assert run(kdbd, "kdb meta-rm user:/c binary && kdb get user:/c") == (0, "text\n", "")


def serve(kdbd, keys):
    """Start kdbd with keys that only a file can hold."""
    kdbd.stop()
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_bytes(b"kdbOpen 2\n" + keys + b"$end\n")
    kdbd.start()


LATIN_1_META = b"$key string 3 2\nt/a\n42\n$meta 3 4\ncom\nz\xe4yx\n"


def test_a_key_with_metadata_that_are_no_utf8_is_read_and_changed(kdbd):
    serve(kdbd, LATIN_1_META)
    run(kdbd, "kdb meta-set spec:/alias override/#0 /t/a")
    for command, output in {
        "get user:/t/a": b"42\n",
        "get /alias": b"42\n",
        "get -j user:/t/a | grep -c 'z.udce4yx'": b"1\n",
        "get -v user:/t/a | tail -n 2": b"The resulting value size is 3\n42\n",
        "meta-get user:/t/a com": b"z\xe4yx\n",
        "meta-get /t/a com": b"z\xe4yx\n",
        "meta-ls user:/t/a": b"com\n",
        "meta-show user:/t/a": b"com: z\xe4yx\n",
        "meta-show -j user:/t/a": b'{\n  "com": "z\\udce4yx"\n}\n',
        "set user:/t/a 43": b'Set string to "43"\n',
        "meta-set user:/t/a type long": b"",
        "meta-rm user:/t/a type": b"",
        "export user:/t/a dump": (
            b"kdbOpen 2\n$key string 0 2\n\n43\n$meta 3 4\ncom\nz\xe4yx\n$end\n"
        ),
        "meta-set user:/t/a com zayx": b"",
        "cp user:/t/a user:/t/b": b"",
        "meta-get user:/t/b com": b"zayx\n",
    }.items():
        done = kdbd.run("sh", "-c", f"kdb {command}", text=False, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, output, b""), command


@pytest.mark.parametrize(
    "command",
    [
        "cp user:/t/a user:/b",
        "cp -r user:/t user:/b",
        "mv user:/t/a user:/b",
        "mv -r user:/t user:/b",
        "meta-set user:/t/a binary ''",
    ],
)
def test_metadata_that_are_no_utf8_are_named_and_what_to_do(kdbd, command):
    serve(kdbd, LATIN_1_META)
    code, output, errors = run(kdbd, f"kdb {command}")
    assert (code, output) == (5, "")
    assert errors == (
        "Sorry, the metadatum com of user:/t/a is no UTF-8, so nothing was changed. Set it anew"
        " first: kdb meta-set user:/t/a com VALUE\n"
    )
    assert run(kdbd, "kdb ls user:/")[1] == "user:/t/a\n"
    assert run(kdbd, "kdb meta-set user:/t/a com VALUE") == (0, "", "")
    assert run(kdbd, f"kdb {command}") == (0, "", "")


def test_a_copy_does_not_replace_a_key_with_metadata_that_are_no_utf8(kdbd):
    serve(kdbd, b"$key string 3 1\ns/a\n1\n" + LATIN_1_META)
    code, _, errors = run(kdbd, "kdb cp -r user:/s user:/t")
    assert code == 11
    assert "user:/t/a already exists and has a different value, use -f" in errors
    assert run(kdbd, "kdb get user:/t/a") == (0, "42\n", "")


NO_UTF8 = {
    b"$key string 4 1\nt/\xe4b\n1\n": (
        b"Sorry, the name user:/t/\xe4b is no UTF-8, so nothing was changed. Rename the key in its"
        b" file first, which this tells: kdb file user:/t\n"
    ),
    b"$key string 3 1\nt/a\n1\n$meta 4 1\nm\xe4\xdfe\n1\n": (
        b"Sorry, the metadatum m\xe4\xdfe of user:/t/a is no UTF-8, so nothing was changed. Rename"
        b" it in its file first, which this tells: kdb file user:/t/a\n"
    ),
}


@pytest.mark.parametrize("command", ["cp -r", "mv -r"])
@pytest.mark.parametrize("keys", NO_UTF8, ids=["key", "metadatum"])
def test_a_subtree_with_a_name_that_is_no_utf8_stays_whole(kdbd, command, keys):
    serve(kdbd, keys + b"$key string 3 1\nt/z\n1\n")
    done = kdbd.run("sh", "-c", f"kdb {command} user:/t user:/b", text=False, check=False)
    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr == NO_UTF8[keys]
    assert run(kdbd, "kdb ls user:/b") == (0, "", "")
    advised = done.stderr.decode("latin-1").rpartition(": ")[2]
    assert run(kdbd, advised) == (0, f"{kdbd.user / 'default.ecf'}\n", "")


@pytest.mark.parametrize("command", ["cp -r", "mv -r"])
def test_a_subtree_moves_where_the_working_directory_is_gone(kdbd, command):
    run(kdbd, "kdb set user:/a/b 1")
    done = run(kdbd, f"mkdir gone; cd gone; rmdir ../gone; kdb {command} user:/a user:/c")
    assert done == (0, "", "")
    assert run(kdbd, "kdb get user:/c/b") == (0, "1\n", "")


@pytest.mark.parametrize("command", ["cp", "cp -r", "mv", "mv -r"])
def test_a_value_that_is_no_utf8_is_named_and_what_to_do(kdbd, command):
    serve(kdbd, b"$key string 1 1\na\n\xff\n")
    code, output, errors = run(kdbd, f"kdb {command} user:/a user:/b")
    assert (code, output) == (5, "")
    assert errors == (
        "Sorry, the value of user:/a is no UTF-8, so nothing was changed. Make it binary first:"
        " kdb meta-set user:/a binary ''\n"
    )
    assert run(kdbd, "kdb meta-set user:/a binary ''") == (0, "", "")
    assert run(kdbd, f"kdb {command} user:/a user:/b && kdb get user:/b")[1] == r"\xff\x0" + "\n"


def test_a_copy_over_other_metadata_needs_force(kdbd):
    run(kdbd, "kdb set user:/a 1; kdb cp user:/a user:/b; kdb meta-set user:/b m v")
    code, output, errors = run(kdbd, "kdb cp user:/a user:/b")
    assert (code, output) == (11, "")
    assert "user:/b already exists and has a different value, use -f" in errors
    assert run(kdbd, "kdb cp -f user:/a user:/b && kdb meta-ls user:/b") == (0, "", "")


def test_a_copy_that_fails_copies_nothing(kdbd):
    run(kdbd, "kdb set user:/a/1 x; kdb set user:/a/2 x; kdb set user:/b/2 other")
    assert run(kdbd, "kdb cp -r user:/a user:/b")[0] == 11
    assert run(kdbd, "kdb ls user:/b")[1] == "user:/b/2\n"
    assert run(kdbd, "kdb cp -rf user:/a proc:/b")[0] == 5
    assert run(kdbd, "kdb mv -r user:/a system:/elektra/version/x")[0] == 5
    assert run(kdbd, "kdb ls user:/a")[1] == "user:/a/1\nuser:/a/2\n"


def test_a_move_with_force_replaces(kdbd):
    run(kdbd, "kdb set user:/a 1; kdb set user:/b 2")
    assert run(kdbd, "kdb mv -f user:/a user:/b && kdb get user:/b && kdb ls user:/") == (
        0, "1\nuser:/b\n", "",
    )  # fmt: skip


def test_a_key_moves_to_itself_and_a_tree_into_and_out_of_itself(kdbd):
    run(kdbd, "kdb set user:/a 1; kdb set user:/a/b 2; kdb set user:/a/b/b 3")
    assert run(kdbd, "kdb mv user:/a user:/a && kdb mv -r user:/a user:/a") == (0, "", "")
    assert run(kdbd, "kdb mv -r user:/a user:/a/b")[0] == 0
    assert run(kdbd, "for name in $(kdb ls user:/); do kdb get $name; done") == (0, "1\n2\n3\n", "")
    assert run(kdbd, "kdb ls user:/")[1] == "user:/a/b\nuser:/a/b/b\nuser:/a/b/b/b\n"
    assert run(kdbd, "kdb mv -r user:/a/b user:/")[0] == 0
    assert run(kdbd, "kdb ls user:/")[1] == "user:/\nuser:/b\nuser:/b/b\n"


def test_a_subtree_is_one_commit(kdbd):
    run(kdbd, "kdb set user:/a/1 x; kdb set user:/a/2 x; kdb set user:/a/3 x")
    before = revision(kdbd)
    assert run(kdbd, "kdb cp -r user:/a system:/a && kdb mv -r user:/a dir:/a") == (0, "", "")
    assert revision(kdbd) == before + 2
    assert run(kdbd, "kdb cp -r dir:/a system:/a") == (0, "", "")
    assert revision(kdbd) == before + 2


def revision(kdbd):
    done = kdbd.run(
        "busctl", f"--address={kdbd.bus.address}", "get-property", "org.libelektra.KDB1",
        "/org/libelektra/KDB1", "org.libelektra.KDB1", "Revision",
    )  # fmt: skip
    return int(done.stdout.split()[1])


@pytest.mark.parametrize("command", ["cp", "mv"])
@pytest.mark.parametrize("source", ["default:/x", "meta:/x", "proc:/x", "dir:/x", "spec:/x"])
def test_where_no_key_is_there_is_none_to_copy(kdbd, command, source):
    errors = f"No key to copy found below '{source}'\n"
    assert run(kdbd, f"kdb {command} {source} user:/y") == (11, "", errors)


def test_a_default_is_copied_as_a_value(kdbd):
    run(kdbd, "kdb meta-set spec:/k default 7")
    assert run(kdbd, "kdb cp default:/k user:/k && kdb get user:/k") == (0, "7\n", "")


def test_values_beyond_one_reply_are_handled_by_every_command(kdbd):
    script = (
        "import kdb\n"
        "with kdb.KDB() as db:\n"
        "    ks = kdb.KeySet()\n"
        "    db.get(ks, 'user:/')\n"
        "    ks.append(kdb.Key('user:/big', 'v' * 10_000_000))\n"
        "    ks.append(kdb.Key('user:/big/below', 'small'))\n"
        "    db.set(ks, 'user:/')\n"
    )
    kdbd.run(sys.executable, "-c", script)
    ten_megabytes = "10000000\n"
    for command in ("get user:/big", "get -n /big", "sget user:/big x", "sget /big x"):
        code, output, errors = run(kdbd, f"kdb {command} | tr -d '\\n' | wc -c")
        assert (code, output, errors) == (0, ten_megabytes, ""), command
    assert run(kdbd, "kdb meta-set user:/big m v && kdb meta-get /big m") == (0, "v\n", "")
    assert run(kdbd, "kdb cp user:/big user:/c && kdb mv -r user:/big user:/d") == (0, "", "")
    assert run(kdbd, "kdb ls user:/")[1] == "user:/c\nuser:/d\nuser:/d/below\n"
    assert run(kdbd, "kdb get -n user:/d | wc -c")[1] == ten_megabytes
    assert run(kdbd, "kdb meta-rm user:/d m && kdb meta-ls user:/d") == (0, "", "")
    assert run(kdbd, "kdb set user:/d 1 && kdb get user:/d")[1] == 'Set string to "1"\n1\n'
    code, output, _ = run(kdbd, "kdb get -j user:/c")
    assert (code, len(json.loads(output)["value"])) == (0, 10_000_000)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("kdb meta-set user:/a 'x\\' v", 7),
        ("kdb meta-get user:/a 'x\\'", 7),
        ("kdb meta-rm user:/a 'x\\'", 7),
        ("kdb meta-set '' m v", 2),
        ("kdb meta-get '' m", 2),
        ("kdb meta-ls ''", 2),
        ("kdb meta-show ''", 2),
        ("kdb meta-set proc:/a m v", 5),
        ("kdb meta-set default:/a m v", 5),
        ("kdb meta-set meta:/a m v", 5),
        ("kdb meta-set user:/none m", 11),
        ("kdb meta-set user:/a atime 12", 7),
        ("kdb meta-set user:/a atime 'soon '", 7),
        ("kdb meta-set user:/a m $'\\xff'", 7),
        ("kdb meta-set user:/a $'\\xff' v", 7),
        ("kdb cp user:/a ''", 2),
        ("kdb cp user:/a 'user:/b\\'", 7),
        ("kdb cp user:/a $'user:/\\xff'", 7),
        ("kdb mv user:/a user:b", 7),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(kdbd, command, code):
    run(kdbd, "kdb set user:/a 1; kdb meta-set user:/a kept v")
    before = revision(kdbd)
    exit_code, _, errors = run(kdbd, command)
    assert exit_code == code
    assert errors
    assert "should not have happened" not in errors
    assert revision(kdbd) == before


def test_metadata_are_json_where_asked(kdbd):
    run(kdbd, "kdb set user:/a 1; kdb meta-set user:/a type any; kdb meta-set user:/a m 'é'")
    assert json.loads(run(kdbd, "kdb meta-ls -j user:/a")[1]) == ["m", "type"]
    assert json.loads(run(kdbd, "kdb meta-show -j user:/a")[1]) == {"m": "é", "type": "any"}
    shown = json.loads(run(kdbd, "kdb meta-get -j /a type")[1])
    assert shown == {"name": "user:/a", "meta": "type", "value": "any"}


def test_metadata_are_shown_with_bold_names_where_colours_are_asked_for(kdbd):
    run(kdbd, "kdb meta-set user:/a type any")
    assert run(kdbd, "kdb meta-show -C always user:/a")[1] == "\x1b[1mtype\x1b[0m: any\n"
    assert run(kdbd, "kdb meta-show user:/a")[1] == "type: any\n"


def test_a_cascading_name_shows_what_its_specifications_say(kdbd):
    for name, meta, value in (
        ("spec:/a/_/x", "from", "pattern"),
        ("spec:/a/_/x", "type", "long"),
        ("spec:/a/b/x", "from", "path"),
        ("spec:/a/#/x", "array", "1"),
        ("user:/a/b/x", "own", "1"),
        ("user:/a/#0/x", "own", "2"),
    ):
        run(kdbd, f"kdb meta-set {name} {meta} {value}")
    assert run(kdbd, "kdb meta-show /a/b/x")[1] == "from: path\nown: 1\ntype: long\n"
    assert run(kdbd, "kdb meta-show '/a/#0/x'")[1] == "array: 1\nown: 2\n"
    assert run(kdbd, "kdb meta-show user:/a/b/x")[1] == "own: 1\n"
    assert run(kdbd, "kdb meta-show spec:/a/b/x")[1] == "from: path\n"
    run(kdbd, "kdb meta-set user:/a/b/x from me")
    assert run(kdbd, "kdb meta-get /a/b/x from")[1] == "me\n"
    assert run(kdbd, "kdb meta-rm /a/b/x from && kdb meta-get /a/b/x from")[1] == "path\n"


def test_quiet_says_nothing(kdbd):
    run(kdbd, "kdb set user:/a 1")
    assert run(kdbd, "kdb meta-set -q /a m v && kdb meta-set -q /a m") == (0, "", "")


@pytest.fixture
def buses(kdbd, monkeypatch):
    """Connect two clients."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    run(kdbd, "kdb set user:/a 1; kdb set user:/b 1")
    made = Bus(), Bus()
    yield made
    for each in made:
        each._socket.close()  # a command's goes with its process


def test_what_somebody_else_changes_meanwhile_is_read_again(kdbd, buses):
    ours, theirs = buses
    read = []

    def plan():
        read.append(found_key(ours, "user:/a")[1])
        if len(read) == 1:
            theirs.call("SetString", "ss", "user:/a", "theirs")
        return [("user:/b", read[-1], {})], ["user:/a"]

    apply(ours, plan)
    assert read == [b"1", b"theirs"]
    assert run(kdbd, "kdb ls user:/ && kdb get user:/b")[1] == "user:/b\ntheirs\n"


def test_what_somebody_else_changes_all_the_time_is_a_conflict_named_by_key(kdbd, buses):
    ours, theirs = buses
    seen = []

    def plan():
        value = found_key(ours, "user:/a")[1]
        seen.append(value)
        theirs.call("SetString", "ss", "user:/a", f"theirs {len(seen)}")
        return [("user:/a", value + b"!", {})], []

    with pytest.raises(CallError, match="Somebody else changed one key") as raised:
        apply(ours, plan)
    assert raised.value.name == "org.libelektra.KDB1.Error.ConflictingState"
    assert "\nuser:/a: base " in raised.value.text
    assert "ours 'theirs 4!', theirs 'theirs 5'" in raised.value.text
    assert len(seen) == 5


@pytest.mark.parametrize("command", ["cp", "mv"])
def test_a_kdbd_that_is_killed_in_the_middle_leaves_all_or_nothing(kdbd, command):
    run(kdbd, "kdb set user:/a/1 x; kdb set user:/a/2 x")
    kdbd.suspend()
    with subprocess.Popen(
        [KDB, command, "-r", "user:/a", "user:/b"],
        env=kdbd.client_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until_it_asks(process.pid)
        kdbd.kill()
        output, errors = process.communicate()
    assert (process.returncode, output) == (5, "")
    assert errors.startswith("Sorry, ")
    assert "Traceback" not in errors
    kdbd.start()
    assert run(kdbd, "kdb ls user:/")[1] == "user:/a/1\nuser:/a/2\n"
