"""Custody of page frames: every move asserts where the page came from."""

from __future__ import annotations

import pytest

from septum.host.frames import Content, Gfp, PageType, Role, alloc_page, free_page, get_page, gift, give_back, put_page, take
from septum.host.geometry import PAGES
from tests.machine import world


def test_a_page_comes_and_goes_without_a_trace():
    with world(fixed=0) as made:
        before = bytes(made.m)
        page = alloc_page(made.m, Gfp.KERNEL_ACCOUNT, Content.UNDEFINED)
        assert made.m.frame[page].role == Role.HAND
        free_page(made.m, page, Role.HAND)
        assert bytes(made.m) == before


@pytest.mark.parametrize(
    ("content", "word"),
    [(Content.UNDEFINED, 0x5AA00000000006AA), (Content.ZEROED, 0), (Content.NONPRESENT, 0x8000000000000000)],
)
def test_a_page_has_the_content_that_was_asked_for(content, word):
    with world() as made:
        page = alloc_page(made.m, Gfp.KERNEL, content)
        assert [made.m.table[page].word[i] for i in range(2)] == [word, word]


def test_a_page_freed_twice_is_found():
    with world() as made:
        page = alloc_page(made.m, Gfp.KERNEL, Content.ZEROED)
        free_page(made.m, page, Role.HAND)
        with pytest.raises(AssertionError, match=r"custody: page .* is freed twice"):
            free_page(made.m, page, Role.HAND)


def test_only_its_holder_frees_a_page():
    with world() as made:
        page = alloc_page(made.m, Gfp.KERNEL, Content.ZEROED)
        take(made.m, page, Role.HAND, Role.POOL)
        with pytest.raises(AssertionError, match="is freed by HAND while POOL holds it"):
            free_page(made.m, page, Role.HAND)
        with pytest.raises(AssertionError, match="is POOL where HAND should hold it"):
            take(made.m, page, Role.HAND, Role.SPT)


def test_a_page_of_the_module_is_not_freed_and_not_given_twice():
    with world() as made:
        page = alloc_page(made.m, Gfp.KERNEL, Content.ZEROED)
        take(made.m, page, Role.HAND, Role.EXTERNAL)
        gift(made.m, page, Role.EXTERNAL, PageType.EPT, 1)
        with pytest.raises(AssertionError, match="while the TDX module holds it as EPT"):
            free_page(made.m, page, Role.EXTERNAL)
        with pytest.raises(AssertionError, match="given to the TDX module twice"):
            gift(made.m, page, Role.EXTERNAL, PageType.EPT, 1)
        give_back(made.m, page)
        free_page(made.m, page, Role.EXTERNAL)


def test_the_last_reference_frees_a_guest_page():
    with world() as made:
        page = alloc_page(made.m, Gfp.KERNEL, Content.ZEROED)
        take(made.m, page, Role.HAND, Role.GUEST)
        made.m.frame[page].refcount = 1
        get_page(made.m, page)
        put_page(made.m, page)
        assert made.m.frame[page].role == Role.GUEST
        put_page(made.m, page)
        assert made.m.frame[page].role == Role.FREE


def test_too_small_a_scope_says_so():
    with world() as made, pytest.raises(AssertionError, match="scope: out of page frames, raise PAGES"):
        [alloc_page(made.m, Gfp.KERNEL, Content.ZEROED) for _ in range(PAGES.value)]
