"""What was found under a scope is found again where the scope answers the same, and anew where it does not."""

from __future__ import annotations

import pytest

from septum.lang.answers import FoundAgain, question
from septum.lang.source import attribute
from septum.lang.types import Asked, Size, bound, scope

ONE, OTHER, LAST = Size("ONE", 1), Size("OTHER", 1), Size("LAST", 1)
SUM = ONE + OTHER


class Finder:
    """Finds the number that `ask` gives, and counts how often."""

    def __init__(self, ask):
        self.found, self.ask, self.times = FoundAgain(), ask, 0

    def _find(self):
        self.times += 1
        return self.ask()

    def __call__(self, **sizes):
        with scope({size: sizes[size.name] for size in (ONE, OTHER, LAST) if size.name in sizes}):
            return self.found.get(self._find)


def branch():
    return int(OTHER) if ONE == 1 else int(LAST)


def test_what_nobody_asked_for_may_change():
    find = Finder(branch)
    assert (find(LAST=5), find(LAST=6), find.times) == (1, 1, 1)


def test_what_was_asked_for_may_not():
    find = Finder(branch)
    assert [find(), find(OTHER=2), find(ONE=2, LAST=3), find(ONE=2, LAST=4)] == [1, 2, 3, 4]
    assert find.times == 4


def test_each_answer_is_kept():
    find = Finder(branch)
    assert [find(OTHER=n) for n in (1, 2, 3, 2, 1, 3)] == [1, 2, 3, 2, 1, 3]
    assert find.times == 3


def test_a_size_that_follows_from_others_asks_for_these():
    find = Finder(lambda: int(SUM))
    assert [find(), find(ONE=3), find(OTHER=3), find(LAST=3)] == [2, 4, 4, 2]
    assert find.times == 3


def test_true_is_not_the_answer_one():
    find = Finder(lambda: repr(bound(ONE, 1)))
    assert (find(ONE=1), find(ONE=True)) == ("1", "True")


def test_who_uses_what_was_found_has_asked_for_that_too():
    inner = Finder(branch)
    outer = Finder(lambda: 10 * inner.found.get(inner._find))
    assert [outer(), outer(LAST=2), outer(OTHER=2), outer(OTHER=2)] == [10, 10, 20, 20]
    assert (outer.times, inner.times) == (2, 2)


@pytest.mark.parametrize("first", [1, 2])
def test_also_where_that_was_found_before(first):
    inner = Finder(branch)
    inner(OTHER=first)
    outer = Finder(lambda: 10 * inner.found.get(inner._find))
    assert [outer(OTHER=1), outer(OTHER=2)] == [10, 20]


def test_of_a_question_only_its_own_answer_counts():
    is_large = question(lambda size: int(size) > 9)
    find = Finder(lambda: is_large(ONE))
    assert [find(ONE=n) for n in (1, 2, 10, 11)] == [False, False, True, True]
    assert find.times == 2


def test_a_question_is_asked_once_under_a_scope():
    asked = []
    is_large = question(lambda size: asked.append(int(size)) or int(size) > 9)
    find, other = Finder(lambda: is_large(ONE)), Finder(lambda: is_large(ONE))
    with scope({ONE: 10}):
        assert find.found.get(find._find) and other.found.get(other._find)
    assert not find(ONE=2) and asked == [10, 2]


def test_a_question_that_fails_is_none():
    def ask():
        raise ValueError("no")

    find = Finder(ask)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            find()
    assert find.times == 2


def test_where_an_answer_is_none_it_is_found_anew_and_who_finds_it_says_so():
    class Operations:
        def __getattr__(self, name):
            return int(ONE) if ONE == 1 else object.__getattribute__(self, name)

    operations = Operations()
    find = Finder(lambda: attribute(operations, "put"))
    assert find() == 1
    with pytest.raises(AttributeError, match="put"):
        find(ONE=2)
    assert find.times == 2, "it was not the question that failed"


def test_who_notes_what_is_asked_for_hears_the_same_as_if_it_were_found_anew():
    found = FoundAgain()
    for sizes, heard in (({ONE: 1}, ["ONE", "OTHER"]), ({ONE: 2}, ["ONE", "LAST"]), ({ONE: 1}, ["ONE", "OTHER"])):
        bindings = Asked(sizes)
        with scope(bindings):
            found.get(branch)
        assert [size.name for size in bindings.sizes] == heard
