"""The three cases of the architecture that a wrong base would break, on the real library's session.

Each is what other implementations of get and set do wrong: they take a key that the client never
saw for one that it removed, or lose track of one that it did see.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kdb.model.content import make
from kdb.model.errors import ConflictError, InterfaceError
from kdb.model.names import escape, unescape
from kdb.protocol import OBJECT_PATH
from simulated.clients import Asked
from simulated.world import Client, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, 0)
    world.start()
    yield world
    world.quiesce()
    world.close()


def get(world: World, client: Client, parent: str) -> None:
    world.get(client, parent)
    world.finish()


def set_(world: World, client: Client, parent: str) -> object:
    world.set(client, parent)
    world.finish()
    return client.result


def others_set(world: World, name: str, value: str) -> None:
    others = world.requests.write_string(world._sender(), "", OBJECT_PATH, name, value)
    asked = world.ask(others)
    world.finish()
    assert asked.answer is not None
    assert not asked.answer.error


def state(world: World) -> dict[str, object]:
    return {escape(name): content.value for (_, name), content in world.model.visible().items()}


def test_a_set_with_an_older_wider_key_set_keeps_what_another_client_added(world: World) -> None:
    client = world.clients[0]
    others_set(world, "user:/k", "0")
    get(world, client, "user:/")
    wide = (client.base, dict(client.keys))
    others_set(world, "user:/a/x", "1")
    client.base, client.keys = None, {}
    get(world, client, "user:/a")
    assert list(client.keys) == [unescape("user:/a/x")]
    client.base, client.keys = wide
    client.keys[unescape("user:/k")] = make("2")
    result = set_(world, client, "user:/")
    assert not isinstance(result, Exception)
    assert state(world) == {"user:/a/x": "1", "user:/k": "2"}


def test_a_key_that_a_wider_get_brought_is_removed_by_a_narrower_set(world: World) -> None:
    client = world.clients[0]
    get(world, client, "user:/a")
    others_set(world, "user:/a/z", "1")
    get(world, client, "user:/")
    del client.keys[unescape("user:/a/z")]
    assert not isinstance(set_(world, client, "user:/a"), Exception)
    assert state(world) == {}


def test_two_sets_in_a_row_never_take_a_foreign_key_along(world: World) -> None:
    client = world.clients[0]
    get(world, client, "user:/")
    others_set(world, "user:/y", "theirs")
    for value in "12":
        client.keys[unescape("user:/x")] = make(value)
        assert not isinstance(set_(world, client, "user:/"), Exception)
    assert state(world) == {"user:/x": "2", "user:/y": "theirs"}


def test_of_interleaved_gets_and_sets_only_the_change_itself_is_told(world: World) -> None:
    """Seed 004: get a, get b, change a, set a is one added key."""
    mount = [
        world.ask(Asked(world._sender(), "Mount", "ssa{ss}", body, expect=expect))
        for body, expect in (
            world.requests.declaring("user:/a", "a.ecf"),
            world.requests.declaring("user:/b", "b.ecf"),
        )
    ]
    world.finish()
    assert all(each.answer is not None and not each.answer.error for each in mount)
    others_set(world, "user:/b/kept", "1")
    client = world.clients[0]
    get(world, client, "user:/a")
    get(world, client, "user:/b")
    client.keys[unescape("user:/a/test")] = make("1")
    assert not isinstance(set_(world, client, "user:/a"), Exception)
    told = world.model.told[world.model.revision]
    assert told.names == (["user:/a/test"], [], [])


def test_after_a_conflict_the_parent_must_be_got_again(world: World) -> None:
    client = world.clients[0]
    get(world, client, "user:/")
    others_set(world, "user:/x", "theirs")
    client.keys[unescape("user:/x")] = make("ours")
    client.keys[unescape("user:/free")] = make("ours")
    first = set_(world, client, "user:/")
    assert isinstance(first, ConflictError)
    assert "user:/x" in str(first)
    assert state(world) == {"user:/x": "theirs"}, "nothing of it is applied"
    del client.keys[unescape("user:/x")]
    assert isinstance(set_(world, client, "user:/"), ConflictError), "not got again yet"
    client.keys.clear()
    get(world, client, "user:/")
    client.keys[unescape("user:/x")] = make("ours")
    assert not isinstance(set_(world, client, "user:/"), Exception)
    assert state(world) == {"user:/x": "ours"}


def test_a_set_of_what_was_never_got_names_both_parents(world: World) -> None:
    client = world.clients[0]
    get(world, client, "user:/a")
    client.unread = True  # the world's model knows only clients that got what they set
    result = set_(world, client, "user:/b")
    assert isinstance(result, InterfaceError)
    assert "user:/b" in str(result)
    assert "user:/a" in str(result)
