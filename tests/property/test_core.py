"""Laws of the core, each against what is plain to see."""

from __future__ import annotations

from itertools import pairwise

import pytest
from core_state import content
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from key_names import from_parts
from naive_requests import NaiveRequest, Refused, covers, same

from kdb.model.diff import Diff
from kdb.model.errors import KDBError, SyntacticError
from kdb.model.names import Namespace as Ns
from kdb.model.names import (
    in_namespace,
    is_below_or_same,
    namespace,
    unescape,
)
from kdbd.core import requests
from kdbd.core.backend import Backend
from kdbd.core.commit import Caller, Draft, KeyChange
from kdbd.core.database import Database
from kdbd.core.merge import merge_file, unwritten_after
from kdbd.core.recent import RECENT_NAMES, RecentChanges
from kdbd.core.requests import Entry
from kdbd.core.structure import complete
from kdbd.core.view import Mounts, View, root_name

# Few names, so that requests and mountpoints meet; among the parts the empty one, and one that
# begins with the byte after the separator, next to the ends of subtrees.
PARTS = st.sampled_from(["a", "b", "", "a\x01"])
PATHS = st.lists(PARTS, max_size=3)
CONTENTS = st.sampled_from(
    [
        content("1"),
        content("2"),
        content("1", {"m": "1"}),
        content("2", {"m": "2", "n": "1"}),
        content(b"1", {"binary": ""}),
    ]
)


def names_of(*namespaces, paths=PATHS):
    return st.builds(from_parts, st.sampled_from(namespaces), paths)


def finished(steps):
    """Return what a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def table(*backends):
    return Mounts({backend.mountpoint: backend for backend in backends})


def backend_of(backends, name):
    """Return the backend with the longest mountpoint at or above a name."""
    above = [each for each in backends if is_below_or_same(name, each.mountpoint)]
    return max(above, key=lambda each: len(each.mountpoint))


# Requests

SHORT = st.lists(PARTS, max_size=2)
STORED = names_of(Ns.SPEC, Ns.USER, Ns.SYSTEM, paths=SHORT)
WRITTEN = names_of(Ns.SPEC, Ns.USER, Ns.SYSTEM, Ns.CASCADING, paths=SHORT)
META_NAMES = st.sampled_from(["m", "n", "binary"])
TEXTS = st.sampled_from(["1", "2"])
BEGIN = 10
HIDDEN = unescape("user:/a/b/hidden")


class RequestsMachine(RuleBasedStateMachine):
    """Requests are drafted, admitted, applied and forgotten; dictionaries do the same."""

    def __init__(self):
        super().__init__()
        mountpoints = ["spec:/", "user:/", "user:/a", "user:/a/b", "system:/"]
        self.backends = [Backend(n, unescape(name)) for n, name in enumerate(mountpoints)]
        spec, *user, system = self.backends
        for outer in user[:2]:
            outer.tree[HIDDEN] = content("hidden", revision=1)
        roots = {"spec:/": table(spec), "user:/": table(*user), "system:/": table(system)}
        self.database = Database(BEGIN, roots)
        self.view = self.database.view
        self.present = {}
        for name in map(unescape, ("spec:/a", "user:/", "user:/a", "user:/a/b", "system:/b")):
            self.present[name] = content("1", {"m": "1"}, revision=5)
            self.view.backend(name).tree[name] = self.present[name]
        self.future = dict(self.present)
        self.removals = {}
        self.commits = []

    def ask(self, request, kind, *arguments):
        """Draft a request, which must come to what the dictionary says, and admit it."""
        naive = NaiveRequest(
            self.future,
            self.database.prepared + 1,
            pending={change.name for commit in self.commits for change in commit.changes},
            removals=self.removals,
            known_since=BEGIN,
        )
        before = self.state()
        draft = self.drafted(request, naive, refused(getattr(naive, kind), *arguments))
        assert self.state() == before
        if draft.changes:
            commit = finished(self.database.admit(draft, Caller()))
            assert commit.revision == naive.revision
            self.commits.append(commit)
            bring_in(commit, self.future)

    def drafted(self, request, naive, wanted):
        if wanted is not None:
            with pytest.raises(KDBError) as caught:
                self.database.drafted(request)
            assert type(caught.value) is wanted.error
            told = getattr(caught.value, "conflicts", ())
            assert [(each.name, each.base) for each in told] == wanted.conflicts
            return Draft([])
        draft = self.database.drafted(request)
        assert {each.name: (each.old, each.new) for each in draft.changes} == naive.changes
        assert len(draft.changes) == len(naive.changes)
        assert draft.answer == naive.answer
        assert draft.unchanged_revision == (0 if draft.changes else naive.unchanged_revision)
        return draft

    def state(self):
        revisions = (self.database.revision, self.database.prepared)
        return revisions, [(dict(each.tree), dict(each.ahead)) for each in self.backends]

    @rule(name=WRITTEN, value=TEXTS)
    def set_string(self, name, value):
        self.ask(requests.set_string(self.view, name, value), "set_string", name, value)

    @rule(name=WRITTEN, new=CONTENTS)
    def put(self, name, new):
        self.ask(requests.put(self.view, name, new), "put", name, new)

    @rule(name=WRITTEN, meta_name=META_NAMES, text=TEXTS)
    def set_meta(self, name, meta_name, text):
        request = requests.set_meta(self.view, name, meta_name, text)
        self.ask(request, "set_meta", name, meta_name, text)

    @rule(name=WRITTEN, meta_name=META_NAMES)
    def remove_meta(self, name, meta_name):
        request = requests.remove_meta(self.view, name, meta_name)
        self.ask(request, "remove_meta", name, meta_name)

    @rule(name=WRITTEN)
    def remove(self, name):
        self.ask(requests.remove(self.view, name, recursive=False), "remove", name)

    @rule(name=WRITTEN)
    def remove_recursive(self, name):
        self.ask(requests.remove(self.view, name, recursive=True), "remove_recursive", name)

    @rule(
        puts=st.lists(st.tuples(STORED, CONTENTS), max_size=4),
        removes=st.lists(STORED, max_size=3),
        back=st.none() | st.integers(0, 8),
    )
    def apply_all(self, puts, removes, back):
        """Expect a revision that is a few back, or none."""
        expected = 0 if back is None else max(self.database.prepared - back, 1)
        request = requests.apply_all(
            self.view,
            puts,
            removes,
            expected=expected,
            removed_since=self.database.removed_since,
        )
        self.ask(request, "apply_all", puts, removes, expected)

    @rule(
        asked=st.dictionaries(
            STORED, st.tuples(st.none() | CONTENTS, st.sampled_from([0, 0, 0, -1, 1])), max_size=4
        )
    )
    def put_entries(self, asked):
        """Set with the revisions that are stored, but for a few that are wrong."""
        entries = []
        for name, (new, wrong) in asked.items():
            old = self.future.get(name)
            base = 0 if old is None else old.revision
            entries.append(Entry(name, new, max(base + wrong, 0)))
        self.ask(requests.put_entries(self.view, entries), "put_entries", entries)

    @precondition(lambda self: self.commits)
    @rule(data=st.data(), rebuilt=st.booleans())
    def apply(self, data, rebuilt):
        """The oldest commits are durable."""
        count = data.draw(st.integers(1, len(self.commits)))
        durable, self.commits = self.commits[:count], self.commits[count:]
        trees = {}
        if rebuilt:
            one = durable[0].changes[0].backend
            changes = [each for commit in durable for each in commit.changes]
            mine = [(each.name, each.new) for each in changes if each.backend is one]
            trees[one] = one.rebuild(mine)
        self.database.apply(durable, trees)
        for commit in durable:
            bring_in(commit, self.present)
            for change in commit.changes:
                if change.new is None:
                    self.removals[change.name] = commit.revision

    @precondition(lambda self: self.commits)
    @rule()
    def forget(self):
        """The oldest commit could not be made durable."""
        self.database.forget()
        self.commits = []
        self.future = dict(self.present)

    @invariant()
    def readers_see_what_is_applied(self):
        assert dict(self.view.items(unescape("/"))) == self.present
        assert all(each.tree[HIDDEN] == content("hidden", revision=1) for each in self.outer())

    @invariant()
    def requests_see_what_is_prepared(self):
        names = self.view.future_names(unescape("/"))
        assert {name: self.view.future(name) for name in names} == self.future
        assert list(map(namespace, names)) == sorted(map(namespace, names))

    @invariant()
    def nothing_is_left_prepared_but_what_is_on_its_way(self):
        on_its_way = {change.name for commit in self.commits for change in commit.changes}
        assert {name for each in self.backends for name in each.ahead} == on_its_way
        assert self.database.prepared == self.database.revision + len(self.commits)

    def outer(self):
        return self.backends[1:3]


def refused(ask, *arguments):
    """Return what a naive request is refused with, else None."""
    try:
        ask(*arguments)
    except Refused as wanted:
        return wanted
    return None


def bring_in(commit, keys):
    for change in commit.changes:
        if change.new is None:
            del keys[change.name]
        else:
            keys[change.name] = change.new


TestRequests = RequestsMachine.TestCase


# Views


@st.composite
def views(draw):
    """Return a view of nested mountpoints with keys, also such as deeper mountpoints hide."""
    mountpoints = draw(st.sets(names_of(Ns.SPEC, Ns.DIR, Ns.USER), max_size=6))
    mountpoints |= {bytes([each]) for each in (Ns.SPEC, Ns.DIR, Ns.USER)}
    backends = []
    for number, mountpoint in enumerate(sorted(mountpoints)):
        # Nothing is mounted below what is concealed: kdbd.core.mounts refuses it.
        if any(each.concealed and covers(each.mountpoint, mountpoint) for each in backends):
            continue
        concealed = len(mountpoint) > 1 and draw(st.booleans())
        backend = Backend(number, mountpoint, concealed=concealed)
        for path in draw(st.lists(PATHS, max_size=4)):
            name = from_parts(namespace(mountpoint), path)
            if covers(mountpoint, name):
                backend.tree[name] = content("1", revision=number + 1)
        backend.tree.update(dict.fromkeys(draw(st.sets(st.just(mountpoint))), content("2")))
        backends.append(backend)
    tables = {
        which: table(*(each for each in backends if namespace(each.mountpoint) is which))
        for which in (Ns.SPEC, Ns.DIR, Ns.USER)
    }
    return View(tables), backends


def naively_touched(backends, parent):
    """Return the backends that a read at or below a parent touches."""
    touched = []
    for which in (Ns.SPEC, Ns.DIR, Ns.USER):
        if namespace(parent) not in (Ns.CASCADING, which):
            continue
        start = in_namespace(parent, which)
        own = backend_of(backends, start)
        touched.append(own)
        touched += [
            each
            for each in backends
            if each is not own and covers(start, each.mountpoint) and not each.concealed
        ]
    return touched


def naive_items(backends, parent):
    """Return what a read shows: of each key the one of its own backend, where that is touched."""
    touched = naively_touched(backends, parent)
    return sorted(
        (name, stored)
        for backend in touched
        for name, stored in backend.tree.items()
        if covers(parent, name) and backend_of(backends, name) is backend
    )


PARENTS = names_of(Ns.CASCADING, Ns.SPEC, Ns.DIR, Ns.USER, Ns.SYSTEM)


@given(views(), PARENTS)
def test_a_read_shows_what_the_backends_hold_of_their_own_names(made, parent):
    view, backends = made
    wanted = naive_items(backends, parent)
    assert list(view.items(parent)) == wanted
    assert view.future_names(parent) == [name for name, _ in wanted]
    for name, stored in wanted:
        assert view.get(name) == view.future(name) == stored
        assert view.backend(name) is backend_of(backends, name)


@given(views(), PARENTS, st.lists(names_of(Ns.SPEC, Ns.DIR, Ns.USER), max_size=4))
def test_pages_show_the_rest_of_what_one_read_does(made, parent, others):
    view, backends = made
    wanted = naive_items(backends, parent)
    for after in (*(name for name, _ in wanted), *others):
        assert list(view.items(parent, after)) == [each for each in wanted if each[0] > after]


@given(views(), PARENTS, names_of(Ns.SPEC, Ns.DIR, Ns.USER))
def test_segments_are_ordered_and_each_is_one_backends_own(made, parent, name):
    view, backends = made
    segments = list(view.segments(parent))
    for segment in segments:
        assert segment.start <= segment.end
    for one, next_one in pairwise(segments):
        assert one.end <= next_one.start
    holding = [each.backend for each in segments if each.start <= name < each.end]
    own = backend_of(backends, name)
    touched = covers(parent, name) and own in naively_touched(backends, parent)
    assert holding == ([own] if touched else [])


@given(views(), PARENTS, st.data())
def test_a_read_is_the_damage_of_what_it_touches(made, parent, data):
    view, backends = made
    touched = naively_touched(backends, parent)
    assert {each.identity for each in view.backends(parent)} == {each.identity for each in touched}
    damaged = data.draw(st.sampled_from(backends))
    damaged.damage = SyntacticError("no header")
    if damaged in touched:
        with pytest.raises(SyntacticError):
            list(view.items(parent))
    else:
        assert list(view.items(parent)) == naive_items(backends, parent)


# Recent changes

FILLER = [("", from_parts(Ns.SYSTEM, [f"filler {number}"])) for number in range(RECENT_NAMES + 1)]
DIRECTORIES = st.sampled_from(["/here", "/there"])
CHANGED = st.tuples(st.just(""), names_of(Ns.USER, Ns.SPEC)) | st.tuples(
    DIRECTORIES, names_of(Ns.DIR)
)
LARGE = [4, RECENT_NAMES // 2, RECENT_NAMES - 4, RECENT_NAMES, RECENT_NAMES + 1]
COMMITS = st.lists(
    st.lists(CHANGED, max_size=3) | st.sampled_from(LARGE).map(lambda count: FILLER[:count]),
    max_size=8,
)


def noted(commits):
    """Return the recent changes, and the names by revision, from revision 1 on."""
    recent = RecentChanges(0)
    for revision, names in enumerate(commits, start=1):
        recent.note(revision, names)
    return recent, dict(enumerate(commits, start=1))


@given(COMMITS)
def test_as_many_whole_commits_as_the_bound_allows_are_remembered(commits):
    recent, log = noted(commits)
    remembered = sum(len(names) for revision, names in log.items() if revision > recent.since)
    assert remembered <= RECENT_NAMES
    assert recent.since == 0 or remembered + len(log[recent.since]) > RECENT_NAMES


@given(COMMITS, names_of(Ns.CASCADING, Ns.SPEC, Ns.DIR, Ns.USER), st.frozensets(DIRECTORIES))
def test_a_subtree_changed_since_when_a_later_commit_names_a_key_of_it(
    commits, parent, directories
):
    recent, log = noted(commits)
    last = max(
        (
            revision
            for revision, names in log.items()
            for directory, name in names
            if covers(parent, name) and (not directory or directory in directories)
        ),
        default=0,
    )
    for since in range(len(commits) + 2):
        known = since >= recent.since
        assert recent.changed(parent, since, directories) is (last > since if known else None)


@given(COMMITS, CHANGED)
def test_a_key_changed_since_when_a_later_commit_names_it(commits, key):
    recent, log = noted(commits)
    last = max((revision for revision, names in log.items() if key in names), default=0)
    for since in range(recent.since, len(commits) + 2):
        assert recent.has(*key, since) is (last > since)


# Merging edited files

KEYS_OF_USER = st.dictionaries(names_of(Ns.USER), CONTENTS, max_size=5)


def changed(keys, changes):
    """Return keys with changes, None for a removal."""
    after = {**keys, **changes}
    return {name: each for name, each in after.items() if each is not None}


CHANGES_OF_USER = st.dictionaries(names_of(Ns.USER), st.none() | CONTENTS, max_size=4)


@given(KEYS_OF_USER, CHANGES_OF_USER, CHANGES_OF_USER, st.booleans())
def test_an_edited_file_is_merged_by_the_three_way_rule(base, committed, edited, hides):
    """What the edit left as it was is the store's, and what it changed is the file's."""
    ours, theirs = changed(base, committed), changed(base, edited)
    wanted = dict(ours)
    for name in base.keys() | theirs.keys():
        if not same(theirs.get(name), base.get(name)):
            wanted = changed(wanted, {name: theirs.get(name)})
    backend = Backend(1, unescape("user:/"))
    backend.tree.update({name: each._replace(revision=3) for name, each in ours.items()})
    unwritten = {name: base.get(name) for name in committed}
    deeper = [Backend(2, unescape("user:/a"))] if hides else []
    shown = table(backend, *deeper)

    draft = finished(merge_file(theirs, backend, unwritten, shown)(9))
    assert [each.name for each in draft.changes] == sorted(
        name for name in ours.keys() | wanted.keys() if not same(ours.get(name), wanted.get(name))
    )
    for change in draft.changes:
        assert (change.backend, change.old) == (backend, backend.tree.get(change.name))
        assert same(change.new, wanted.get(change.name))
        assert change.new is None or change.new.revision == 9
        assert change.stored
        assert change.announced is (backend_of([backend, *deeper], change.name) is backend)
        backend.apply(change.name, change.new, 9)
    assert {name: each._replace(revision=0) for name, each in backend.tree.items()} == wanted
    assert unwritten_after(backend, theirs, unwritten) == {
        name: theirs.get(name)
        for name in theirs.keys() | wanted.keys()
        if not same(theirs.get(name), wanted.get(name))
    }


# Commits that change what is mounted

PLACES = (Ns.USER, ""), (Ns.DIR, "/here"), (Ns.DIR, "/there")
MOUNTED_AT = ([], ["a"], ["a", "b"])
CONCEALED = ["b", "concealed"]
REVISION = 9
ASKED = st.dictionaries(PATHS.map(tuple), st.none() | CONTENTS, max_size=3)
HELD = st.dictionaries(PATHS.map(tuple), CONTENTS, max_size=2)


@st.composite
def remounts(draw):
    """Return what is mounted in each root before and after a commit, and the commit's changes.

    At each place one of two backends is mounted or none, at the roots always one: the first of
    them is the default one. One more backend is concealed.
    """
    before, after, defaults, changes = {}, {}, set(), []
    numbers = iter(range(1, 100))
    for which, directory in PLACES:
        concealed = Backend(next(numbers), from_parts(which, CONCEALED), directory, concealed=True)
        concealed.tree[concealed.mountpoint] = content("concealed", revision=1)
        sides = ([concealed], [concealed])
        for path in MOUNTED_AT:
            choice = []
            for number in (next(numbers), next(numbers)):
                backend = Backend(number, from_parts(which, path), directory)
                for below, held in draw(HELD).items():
                    name = from_parts(which, [*path, *below])
                    backend.tree[name] = held._replace(revision=number % 7 + 1)
                choice.append(backend)
            if not path:
                defaults.add(choice[0].identity)
            for side in sides:
                chosen = draw(st.sampled_from([*choice, None] if path else choice))
                side.extend([] if chosen is None else [chosen])
        root = root_name(which, directory)
        before[root], after[root] = (table(*side) for side in sides)
        for path, new in draw(ASKED).items():
            name = from_parts(which, path)
            backend = before[root].responsible(name)
            old = backend.tree.get(name)
            if not same(old, new):
                stamped = new and new._replace(revision=REVISION)
                changes.append(KeyChange(backend, name, old, stamped))
    return before, after, frozenset(defaults), changes


def shown(mounts):
    """Return what readers see of a root."""
    (root,) = {backend.mountpoint[:1] for backend in mounts}
    return dict(View({namespace(root): mounts}).items(root))


def without_revisions(keys):
    return {name: each._replace(revision=0) for name, each in keys.items()}


def identities(roots):
    return {backend.identity for mounts in roots.values() for backend in mounts}


def remounted(before, after, defaults, changes):
    """Return the commit with these changes that mounts what is after, applied."""
    database = Database(REVISION - 1, {"user:/": before["user:/"]})
    for directory in ("/here", "/there"):
        database.load_directory(directory, before[f"dir:/{directory}"])
    seen = {root: shown(mounts) for root, mounts in before.items()}
    commit = finished(database.admit(Draft(list(changes)), Caller()))
    list(complete(commit, before, after, defaults))
    list(database.readmit(commit))
    assert {root: shown(mounts) for root, mounts in before.items()} == seen
    database.apply([commit])
    database.remount(after)
    return commit


@given(remounts())
def test_a_remount_announces_what_readers_see_differently(made):
    before, after, defaults, changes = made
    seen = {root: shown(mounts) for root, mounts in before.items()}
    wanted = {root: shown(mounts) for root, mounts in after.items()}
    for each in changes:
        root = root_name(namespace(each.name), each.backend.directory)
        wanted[root] = changed(wanted[root], {each.name: each.new})

    commit = remounted(before, after, defaults, changes)

    added, modified, removed = [], [], []
    for root, keys in wanted.items():
        sees = shown(after[root])
        assert without_revisions(sees) == without_revisions(keys)
        difference = Diff.compute(sees, seen[root])
        added += difference.added
        modified += difference.modified
        removed += difference.removed
        for name, each in sees.items():
            assert each.revision == (REVISION if name in difference else seen[root][name].revision)
    assert commit.names() == (sorted(added), sorted(modified), sorted(removed))


@given(remounts())
def test_a_remount_stores_its_own_changes_and_tells_the_backends_that_come_and_go(made):
    before, after, defaults, changes = made
    held = {each: dict(each.tree) for mounts in after.values() for each in mounts}
    own = [(each.backend.directory, each.name, each.new) for each in changes]
    commit = remounted(before, after, defaults, changes)
    for change in commit.changes:
        if change.stored:
            assert not same(change.old, change.new)
            assert (change.backend.directory, change.name, change.new) in own
            held[change.backend] = changed(held[change.backend], {change.name: change.new})
    for backend, keys in held.items():
        assert without_revisions(backend.tree) == without_revisions(keys)

    structure = commit.structure
    came, went = identities(after) - identities(before), identities(before) - identities(after)
    assert {each.identity for each in structure.mounted} == came - defaults
    assert {each.identity for each in structure.unmounted} == went - defaults
