"""Laws of key sets, and key sets against a plain dict."""

import copy

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from key_names import from_parts

from kdb.model import content, subtree
from kdb.model.content import Content
from kdb.model.elektradiff import ElektraDiff
from kdb.model.key import Key
from kdb.model.keyset import KeySet
from kdb.model.names import PERSISTABLE, escape
from kdb.model.names import Namespace as Ns

PATHS = st.lists(st.sampled_from(["a", "b", "a/", "%", "#_10"]), max_size=3)
NAMES = st.builds(from_parts, st.sampled_from([Ns.SPEC, Ns.PROC, Ns.USER, Ns.SYSTEM]), PATHS)
PARENTS = NAMES | st.builds(from_parts, st.just(Ns.CASCADING), PATHS)
VALUES = st.sampled_from(["", "1", "2", b"", b"\0"])
METADATA = st.dictionaries(st.sampled_from(["m", "n"]), st.sampled_from(["", "1"]))
KEYS = st.builds(lambda name, value, meta: Key(escape(name), value, meta), NAMES, VALUES, METADATA)
KEY_SETS = st.lists(KEYS, max_size=8).map(lambda keys: KeySet(len(keys), *keys))


def plain(ks):
    """Return what is in a key set, as a dict in its order."""
    return {key.name: (key.value, {m.name: m.value for m in key.getMeta()}) for key in ks}


@given(st.lists(KEYS, max_size=12))
def test_a_key_set_is_the_sorted_names_each_with_its_last_key(keys):
    last = {key.name: key for key in keys}
    ks = KeySet(len(keys), *keys)
    assert list(ks) == sorted(last.values())
    assert all(ks[name] is key for name, key in last.items())
    for position, key in enumerate(ks):
        assert ks[position] is ks[position - len(ks)] is key
        assert ks.search(key) == position


@given(KEY_SETS, KEY_SETS)
def test_append_of_a_key_set_is_the_union(one, other):
    union = plain(one) | plain(other)
    assert one.append(other) == len(union)
    assert plain(one) == union


@given(KEY_SETS, PARENTS)
def test_cut_divides(ks, parent):
    before = plain(ks)
    covered = subtree.covers(parent)
    part = ks.cut(escape(parent))
    assert all(covered(key._name) for key in part)
    assert not any(covered(key._name) for key in ks)
    assert list(part) == sorted(part)
    assert plain(part) | plain(ks) == before


@given(KEY_SETS, KEY_SETS)
def test_a_diff_undone_restores(new, old):
    diff = ElektraDiff.calculateDiff(new, old, "/")
    diff.undo(new)
    assert plain(new) == plain(old)
    assert ElektraDiff.calculateDiff(new, old, "/").isEmpty()


@given(KEY_SETS, st.randoms())
def test_a_deep_copy_stands_alone(ks, chance):
    before, deep = plain(ks), copy.deepcopy(ks)
    assert plain(deep) == before
    for key in deep:
        key.value = chance.choice(["new", b"new"])
    deep.pop() if len(deep) else None
    assert plain(ks) == before


class AgainstADict(RuleBasedStateMachine):
    """A key set, filled and set as kdb.KDB does, against dicts of name to content."""

    @initialize()
    def start(self):
        self.ks = KeySet()
        self.model = {}
        self.base = {}
        self.revision = 0

    @rule(key=KEYS)
    def append(self, key):
        self.model[key._name] = content.make(key.value, key._content.meta)
        assert self.ks.append(key) == len(self.model)

    @rule(name=NAMES, value=VALUES)
    def change_value(self, name, value):
        key = self.ks.lookup(escape(name))
        assert (key is None) is (name not in self.model)
        if key is not None:
            key.value = value
            meta = {n: t for n, t in self.model[name].meta.items() if n != "binary"}
            binary = {"binary": self.model[name].meta.get("binary", "")}
            self.model[name] = content.make(value, meta | binary if type(value) is bytes else meta)

    @rule(name=NAMES, meta=st.sampled_from(["m", "meta:/n"]), text=st.none() | st.just("1"))
    def change_metadata(self, name, meta, text):
        key = self.ks.lookup(escape(name))
        if key is None:
            return
        metadata = dict(self.model[name].meta)
        metadata.pop(meta.removeprefix("meta:/"), None)
        if text is None:
            key.delMeta(meta)
        else:
            key.setMeta(meta, text)
            metadata[meta.removeprefix("meta:/")] = text
        self.model[name] = content.make(self.model[name].value, metadata)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        assert self.ks.remove(escape(name)).name == escape(name)
        del self.model[name]

    @precondition(lambda self: self.model)
    @rule()
    def pop(self):
        assert self.ks.pop().name == escape(max(self.model))
        del self.model[max(self.model)]

    @rule(parent=PARENTS)
    def cut(self, parent):
        covered = subtree.covers(parent)
        part = self.ks.cut(escape(parent))
        assert part.unpack_names() == {escape(name) for name in self.model if covered(name)}
        self.model = {name: held for name, held in self.model.items() if not covered(name)}

    @rule(copied=st.sampled_from([copy.copy, copy.deepcopy, KeySet.dup]))
    def go_on_with_a_copy(self, copied):
        self.ks = copied(self.ks)

    @rule()
    def look_at_all(self):
        assert [key.name for key in self.ks] == list(map(escape, sorted(self.model)))

    @rule(parent=PARENTS, stored=st.dictionaries(NAMES, VALUES, max_size=6))
    def get(self, parent, stored):
        covered = subtree.covers(parent, PERSISTABLE)
        got = {}
        for name, value in stored.items():
            if covered(name):
                self.revision += 1
                meta = {"binary": ""} if isinstance(value, bytes) else {}
                got[name] = content.make(value, meta)._replace(revision=self.revision)
        self.ks._fill(parent, list(got.items()))
        self.model = {n: c for n, c in self.model.items() if not covered(n)} | got
        self.base = {n: c for n, c in self.base.items() if not covered(n)} | got
        self.ks._base = self.base

    def naive_changes(self, covered):
        put = [
            (name, held.value, self.base[name].revision if name in self.base else 0)
            for name, held in sorted(self.model.items())
            if covered(name) and not (name in self.base and held.same_as(self.base[name]))
        ]
        gone = sorted(name for name in self.base if covered(name) and name not in self.model)
        return put, [(name, self.base[name].revision) for name in gone]

    @rule(parent=PARENTS)
    def set(self, parent):
        put, removed = self.ks._changes(parent)
        found = [(name, held.value, base) for name, held, base in put], removed
        covered = subtree.covers(parent, PERSISTABLE)
        assert found == self.naive_changes(lambda name: covered(name) and name[0] != Ns.PROC)
        self.revision += 1
        self.base = dict(self.base)
        for name, held, _ in put:
            self.base[name] = held._replace(revision=self.revision)
        for name, _ in removed:
            del self.base[name]
        self.ks._rebase(self.base)
        assert self.ks._changes(parent) == ([], [])

    @invariant()
    def holds_the_same(self):
        held = self.ks._contents()
        assert held.keys() == self.model.keys()
        assert all(held[name].same_as(self.model[name]) for name in held)
        assert len(self.ks) == len(self.model)
        assert isinstance(next(iter(held.values()), Content("")), Content)


TestAgainstADict = AgainstADict.TestCase
