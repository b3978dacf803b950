"""Get, set and diff through a handle, on a bus without I/O."""

import pytest
from scripted_bus import Service, run

from kdb.model import errors
from kdb.model.content import Content
from kdb.model.diff import Change
from kdb.model.key import Key
from kdb.model.keyset import KeySet
from kdb.model.names import unescape
from kdb.requests import TimedOut
from kdb.session import Session

USER = unescape("user:/")
A = unescape("user:/a")


class Client:
    """A session with the key sets of an application."""

    def __init__(self, service):
        self.service = service
        self.session = Session({"directory": ("s", "/")})
        run(service, self.session.open())

    def get(self, ks, parent):
        got = run(self.service, self.session.get(ks._base, unescape(parent)))
        if got.keys is not None:
            ks._fill(unescape(parent), got.keys)
        ks._base = got.base
        return got.result

    def set(self, ks, parent):
        operation = self.session.set(ks._base, unescape(parent), ks._contents())
        done = run(self.service, operation)
        ks._rebase(done.base, done.names)
        return done.result

    def diff(self, ks, parent):
        return run(self.service, self.session.diff(ks._base, unescape(parent), ks._contents()))


def filled(**values):
    service = Service()
    for name, value in values.items():
        service.put(f"user:/{name.replace('_', '/')}", value)
    return service


def values(ks):
    return {str(key): key.value for key in ks}


def stored(service):
    return {str(Key._of(name, Content(""))): key.value for name, key in service.keys.items()}


def test_a_get_fills_and_a_second_one_says_that_nothing_changed():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    assert client.get(ks, "user:/") == 1
    assert values(ks) == {"user:/x": "1"}
    assert client.get(ks, "user:/") == 2
    service.put("user:/x", "2")
    assert client.get(ks, "user:/") == 1
    assert values(ks) == {"user:/x": "2"}
    assert client.get(ks, "user:/") == 2


def test_in_a_new_store_too_the_second_get_says_that_nothing_changed():
    service = Service(revision=0)
    client, ks = Client(service), KeySet()
    assert [client.get(ks, "user:/"), client.get(ks, "user:/")] == [1, 2]


def test_a_fresh_key_set_is_always_filled():
    client = Client(filled(x="1"))
    for _ in range(2):
        ks = KeySet()
        assert client.get(ks, "user:/") == 1
        assert values(ks) == {"user:/x": "1"}


def test_a_get_below_one_that_is_up_to_date_says_that_nothing_changed():
    client, ks = Client(filled(n_a="1")), KeySet()
    assert client.get(ks, "user:/") == 1
    assert client.get(ks, "user:/n") == 2
    assert client.get(ks, "/n") == 1


def test_local_changes_stay_while_nothing_changes_and_go_when_something_does():
    service = filled(x="1", y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "local"
    ks.append(Key("user:/new", "local"))
    ks.remove("user:/y")
    assert client.get(ks, "user:/") == 2
    assert values(ks) == {"user:/new": "local", "user:/x": "local"}
    service.put("user:/z", "2")
    assert client.get(ks, "user:/") == 1
    assert values(ks) == {"user:/x": "1", "user:/y": "1", "user:/z": "2"}


def test_a_set_of_an_unchanged_key_set_changes_nothing():
    client, ks = Client(filled(x="1")), KeySet()
    client.get(ks, "user:/")
    assert client.set(ks, "user:/") == 0
    ks["user:/x"].value = "1"
    assert client.set(ks, "user:/") == 0


def test_a_set_needs_a_get_of_its_parent_or_one_above():
    service = filled(n_a="1")
    client, ks = Client(service), KeySet()
    with pytest.raises(errors.InterfaceError):
        client.set(ks, "user:/")
    client.get(ks, "user:/n")
    with pytest.raises(errors.InterfaceError):
        client.set(ks, "user:/")
    assert client.set(ks, "user:/n/a") == 0


def test_only_keys_at_or_below_the_parent_are_set():
    service = filled(x="1", n_a="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/n/a"].value = ks["user:/x"].value = "2"
    assert client.set(ks, "user:/n") == 1
    assert stored(service) == {"user:/x": "1", "user:/n/a": "2"}
    assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "2", "user:/n/a": "2"}


def test_a_key_that_can_be_stored_nowhere_is_refused():
    service = filled()
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks.append(Key("proc:/a", "1"))
    ks.append(Key("default:/a", "1"))
    assert client.set(ks, "user:/") == 0
    ks.append(Key("/a", "1"))
    with pytest.raises(errors.InterfaceError):
        client.set(ks, "user:/")


def test_case_1_a_set_keeps_what_another_added_meanwhile():
    service = filled(a_y="1")
    client, ks1, ks2 = Client(service), KeySet(), KeySet()
    client.get(ks1, "user:/")
    service.put("user:/a/x", "other")
    client.get(ks2, "user:/a")
    ks1["user:/a/y"].value = "2"
    assert client.set(ks1, "user:/") == 1
    assert stored(service) == {"user:/a/x": "other", "user:/a/y": "2"}


def test_case_2_a_key_seen_by_a_later_get_is_removed():
    service = filled(a_y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/a")
    service.put("user:/a/z", "other")
    client.get(ks, "user:/")
    ks.remove("user:/a/z")
    assert client.set(ks, "user:/a") == 1
    assert stored(service) == {"user:/a/y": "1"}


def test_case_3_two_sets_in_a_row_keep_what_another_added():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.put("user:/y", "other")
    for value in ("2", "3"):
        ks["user:/x"].value = value
        assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "3", "user:/y": "other"}


def test_a_conflict_names_the_key_and_a_get_solves_it():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.put("user:/x", "other")
    ks["user:/x"].value = "mine"
    with pytest.raises(errors.ConflictError) as caught:
        client.set(ks, "user:/")
    assert [each.name for each in caught.value.conflicts] == ["user:/x"]
    assert client.get(ks, "user:/") == 1
    ks["user:/x"].value = "mine"
    assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "mine"}


def test_the_same_change_made_twice_is_no_conflict():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.put("user:/x", "2")
    ks["user:/x"].value = "2"
    assert client.set(ks, "user:/") == 0
    # Its present revision is known now.
    ks["user:/x"].value = "3"
    assert client.set(ks, "user:/") == 1


def test_after_ones_own_set_nothing_has_changed():
    client, ks = Client(filled(x="1")), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    client.set(ks, "user:/")
    assert client.get(ks, "user:/") == 2


def test_a_copy_inherits_what_its_original_remembers():
    service = filled(x="1", y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    copy = ks.dup()
    copy.remove("user:/y")
    assert client.set(copy, "user:/") == 1
    assert stored(service) == {"user:/x": "1"}


def test_a_key_set_that_no_get_filled_is_compared_with_the_handles_last_get():
    service = filled(x="1", y="1")
    client = Client(service)
    client.get(KeySet(), "user:/")
    service.put("user:/unseen", "other")
    ks = KeySet(0, Key("user:/x", "2"))
    assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "2", "user:/unseen": "other"}
    # What this handle wrote it knows, too.
    assert client.set(KeySet(0, Key("user:/x", "3")), "user:/") == 1
    assert stored(service) == {"user:/x": "3", "user:/unseen": "other"}


def test_the_last_get_of_the_nearest_parent_counts():
    service = filled(a_x="1", b="1")
    client = Client(service)
    mixed = KeySet()
    client.get(mixed, "user:/")
    client.get(mixed, "user:/a")
    service.put("user:/a/y", "other")
    client.get(mixed, "user:/a")
    assert client.set(KeySet(), "user:/a") == 1
    assert stored(service) == {"user:/b": "1"}


def test_another_handles_key_set_teaches_a_handle_what_is_unchanged():
    service = filled(a_x="1", b="1")
    first, second = Client(service), Client(service)
    ks = KeySet()
    first.get(ks, "user:/")
    first.get(ks, "system:/")
    assert second.get(ks, "user:/a") == 2
    assert second.set(KeySet(), "user:/a") == 1
    assert stored(service) == {"user:/b": "1"}


def test_a_diff_tells_what_a_set_would_change():
    service = filled(x="1", y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    ks.remove("user:/y")
    ks.append(Key("user:/z", "3"))
    assert client.diff(ks, "user:/") == {
        unescape("user:/x"): Change(Content("1"), Content("2")),
        unescape("user:/y"): Change(Content("1"), None),
        unescape("user:/z"): Change(None, Content("3")),
    }
    assert stored(service) == {"user:/x": "1", "user:/y": "1"}


def test_a_call_of_one_key_goes_to_the_handle():
    service = filled(x="1")
    client = Client(service)
    assert run(service, client.session.one_key("GetString", "s", ("user:/x",))) == ("1",)


@pytest.mark.parametrize("event", ["restart", "restart_bus"])
def test_after_a_restart_a_set_goes_on_with_what_was_got(event):
    service = filled(x="1", y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.put("user:/z", "other")
    getattr(service, event)()
    ks["user:/x"].value = "2"
    ks.remove("user:/y")
    assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "2", "user:/z": "other"}
    assert client.get(ks, "user:/") == 1


@pytest.mark.parametrize("event", ["restart", "restart_bus"])
def test_after_a_restart_the_revisions_decide_about_conflicts(event):
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.put("user:/x", "other")
    getattr(service, event)()
    ks["user:/x"].value = "mine"
    with pytest.raises(errors.ConflictError):
        client.set(ks, "user:/")


def test_a_set_whose_answer_was_lost_is_not_done_twice():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    service.lost = 1
    assert client.set(ks, "user:/") == 1
    assert stored(service) == {"user:/x": "2"}
    assert service.revision == 3
    ks["user:/x"].value = "3"
    assert client.set(ks, "user:/") == 1


@pytest.mark.parametrize("deaths", [["Set"], ["Set done"], ["Set", "Set done", "Set done"]])
def test_a_set_that_was_not_answered_is_made_again(deaths):
    service = filled(x="1", y="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    ks.remove("user:/y")
    ks.append(Key("user:/z", "1"))
    service.dies_at = list(deaths)
    assert client.set(ks, "user:/") == 1
    assert service.dies_at == []
    assert stored(service) == {"user:/x": "2", "user:/z": "1"}
    assert service.revision == 4
    # All revisions are known.
    ks["user:/x"].value = ks["user:/z"].value = "3"
    assert client.set(ks, "user:/") == 1


def test_a_set_of_nothing_that_was_not_answered_changes_nothing():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.dies_at = ["Set done"]
    assert client.set(ks, "user:/") == 0


@pytest.mark.parametrize("at", ["Set", "Set done"])
@pytest.mark.parametrize("theirs", ["2", None])
def test_where_another_changed_the_key_meanwhile_the_outcome_is_unknown(at, theirs):
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "mine"
    service.dies_at, service.meanwhile = [at], [lambda: service.put("user:/x", theirs)]
    with pytest.raises(errors.OutcomeUnknown) as caught:
        client.set(ks, "user:/")
    assert str(caught.value) == (
        "kdbd ended before it answered, and whether this was stored is not known."
        " Get again and look"
    )
    # What was asked for is still in the key set, and the next get shows what is there.
    assert values(ks) == {"user:/x": "mine"}
    assert stored(service) == ({} if theirs is None else {"user:/x": theirs})
    assert client.get(ks, "user:/") == 1
    assert values(ks) == stored(service)
    ks.append(Key("user:/x", "again"))
    assert client.set(ks, "user:/") == 1


@pytest.mark.parametrize("theirs", ["theirs", None])
def test_a_key_that_was_added_and_then_changed_by_another_is_not_put_again(theirs):
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks.append(Key("user:/new", "1"))
    service.page = 1
    service.dies_at, service.meanwhile = ["Set done"], [lambda: service.put("user:/new", theirs)]
    with pytest.raises(errors.OutcomeUnknown):
        client.set(ks, "user:/")
    assert stored(service) == {"user:/x": "1"} | ({"user:/new": theirs} if theirs else {})


def test_where_the_history_does_not_tell_the_outcome_is_unknown():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks.append(Key("user:/new", "1"))
    service.dies_at, service.meanwhile = ["Set"], [lambda: setattr(service, "trimmed", 9)]
    with pytest.raises(errors.OutcomeUnknown):
        client.set(ks, "user:/")
    assert stored(service) == {"user:/x": "1"}


def test_a_kdbd_that_dies_of_a_set_is_not_asked_for_ever():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    service.dies_at = ["Set"] * 9
    with pytest.raises(errors.OutcomeUnknown):
        client.set(ks, "user:/")
    assert len(service.dies_at) == 5


def test_where_kdbd_stays_away_the_outcome_is_unknown():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    service.dies_at, service.meanwhile = ["Set"], [lambda: setattr(service, "owner", None)]
    with pytest.raises(errors.OutcomeUnknown):
        client.set(ks, "user:/")


@pytest.mark.parametrize("at", ["SetString", "SetString done"])
def test_a_write_without_revisions_is_not_made_again(at):
    service = filled(x="1")
    client = Client(service)
    service.dies_at = [at]
    with pytest.raises(errors.OutcomeUnknown):
        run(service, client.session.one_key("SetString", "ss", ("user:/x", "2")))
    assert service.done.count("SetString") == 1
    assert stored(service) == {"user:/x": "2" if "done" in at else "1"}
    assert run(service, client.session.one_key("GetString", "s", ("user:/x",))) == (
        stored(service)["user:/x"],
    )


def test_an_apply_whose_answer_was_lost_is_not_made_again():
    service = filled(x="1")
    client = Client(service)
    service.lost = 1
    put = [(unescape("user:/x"), Content("2"))]
    with pytest.raises(errors.OutcomeUnknown):
        run(service, client.session.apply(put, [], 0, ""))
    assert service.done.count("Apply") == 1


@pytest.mark.parametrize("event", ["restart", "restart_bus", "reconnect"])
def test_a_write_that_reached_nobody_is_made_again(event):
    service = filled(x="1")
    client = Client(service)
    getattr(service, event)()
    assert run(service, client.session.one_key("SetString", "ss", ("user:/x", "2"))) == (3,)
    assert stored(service) == {"user:/x": "2"}


def test_a_kdbd_that_comes_back_under_another_name_is_asked_for_the_same_handle():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    for value in "234":
        service.reconnect()
        ks["user:/x"].value = value
        assert client.set(ks, "user:/") == 1
    assert len(service.handles) == 1
    assert service.done.count("Open") == 1


def test_kdbd_is_waited_for_while_it_restarts():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    service.owner = None
    service.revive = [lambda: setattr(service, "signalled", True), service.restart]
    assert client.get(ks, "user:/") == 1


def test_the_bus_is_waited_for_while_it_restarts():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    service.bus = False
    service.revive = [lambda: None, lambda: None, service.restart_bus]
    assert client.get(ks, "user:/") == 1
    assert service.done.count("Rest") == 3


def test_a_kdbd_that_the_bus_can_start_is_started():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    service.owner, service.activatable = None, True
    assert client.get(ks, "user:/") == 1


def test_a_kdbd_that_stays_away_is_given_up():
    service = filled(x="1")
    client = Client(service)
    service.owner = None
    with pytest.raises(errors.InstallationError, match="gone for 10 s"):
        client.get(KeySet(), "user:/")
    service.restart()
    assert client.get(KeySet(), "user:/") == 1


def test_a_bus_that_stays_away_is_given_up():
    service = filled()
    client = Client(service)
    service.bus = False
    with pytest.raises(errors.InstallationError):
        client.get(KeySet(), "user:/")


def test_a_kdbd_that_dies_of_a_call_is_not_asked_for_ever():
    service = filled()
    client = Client(service)
    service.lost = 100
    with pytest.raises(errors.InstallationError):
        client.get(KeySet(), "user:/")
    assert service.lost > 90


def test_without_kdbd_the_first_open_says_so_at_once():
    service = Service(owner=None)
    with pytest.raises(errors.InstallationError, match="systemctl"):
        Client(service)
    assert service.done == ["Open"]


def test_without_a_bus_the_first_open_says_so_at_once():
    service = Service(bus=False)
    with pytest.raises(errors.InstallationError):
        Client(service)
    assert service.done == []


def test_a_parent_that_cannot_be_read_does_not_keep_others_from_going_on():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    client.session._got[unescape("meta:/")] = client.session._got[USER]
    client.session._got[unescape("meta:/")].gets[unescape("meta:/")] = 1
    service.restart()
    ks["user:/x"].value = "2"
    assert client.set(ks, "user:/") == 1


def test_closing_closes_the_handle():
    service = filled()
    client = Client(service)
    run(service, client.session.close())
    assert service.handles == {}
    run(service, client.session.close())
    assert service.done.count("Close") == 1


def test_closing_after_kdbd_went_is_no_error():
    service = filled()
    client = Client(service)
    service.owner = None
    run(service, client.session.close())


def test_an_error_of_the_service_is_raised_as_it_is():
    client = Client(filled())
    with pytest.raises(errors.InterfaceError, match="no parent"):
        client.get(KeySet(), "meta:/")


@pytest.mark.parametrize(
    "member", ["AddMatch", "NameHasOwner", "RemoveMatch", "Ping", "Open", "Get"]
)
def test_a_bus_that_goes_again_while_it_is_waited_for_is_waited_for_again(member):
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    service.restart()
    service.breaks_at = [member, member]
    assert client.get(ks, "user:/") == 2
    assert service.breaks_at == []


def test_a_set_teaches_only_the_parents_that_it_concerns():
    service = filled(x="1")
    client, ks, other = Client(service), KeySet(), KeySet()
    client.get(ks, "user:/")
    client.get(other, "system:/")
    ks["user:/x"].value = "2"
    assert client.set(ks, "user:/") == 1
    assert client.get(other, "system:/") == 2


def test_a_kdbd_that_cannot_be_started_is_an_error():
    service = filled(x="1")
    client = Client(service)
    service.owner = None
    service.unstartable = True
    with pytest.raises(errors.InstallationError, match="not allowed"):
        client.get(KeySet(), "user:/")


def test_no_answer_in_time_is_an_error_that_says_what_to_do():
    service = filled()
    client = Client(service)
    operation = client.session.get(None, USER)
    next(operation)
    with pytest.raises(errors.ResourceError, match="did not answer within 30 s"):
        operation.throw(TimedOut())


def test_no_answer_in_time_to_a_set_leaves_its_outcome_unknown():
    service = filled(x="1")
    client, ks = Client(service), KeySet()
    client.get(ks, "user:/")
    ks["user:/x"].value = "2"
    operation = client.session.set(ks._base, USER, ks._contents())
    next(operation)
    with pytest.raises(errors.OutcomeUnknown, match="kdbd did not answer in time, and whether"):
        operation.throw(TimedOut())
