"""Iterators with a look at the next item, and identity tokens."""

import pytest

from kdb.model.iteration import Identity, ValueIterator


def test_value_looks_at_the_next_item_and_leaves_it():
    iterator = ValueIterator(["a", "b"])
    assert iterator.value() == iterator.value() == "a"
    assert next(iterator) == "a"
    assert iterator.value() == "b"
    assert list(iterator) == ["b"]
    assert list(iterator) == []
    with pytest.raises(StopIteration):
        iterator.value()


def test_identity_is_that_of_the_object():
    one, other = [], []
    assert Identity(one) == Identity(one)
    assert hash(Identity(one)) == hash(Identity(one))
    assert Identity(one) != Identity(other)
    assert (Identity(one) == one) is False
